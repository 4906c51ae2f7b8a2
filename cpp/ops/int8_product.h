// 8-bit products with 32-bit sums, as operators see them: which input holds what, packed weights,
// zero points and scales, and the grid of blocks that threads share.
#pragma once

#include <functional>

#include "ir/op.h"
#include "kernels/int8.h"

namespace sdx::ops {

// Input numbers of an operator; -1 for what it has not.
struct Int8Inputs {
  int a = -1, b = -1;
  int a_zero = -1, b_zero = -1;
  int a_scale = -1, b_scale = -1;
  int y_scale = -1, y_zero = -1;
  int bias = -1;
};

// Slots of PackContext that pack_int8_weights fills.
enum Int8Slot { kInt8Weights = 0, kInt8ColumnSums = 1, kInt8ZeroPoints = 2 };

// Weights as a [depth, columns] matrix somewhere in memory; see kernels::Int8PackArgs.
struct Int8Matrix {
  int64_t k = 0, n = 0, group = 0;
  int64_t k_stride = 0, n_stride = 0;
};

std::size_t int8_weight_bytes(const Int8Matrix& matrix);
void pack_int8_weights(DType dtype, const void* data, const Int8Matrix& matrix, int8_t* packed,
                       int32_t* column_sums);
// The same of a whole matrix in a run, which may end meanwhile.
void pack_int8_weights(const Frame& frame, DType dtype, const void* data, const Int8Matrix& matrix,
                       int8_t* packed, int32_t* column_sums);

// Zero points of weights widened, one a column, less 128 for unsigned types as packed weights are;
// false where all are zero.
bool widen_zero_points(DType dtype, const void* zeros, int64_t count, int64_t columns,
                       int32_t* widened);
// Checks element types: scales are floats, zero points are of the type they belong to.
void check_int8_inputs(const InferContext& ctx, const Int8Inputs& in);

// Element i of a scale of any float type.
float scale_at(DType dtype, const void* scales, int64_t i);
// Element i of a zero point of 8 bits; 0 where there is none.
int32_t zero_point_at(DType dtype, const void* zeros, int64_t i);

// Rows by panels in blocks of fixed size, so that sums and order depend on sizes alone.
struct Int8Grid {
  int64_t rows = 0, panels = 0;
  int64_t row_step = 1, panel_step = 1;
  Split split;

  Int8Grid(int64_t rows, int64_t n, int64_t k);
  // Calls f(row range, panel range) for every block.
  void run(const Frame& frame, const std::function<void(Range, Range)>& f) const;
};

}  // namespace sdx::ops
