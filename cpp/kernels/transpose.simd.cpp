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

typedef float Quad __attribute__((vector_size(16), aligned(4), may_alias));

// Lane group g of row i, of four lanes each, trades its lanes with those of the other rows: lane j
// of row i becomes lane i of row j.
SDX_INLINE void transpose_quads(VecF (&rows)[4]) {
  AllLanes::exchange<1>(rows[0], rows[1]);
  AllLanes::exchange<1>(rows[2], rows[3]);
  AllLanes::exchange<2>(rows[0], rows[2]);
  AllLanes::exchange<2>(rows[1], rows[3]);
}

// kF32 columns of three or four dense planes into pixels. A pixel of three is written with the
// first float of the next one, which follows; behind the last pixel nothing is written.
SDX_INLINE void planes_to_pixels(std::size_t planes, const float* src, std::size_t lds,
                                 float* dst) {
  VecF rows[4];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i) rows[i] = i < planes ? load(src + i * lds) : VecF{};
  transpose_quads(rows);
  alignas(kVecBytes) float quads[4][kF32];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) store(quads[i], rows[i]);
#pragma GCC unroll 16
  for (std::size_t c = 0; c + 1 < kF32; ++c)
    *reinterpret_cast<Quad*>(dst + c * planes) =
        *reinterpret_cast<const Quad*>(quads[c % 4] + c / 4 * 4);
  for (std::size_t i = 0; i < planes; ++i)
    dst[(kF32 - 1) * planes + i] = quads[(kF32 - 1) % 4][(kF32 - 1) / 4 * 4 + i];
}

// kF32 pixels of two to four floats into planes; of every pixel four floats are read.
SDX_INLINE void pixels_to_planes(std::size_t planes, const float* src, std::size_t lds, float* dst,
                                 std::size_t ldd) {
  alignas(kVecBytes) float quads[4][kF32];
#pragma GCC unroll 16
  for (std::size_t c = 0; c < kF32; ++c)
    *reinterpret_cast<Quad*>(quads[c % 4] + c / 4 * 4) =
        *reinterpret_cast<const Quad*>(src + c * lds);
  VecF rows[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) rows[i] = load(quads[i]);
  transpose_quads(rows);
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i)
    if (i < planes) store(dst + i * ldd, rows[i]);
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
  if ((rows == 3 || rows == 4) && ldd == rows) {
    for (; cols >= kF32; cols -= kF32, from += kF32, to += kF32 * ldd)
      planes_to_pixels(rows, from, lds, to);
  } else if (cols >= 2 && cols <= 4) {
    // Two more pixels, so that four floats from the last one on can be read.
    for (; rows >= kF32 + 2; rows -= kF32, from += kF32 * lds, to += kF32)
      pixels_to_planes(cols, from, lds, to, ldd);
  }
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
