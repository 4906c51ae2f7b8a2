// Transposes by squares in registers.
#include "kernels/transpose.h"

#include "kernels/simd/transpose.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// Dense pixels of a few items into planes, and planes into pixels: the compiler makes vectors of
// loops whose number of planes is a constant.
template <std::size_t kPlanes, class T>
SDX_INLINE void pixels_to_planes(std::size_t pixels, const T* __restrict src, T* __restrict dst,
                                 std::size_t ldd) {
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t k = 0; k < kPlanes; ++k) dst[k * ldd + i] = src[i * kPlanes + k];
}

template <std::size_t kPlanes, class T>
SDX_INLINE void planes_to_pixels(std::size_t pixels, const T* __restrict src, std::size_t lds,
                                 T* __restrict dst) {
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t k = 0; k < kPlanes; ++k) dst[i * kPlanes + k] = src[k * lds + i];
}

// Whether the matrix was one of so few dense pixels or planes.
template <std::size_t kPlanes, class T>
SDX_INLINE bool transpose_planes(std::size_t rows, std::size_t cols, const T* src, std::size_t lds,
                                 T* dst, std::size_t ldd) {
  if (cols == kPlanes && lds == kPlanes)
    pixels_to_planes<kPlanes>(rows, src, dst, ldd);
  else if (rows == kPlanes && ldd == kPlanes)
    planes_to_pixels<kPlanes>(cols, src, lds, dst);
  else
    return false;
  return true;
}

typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef uint16_t Words __attribute__((vector_size(16)));

// The lower halves, then the upper halves, of two vectors, their items in turns.
SDX_INLINE void interleave(Bytes& a, Bytes& b) {
  const Bytes low =
      __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  b = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  a = low;
}
SDX_INLINE void interleave(Words& a, Words& b) {
  const Words low = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  b = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  a = low;
}

// A square with 16 bytes in a row, in place. Rows interleaved with those half the square away, as
// many times as the side has powers of two, are its columns.
template <class Row>
SDX_INLINE void turn_square(Row* rows) {
  constexpr std::size_t kSide = sizeof(Row) / sizeof(rows[0][0]);
#pragma GCC unroll 4
  for (std::size_t step = 1; step < kSide; step *= 2) {
    Row mixed[kSide];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kSide / 2; ++i) {
      mixed[2 * i] = rows[i];
      mixed[2 * i + 1] = rows[i + kSide / 2];
      interleave(mixed[2 * i], mixed[2 * i + 1]);
    }
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kSide; ++i) rows[i] = mixed[i];
  }
}

SDX_INLINE void turn_square(VecF (&rows)[kF32]) { transpose_square(rows); }

typedef uint64_t Halves __attribute__((vector_size(16)));
typedef uint64_t Fours __attribute__((vector_size(32)));

SDX_INLINE void turn_square(Fours* rows) {
  const Fours even0 = __builtin_shufflevector(rows[0], rows[1], 0, 4, 2, 6);
  const Fours odd0 = __builtin_shufflevector(rows[0], rows[1], 1, 5, 3, 7);
  const Fours even1 = __builtin_shufflevector(rows[2], rows[3], 0, 4, 2, 6);
  const Fours odd1 = __builtin_shufflevector(rows[2], rows[3], 1, 5, 3, 7);
  rows[0] = __builtin_shufflevector(even0, even1, 0, 1, 4, 5);
  rows[1] = __builtin_shufflevector(odd0, odd1, 0, 1, 4, 5);
  rows[2] = __builtin_shufflevector(even0, even1, 2, 3, 6, 7);
  rows[3] = __builtin_shufflevector(odd0, odd1, 2, 3, 6, 7);
}

template <class Word>
SDX_INLINE Word load_word(const uint8_t* from) {
  Word word;
  __builtin_memcpy(&word, from, sizeof(word));
  return word;
}
template <class Word>
SDX_INLINE void store_word(uint8_t* to, uint64_t bits) {
  const auto word = static_cast<Word>(bits);
  __builtin_memcpy(to, &word, sizeof(word));
}

// The first n items of a row of 16 bytes, 0 < n < 16, from or to memory, by pieces that may
// overlap; nothing beyond them is touched.
template <class Row, class T>
SDX_INLINE void load_some(Row& to, const T* items, std::size_t n) {
  const auto* from = reinterpret_cast<const uint8_t*>(items);
  const std::size_t bytes = n * sizeof(T);
  Halves row{};
  if (bytes >= 8) {
    const std::size_t spare = 4 * (16 - bytes);  // in two steps, as there is no shift by 64
    row[0] = load_word<uint64_t>(from);
    row[1] = load_word<uint64_t>(from + bytes - 8) >> spare >> spare;
  } else if (bytes >= 4) {
    row[0] = load_word<uint32_t>(from) | uint64_t{load_word<uint32_t>(from + bytes - 4)}
                                             << 8 * (bytes - 4);
  } else {
    for (std::size_t i = 0; i < bytes; ++i) row[0] |= uint64_t{from[i]} << 8 * i;
  }
  to = reinterpret_cast<Row>(row);
}

template <class Row, class T>
SDX_INLINE void store_some(const Row& row, T* items, std::size_t n) {
  auto* to = reinterpret_cast<uint8_t*>(items);
  const std::size_t bytes = n * sizeof(T);
  const Halves halves = reinterpret_cast<Halves>(row);
  if (bytes >= 8) {
    const std::size_t spare = 4 * (16 - bytes);
    store_word<uint64_t>(to, halves[0]);
    store_word<uint64_t>(to + bytes - 8,
                         halves[1] << spare << spare | halves[0] >> 8 * (bytes - 8));
  } else if (bytes >= 4) {
    store_word<uint32_t>(to, halves[0]);
    store_word<uint32_t>(to + bytes - 4, halves[0] >> 8 * (bytes - 4));
  } else {
    for (std::size_t i = 0; i < bytes; ++i) store_word<uint8_t>(to + i, halves[0] >> 8 * i);
  }
}

SDX_INLINE void load_some(VecF& row, const float* items, std::size_t n) {
  row = load_head(items, n);
}
SDX_INLINE void store_some(const VecF& row, float* items, std::size_t n) {
  store_head(items, row, n);
}
SDX_INLINE void load_some(Fours& row, const uint64_t* items, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) row[i] = items[i];
}
SDX_INLINE void store_some(const Fours& row, uint64_t* items, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) items[i] = row[i];
}

// Squares of as many items as a Row has. Where the matrix does not end with one, the last one
// overlaps the one before it. A matrix that is narrower than a square has rows read as wholes, with
// what lies behind them, and written as wholes over what the next ones will write, where those
// follow immediately; only at its end such rows are taken in part. Squares beside each other share
// lines of the cache, and go together. What comes next of each row is asked for ahead: rows are too
// many for the processor to see where each of them goes on.
template <class Row, class T>
SDX_INLINE void transpose_squares(std::size_t rows, std::size_t cols, const T* src, std::size_t lds,
                                  T* dst, std::size_t ldd) {
  typedef Row Unaligned __attribute__((aligned(sizeof(T)), may_alias));
  constexpr std::size_t kSide = sizeof(Row) / sizeof(T), kLineItems = 64 / sizeof(T);
  if (rows == 0 || cols == 0) return;
  const bool narrow = rows < kSide || cols < kSide;
  // Rows, and columns, that may be taken as wholes.
  const std::size_t whole_rows = cols >= kSide ? rows
                                 : lds == 0    ? 0
                                            : rows - smaller(rows, (kSide - cols + lds - 1) / lds);
  const std::size_t whole_cols = rows >= kSide ? cols
                                 : ldd > rows
                                     ? 0
                                     : cols - smaller(cols, (kSide - rows + ldd - 1) / ldd);
  const auto turn = [&](std::size_t r, std::size_t c) __attribute__((always_inline)) {
    const T* s = src + r * lds + c;
    T* d = dst + c * ldd + r;
    Row square[kSide];
    if (!narrow) {
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kSide; ++i) {
        square[i] = *reinterpret_cast<const Unaligned*>(s + i * lds);
        __builtin_prefetch(s + i * lds + kLineItems);
      }
      turn_square(square);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kSide; ++i)
        *reinterpret_cast<Unaligned*>(d + i * ldd) = square[i];
      return;
    }
    const std::size_t height = smaller(kSide, rows - r), width = smaller(kSide, cols - c);
    for (std::size_t i = 0; i < kSide; ++i) {
      square[i] = Row{};
      if (r + i < whole_rows)
        square[i] = *reinterpret_cast<const Unaligned*>(s + i * lds);
      else if (i < height)
        load_some(square[i], s + i * lds, width);
    }
    turn_square(square);
    for (std::size_t i = 0; i < width; ++i)
      if (c + i < whole_cols)
        *reinterpret_cast<Unaligned*>(d + i * ldd) = square[i];
      else
        store_some(square[i], d + i * ldd, height);
  };
  constexpr std::size_t kAcross = kSide < kLineItems ? kLineItems : kSide;
  for (std::size_t first = 0; first < cols; first += kAcross)
    for (std::size_t r = 0; r < rows; r += kSide) {
      if (r + kSide > rows && rows >= kSide) r = rows - kSide;
      for (std::size_t c = first; c < smaller(first + kAcross, cols); c += kSide)
        turn(r, c + kSide > cols && cols >= kSide ? cols - kSide : c);
    }
}

// Whether the matrix was one of two to four dense pixels or planes.
template <class T>
SDX_INLINE bool transpose_few_planes(std::size_t rows, std::size_t cols, const T* src,
                                     std::size_t lds, T* dst, std::size_t ldd) {
  return transpose_planes<2>(rows, cols, src, lds, dst, ldd) ||
         transpose_planes<3>(rows, cols, src, lds, dst, ldd) ||
         transpose_planes<4>(rows, cols, src, lds, dst, ldd);
}

}  // namespace

void transpose_8(std::size_t rows, std::size_t cols, const uint8_t* src, std::size_t lds,
                 uint8_t* dst, std::size_t ldd) {
  if (!transpose_few_planes(rows, cols, src, lds, dst, ldd))
    transpose_squares<Bytes>(rows, cols, src, lds, dst, ldd);
}

void transpose_16(std::size_t rows, std::size_t cols, const uint16_t* src, std::size_t lds,
                  uint16_t* dst, std::size_t ldd) {
  if (!transpose_few_planes(rows, cols, src, lds, dst, ldd))
    transpose_squares<Words>(rows, cols, src, lds, dst, ldd);
}

void transpose_32(std::size_t rows, std::size_t cols, const uint32_t* src, std::size_t lds,
                  uint32_t* dst, std::size_t ldd) {
  if (transpose_few_planes(rows, cols, src, lds, dst, ldd)) return;
  // Only moved, by may_alias vectors.
  transpose_squares<VecF>(rows, cols, reinterpret_cast<const float*>(src), lds,
                          reinterpret_cast<float*>(dst), ldd);
}

void transpose_64(std::size_t rows, std::size_t cols, const uint64_t* src, std::size_t lds,
                  uint64_t* dst, std::size_t ldd) {
  if (!transpose_few_planes(rows, cols, src, lds, dst, ldd))
    transpose_squares<Fours>(rows, cols, src, lds, dst, ldd);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(transpose_8, Transpose8)
SDX_DEFINE_KERNEL(transpose_16, Transpose16)
SDX_DEFINE_KERNEL(transpose_32, Transpose32)
SDX_DEFINE_KERNEL(transpose_64, Transpose64)
}  // namespace sdx::kernels
