// Transposes: floats by squares in registers, other widths by small blocks that stay in cache.
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

}  // namespace

void transpose_8(std::size_t rows, std::size_t cols, const uint8_t* src, std::size_t lds,
                 uint8_t* dst, std::size_t ldd) {
  transpose_blocks(rows, cols, src, lds, dst, ldd);
}

void transpose_16(std::size_t rows, std::size_t cols, const uint16_t* src, std::size_t lds,
                  uint16_t* dst, std::size_t ldd) {
  transpose_blocks(rows, cols, src, lds, dst, ldd);
}

void transpose_32(std::size_t rows, std::size_t cols, const uint32_t* src, std::size_t lds,
                  uint32_t* dst, std::size_t ldd) {
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
