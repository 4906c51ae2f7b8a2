// Dot products and distances of a few f32 rows and many others.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// c[i][j] = dot(a row i, b row j) for i < m, j < n over `depth` floats. Rows lie lda, ldb and ldc
// floats apart; c overlaps neither input. An element depends on its two rows only.
struct DotRowsArgs {
  std::size_t m = 0, n = 0, depth = 0;
  const float* a = nullptr;
  std::size_t lda = 0;
  const float* b = nullptr;
  std::size_t ldb = 0;
  float* c = nullptr;
  std::size_t ldc = 0;
};
using DotRows = void(const DotRowsArgs& args);

extern const Kernel<DotRows, kIsaCount> dot_rows;  // A * B^T without packing B

// The same where B is [depth][n], its rows lying ldb floats apart: c[i][j] is the dot product, or
// the sum of squared differences, of row i of A and column j of B.
extern const Kernel<DotRows, kIsaCount> dot_columns;
extern const Kernel<DotRows, kIsaCount> square_distances;

}  // namespace sdx::kernels
