// Reductions of f32 over contiguous rows and over columns, and the position of the extremes.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// y[r] = reduction of the r-th contiguous row of `cols`. An empty row gives the neutral element.
// Sums are pairwise over blocks: the error grows with log(cols). Extremes of a NaN are NaN.
using ReduceRows = void(const float* x, float* y, std::size_t rows, std::size_t cols);

extern const Kernel<ReduceRows, kIsaCount> reduce_sum_rows;
extern const Kernel<ReduceRows, kIsaCount> reduce_sum_square_rows;
extern const Kernel<ReduceRows, kIsaCount> reduce_l1_rows;
extern const Kernel<ReduceRows, kIsaCount> reduce_prod_rows;
extern const Kernel<ReduceRows, kIsaCount> reduce_max_rows;
extern const Kernel<ReduceRows, kIsaCount> reduce_min_rows;
extern const Kernel<ReduceRows, kIsaCount> reduce_log_sum_exp_rows;

// y[c] = reduction over `rows` rows, which lie row_stride apart; move x and y for a sub-range.
using ReduceColumns = void(const float* x, std::size_t row_stride, float* y, std::size_t rows,
                           std::size_t cols);

extern const Kernel<ReduceColumns, kIsaCount> reduce_sum_columns;
extern const Kernel<ReduceColumns, kIsaCount> reduce_sum_square_columns;
extern const Kernel<ReduceColumns, kIsaCount> reduce_l1_columns;
extern const Kernel<ReduceColumns, kIsaCount> reduce_prod_columns;
extern const Kernel<ReduceColumns, kIsaCount> reduce_max_columns;
extern const Kernel<ReduceColumns, kIsaCount> reduce_min_columns;

// y[r] = where in the row (cols >= 1) the extreme first stands, or last. A NaN is the extreme.
enum class ArgTie : unsigned char { first, last };
using ArgRows = void(const float* x, int64_t* y, std::size_t rows, std::size_t cols, ArgTie tie);

extern const Kernel<ArgRows, kIsaCount> argmax_rows;
extern const Kernel<ArgRows, kIsaCount> argmin_rows;

}  // namespace sdx::kernels
