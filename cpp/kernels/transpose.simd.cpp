// Transposes: all but the widest items by squares in registers, those by small blocks that stay in
// cache.
#include "kernels/transpose.h"

#include "kernels/simd/transpose.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// A square whose last rows or columns may be missing.
SDX_INLINE void transpose_corner(std::size_t rows, std::size_t cols, const float* src,
                                 std::size_t lds, float* dst, std::size_t ldd) {
  VecF square[kF32];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kF32; ++i)
    square[i] = i < rows ? load_head(src + i * lds, cols) : VecF{};
  transpose_square(square);
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kF32; ++i)
    if (i < cols) store_head(dst + i * ldd, square[i], rows);
}

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

template <class T>
SDX_INLINE void transpose_blocks(std::size_t rows, std::size_t cols, const T* src, std::size_t lds,
                                 T* dst, std::size_t ldd) {
  constexpr std::size_t kSide = 64 / sizeof(T) < 32 ? 64 / sizeof(T) : 32;
  for (std::size_t c0 = 0; c0 < cols; c0 += kSide)
    for (std::size_t r0 = 0; r0 < rows; r0 += kSide) {
      const std::size_t c1 = smaller(c0 + kSide, cols), r1 = smaller(r0 + kSide, rows);
      for (std::size_t c = c0; c < c1; ++c)
        for (std::size_t r = r0; r < r1; ++r) dst[c * ldd + r] = src[r * lds + c];
    }
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
SDX_INLINE void transpose_small_square(Row* rows) {
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

typedef uint64_t Halves __attribute__((vector_size(16)));

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
SDX_INLINE Row load_some(const T* items, std::size_t n) {
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
  return reinterpret_cast<Row>(row);
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

// A square whose last rows or columns may be missing.
template <class Row, class T>
SDX_INLINE void transpose_small_corner(std::size_t rows, std::size_t cols, const T* src,
                                       std::size_t lds, T* dst, std::size_t ldd) {
  typedef Row Unaligned __attribute__((aligned(1), may_alias));
  constexpr std::size_t kSide = 16 / sizeof(T);
  Row square[kSide]{};
  for (std::size_t i = 0; i < rows; ++i)
    square[i] = cols == kSide ? *reinterpret_cast<const Unaligned*>(src + i * lds)
                              : load_some<Row>(src + i * lds, cols);
  transpose_small_square(square);
  for (std::size_t i = 0; i < cols; ++i)
    if (rows == kSide)
      *reinterpret_cast<Unaligned*>(dst + i * ldd) = square[i];
    else
      store_some(square[i], dst + i * ldd, rows);
}

template <class Row, class T>
SDX_INLINE void transpose_small(std::size_t rows, std::size_t cols, const T* src, std::size_t lds,
                                T* dst, std::size_t ldd) {
  if (transpose_planes<2>(rows, cols, src, lds, dst, ldd) ||
      transpose_planes<3>(rows, cols, src, lds, dst, ldd) ||
      transpose_planes<4>(rows, cols, src, lds, dst, ldd))
    return;
  typedef Row Unaligned __attribute__((aligned(1), may_alias));
  constexpr std::size_t kSide = 16 / sizeof(T);
  for (std::size_t c = 0; c < cols; c += kSide)
    for (std::size_t r = 0; r < rows; r += kSide) {
      const T* s = src + r * lds + c;
      T* d = dst + c * ldd + r;
      if (r + kSide > rows || c + kSide > cols) {
        transpose_small_corner<Row>(smaller(kSide, rows - r), smaller(kSide, cols - c), s, lds, d,
                                    ldd);
        continue;
      }
      Row square[kSide];
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kSide; ++i)
        square[i] = *reinterpret_cast<const Unaligned*>(s + i * lds);
      transpose_small_square(square);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kSide; ++i)
        *reinterpret_cast<Unaligned*>(d + i * ldd) = square[i];
    }
}

}  // namespace

void transpose_8(std::size_t rows, std::size_t cols, const uint8_t* src, std::size_t lds,
                 uint8_t* dst, std::size_t ldd) {
  transpose_small<Bytes>(rows, cols, src, lds, dst, ldd);
}

void transpose_16(std::size_t rows, std::size_t cols, const uint16_t* src, std::size_t lds,
                  uint16_t* dst, std::size_t ldd) {
  transpose_small<Words>(rows, cols, src, lds, dst, ldd);
}

void transpose_32(std::size_t rows, std::size_t cols, const uint32_t* src, std::size_t lds,
                  uint32_t* dst, std::size_t ldd) {
  if (transpose_planes<2>(rows, cols, src, lds, dst, ldd) ||
      transpose_planes<3>(rows, cols, src, lds, dst, ldd) ||
      transpose_planes<4>(rows, cols, src, lds, dst, ldd))
    return;
  const float* from = reinterpret_cast<const float*>(src);  // only moved, by may_alias vectors
  float* to = reinterpret_cast<float*>(dst);
  for (std::size_t c = 0; c < cols; c += kF32)
    for (std::size_t r = 0; r < rows; r += kF32) {
      const float* s = from + r * lds + c;
      float* d = to + c * ldd + r;
      if (r + kF32 <= rows && c + kF32 <= cols)
        transpose_square(s, lds, d, ldd);
      else
        transpose_corner(smaller(kF32, rows - r), smaller(kF32, cols - c), s, lds, d, ldd);
    }
}

void transpose_64(std::size_t rows, std::size_t cols, const uint64_t* src, std::size_t lds,
                  uint64_t* dst, std::size_t ldd) {
  transpose_blocks(rows, cols, src, lds, dst, ldd);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(transpose_8, Transpose8)
SDX_DEFINE_KERNEL(transpose_16, Transpose16)
SDX_DEFINE_KERNEL(transpose_32, Transpose32)
SDX_DEFINE_KERNEL(transpose_64, Transpose64)
}  // namespace sdx::kernels
