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

// A square with 16 bytes in a row. Rows interleaved with those half the square away, as many times
// as the side has powers of two, are its columns.
template <class Row, class T>
SDX_INLINE void transpose_small_square(const T* src, std::size_t lds, T* dst, std::size_t ldd) {
  typedef Row Unaligned __attribute__((aligned(1), may_alias));
  constexpr std::size_t kSide = 16 / sizeof(T);
  Row rows[kSide];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kSide; ++i)
    rows[i] = *reinterpret_cast<const Unaligned*>(src + i * lds);
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
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kSide; ++i) *reinterpret_cast<Unaligned*>(dst + i * ldd) = rows[i];
}

template <class Row, class T>
SDX_INLINE void transpose_small(std::size_t rows, std::size_t cols, const T* src, std::size_t lds,
                                T* dst, std::size_t ldd) {
  if (transpose_planes<2>(rows, cols, src, lds, dst, ldd) ||
      transpose_planes<3>(rows, cols, src, lds, dst, ldd) ||
      transpose_planes<4>(rows, cols, src, lds, dst, ldd))
    return;
  constexpr std::size_t kSide = 16 / sizeof(T);
  const std::size_t whole_rows = rows / kSide * kSide, whole_cols = cols / kSide * kSide;
  for (std::size_t c = 0; c < whole_cols; c += kSide)
    for (std::size_t r = 0; r < whole_rows; r += kSide)
      transpose_small_square<Row>(src + r * lds + c, lds, dst + c * ldd + r, ldd);
  transpose_blocks(whole_rows, cols - whole_cols, src + whole_cols, lds, dst + whole_cols * ldd,
                   ldd);
  transpose_blocks(rows - whole_rows, cols, src + whole_rows * lds, lds, dst + whole_rows, ldd);
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
