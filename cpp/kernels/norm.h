// Normalisations of f32: rows (LayerNormalization, RMSNormalization and their Skip forms) and the
// parts from which instance, group and batch normalisation are put together in either layout.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// Rows of `cols` contiguous floats. With s = x + skip + skip_bias (those that are given):
// y = (s - mean) * inv_std * scale + bias; RMS normalisation has mean 0. Means are taken in two
// passes. y and sum may each be x or skip; y and sum differ.
struct NormRowsArgs {
  const float* x = nullptr;
  const float* skip = nullptr;       // [rows, cols], may be null
  const float* skip_bias = nullptr;  // [cols], may be null
  const float* scale = nullptr;      // [cols], may be null: 1
  const float* bias = nullptr;       // [cols], may be null: 0
  float* y = nullptr;
  float* sum = nullptr;      // [rows, cols], where s goes; may be null
  float* mean = nullptr;     // [rows], may be null
  float* inv_std = nullptr;  // [rows], 1 / sqrt(variance + epsilon); may be null
  std::size_t rows = 0;
  std::size_t cols = 0;
  float epsilon = 0;
};
using NormRows = void(const NormRowsArgs& args);

extern const Kernel<NormRows, kIsaCount> layer_norm_rows;
extern const Kernel<NormRows, kIsaCount> rms_norm_rows;

// Mean and population variance of n contiguous floats (n >= 1), in two passes.
struct Moments {
  float mean;
  float variance;
};
using MomentsOf = Moments(const float* x, std::size_t n);

extern const Kernel<MomentsOf, kIsaCount> moments;

// The same for each of `cols` columns of `rows` rows (rows >= 1) that lie row_stride apart:
// sub-ranges of columns are had by moving x, mean and variance.
using MomentsColumns = void(const float* x, std::size_t row_stride, std::size_t rows,
                            std::size_t cols, float* mean, float* variance);

extern const Kernel<MomentsColumns, kIsaCount> moments_columns;

// Rows of `cols` contiguous floats divided by the square root of their sum of squares or, where
// `squares` is false, by their sum of magnitudes; a row of zeros stays so. It is made for short
// rows. x and y may be the same.
using LpNormRows = void(const float* x, float* y, std::size_t rows, std::size_t cols, bool squares);

extern const Kernel<LpNormRows, kIsaCount> lp_norm_rows;

// n floats divided by (bias + alpha * sum) ^ power, where the sum is of the squares of `neighbours`
// runs of n floats from `first` on, `stride` apart. y overlaps none of them.
struct LocalResponseArgs {
  const float* x;
  const float* first;
  float* y;
  std::size_t n, neighbours, stride;
  float alpha, power, bias;
};
using LocalResponse = void(const LocalResponseArgs& args);

extern const Kernel<LocalResponse, kIsaCount> local_response;

// y[r, c] = x[r, c] * scale[c] + shift[c] over contiguous rows of `cols`; x and y may be the same.
// The form with one scale and shift for a run is unary_scale_shift.
using ScaleShiftRows = void(const float* x, float* y, std::size_t rows, std::size_t cols,
                            const float* scale, const float* shift);

extern const Kernel<ScaleShiftRows, kIsaCount> scale_shift_rows;

}  // namespace sdx::kernels
