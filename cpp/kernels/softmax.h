// Softmax over contiguous f32 rows, whole, masked as attention wants it, or a block at a time.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// Each of `rows` contiguous rows of `cols`. x and y may be the same array. A row whose maximum is
// not finite gives what the formula gives: NaN where it is infinite.
using SoftmaxRows = void(const float* x, float* y, std::size_t rows, std::size_t cols);

extern const Kernel<SoftmaxRows, kIsaCount> softmax_rows;
extern const Kernel<SoftmaxRows, kIsaCount> log_softmax_rows;

// One row of attention: y[j] = softmax(scale x[j] + mask[j]) over j < limit, 0 for limit <= j <
// cols. mask may be null. Where every score is -inf, or limit is 0, the row is 0. x and y may be
// the same.
using SoftmaxMaskedRow = void(const float* x, const float* mask, float* y, std::size_t cols,
                              std::size_t limit, float scale);

extern const Kernel<SoftmaxMaskedRow, kIsaCount> softmax_masked_row;

// Rows of attention that are divided by their sums later: x[j] = exp(scale x[j] + mask[j] - max) in
// place, and sums[row]. mask may be null, its stride 0. A row of nothing but -inf gives zeros.
struct SoftmaxWeightsArgs {
  float* x = nullptr;
  std::size_t stride = 0;  // floats from one row to the next
  const float* mask = nullptr;
  std::size_t mask_stride = 0;
  std::size_t rows = 0, cols = 0;
  float scale = 1;
  float* sums = nullptr;  // [rows]
};
using SoftmaxWeights = void(const SoftmaxWeightsArgs& args);

extern const Kernel<SoftmaxWeights, kIsaCount> softmax_weights;

// What one row has seen of its scores so far; starts as {-inf, 0}.
struct OnlineSoftmax {
  float max;
  float sum;
};

// The next block of a row whose columns come in blocks: y[j] = exp(scale x[j] + mask[j] - max) with
// the maximum so far, the state updated, and the factor returned by which all that was accumulated
// from earlier blocks must be multiplied. mask may be null; x and y may be the same; cols may be 0.
using SoftmaxOnlineRow = float(const float* x, const float* mask, float* y, std::size_t cols,
                               float scale, OnlineSoftmax* state);

extern const Kernel<SoftmaxOnlineRow, kIsaCount> softmax_online_row;

}  // namespace sdx::kernels
