// Rows of few columns taken kF32 at a time, a lane each: a vector for every column.
#pragma once

#include "kernels/simd/transpose.h"

namespace sdx::kernels {
namespace SDX_ISA {

// Rows this short are taken many at a time.
constexpr std::size_t kShortRow = 3 * kF32;

// How many rows, counted in groups of kF32, may be read kF32 floats at a time: nothing is read
// behind the last row.
SDX_INLINE std::size_t groupable_rows(std::size_t rows, std::size_t cols) {
  if (cols == 0 || cols >= kShortRow) return 0;
  const std::size_t beyond = (cols + kF32 - 1) / kF32 * kF32 - cols;
  const std::size_t spared = (beyond + cols - 1) / cols;
  return rows < spared ? 0 : (rows - spared) / kF32 * kF32;
}

// Calls f(c, v) for the columns of kF32 rows in order.
template <class F>
SDX_INLINE void for_each_column(const float* x, std::size_t cols, F f) {
  for (std::size_t begin = 0; begin < cols; begin += kF32) {
    VecF square[kF32];
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kF32; ++r) square[r] = load(x + r * cols + begin);
    transpose_square(square);
#pragma GCC unroll 16
    for (std::size_t c = 0; c < kF32; ++c)
      if (begin + c < cols) f(begin + c, square[c]);
  }
}

// Writes kF32 rows whose columns are f(c).
template <class F>
SDX_INLINE void store_columns(float* y, std::size_t cols, F f) {
  for (std::size_t begin = 0; begin < cols; begin += kF32) {
    const std::size_t width = cols - begin < kF32 ? cols - begin : kF32;
    VecF square[kF32] = {};
#pragma GCC unroll 16
    for (std::size_t c = 0; c < kF32; ++c)
      if (c < width) square[c] = f(begin + c);
    transpose_square(square);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kF32; ++r) {
      float* row = y + r * cols + begin;
      if (width == kF32)
        store(row, square[r]);
      else
        store_head(row, square[r], width);
    }
  }
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
