// Softmax of rows: the maximum, then exponentials and their sum, then the scaling. Short rows are
// taken many at a time.
#include "kernels/softmax.h"

#include "kernels/simd/math.h"
#include "kernels/simd/short_rows.h"
#include "kernels/simd/sum.h"

namespace sdx::kernels {
namespace SDX_ISA {

SDX_INLINE float exponentials_block(const float* x, float* y, std::size_t n, VecF top) {
  VecF s0{}, s1{};
  std::size_t i = 0;
  for (; i + 2 * kF32 <= n; i += 2 * kF32) {
    const VecF e0 = exp_nonpositive(load(x + i) - top);
    const VecF e1 = exp_nonpositive(load(x + i + kF32) - top);
    store(y + i, e0);
    store(y + i + kF32, e1);
    s0 += e0;
    s1 += e1;
  }
  if (i + kF32 <= n) {
    const VecF e = exp_nonpositive(load(x + i) - top);
    store(y + i, e);
    s0 += e;
    i += kF32;
  }
  if (i < n) {
    const VecF e = exp_nonpositive(load_head(x + i, n - i) - top);
    store_head(y + i, e, n - i);
    s1 += first_lanes(e, n - i);
  }
  return reduce_add(s0 + s1);
}

// y = exp(x - peak), and their sum.
SDX_INLINE float exponentials(const float* x, float* y, std::size_t n, float peak) {
  const VecF top = splat(peak);
  double total = 0;
  for (; n > kSumBlock; x += kSumBlock, y += kSumBlock, n -= kSumBlock)
    total += static_cast<double>(exponentials_block(x, y, kSumBlock, top));
  return static_cast<float>(total + static_cast<double>(exponentials_block(x, y, n, top)));
}

SDX_INLINE void multiply(float* y, std::size_t n, float factor) {
  map(
      y, y, n, [=](VecF v) __attribute__((always_inline)) { return v * factor; });
}

struct PeakAndSum {
  VecF peak, sum;
};

// Of kF32 short rows, a lane each; with their columns, or exponentials(x - peak) in their place.
template <bool kExponentials>
SDX_INLINE PeakAndSum take_columns(const float* x, std::size_t cols, VecF* columns) {
  PeakAndSum result = {splat(-kInfinity), VecF{}};
  for_each_column(
      x, cols, [&](std::size_t c, VecF v) __attribute__((always_inline)) {
        columns[c] = v;
        result.peak = max(v, result.peak);
      });
  for (std::size_t c = 0; c < cols; ++c) {
    const VecF e = exp_nonpositive(columns[c] - result.peak);
    if (kExponentials) columns[c] = e;
    result.sum += e;
  }
  return result;
}

void softmax_rows(const float* x, float* y, std::size_t rows, std::size_t cols) {
  const std::size_t grouped = groupable_rows(rows, cols);
  for (std::size_t r = 0; r < grouped; r += kF32, x += kF32 * cols, y += kF32 * cols) {
    VecF columns[kShortRow];
    const VecF factor = 1.0f / take_columns<true>(x, cols, columns).sum;
    store_columns(
        y, cols, [&](std::size_t c) __attribute__((always_inline)) { return columns[c] * factor; });
  }
  for (std::size_t r = grouped; r < rows; ++r, x += cols, y += cols) {
    const float sum = exponentials(x, y, cols, max_of(x, cols));
    multiply(y, cols, 1.0f / sum);
  }
}

void log_softmax_rows(const float* x, float* y, std::size_t rows, std::size_t cols) {
  const std::size_t grouped = groupable_rows(rows, cols);
  for (std::size_t r = 0; r < grouped; r += kF32, x += kF32 * cols, y += kF32 * cols) {
    VecF columns[kShortRow];
    const PeakAndSum row = take_columns<false>(x, cols, columns);
    const VecF tail = log(row.sum);
    store_columns(
        y, cols, [&](std::size_t c) __attribute__((always_inline)) {
          return (columns[c] - row.peak) - tail;
        });
  }
  for (std::size_t r = grouped; r < rows; ++r, x += cols, y += cols) {
    const VecF top = splat(max_of(x, cols));
    const double sum = sum_of(
        x, cols, [=](VecF v) __attribute__((always_inline)) { return exp_nonpositive(v - top); });
    const VecF tail = log(splat(static_cast<float>(sum)));
    map(
        x, y, cols, [=](VecF v) __attribute__((always_inline)) { return (v - top) - tail; });
  }
}

// y = scale x + mask, and their maximum.
SDX_INLINE float scores(const float* x, const float* mask, float* y, std::size_t n, float scale) {
  VecF best = splat(-kInfinity);
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) {
    VecF v = load(x + i) * scale;
    if (mask) v += load(mask + i);
    store(y + i, v);
    best = max(v, best);
  }
  float peak = reduce_max(best);
  for (; i < n; ++i) {
    y[i] = x[i] * scale + (mask ? mask[i] : 0.0f);
    peak = y[i] > peak ? y[i] : peak;
  }
  return peak;
}

void softmax_weights(const SoftmaxWeightsArgs& args) {
  for (std::size_t r = 0; r < args.rows; ++r) {
    float* x = args.x + r * args.stride;
    const float* mask = args.mask ? args.mask + r * args.mask_stride : nullptr;
    const float peak = scores(x, mask, x, args.cols, args.scale);
    // Where all is -inf every difference would be NaN; against 0 they come out as 0, and NaN as
    // NaN.
    args.sums[r] = exponentials(x, x, args.cols, peak == -kInfinity ? 0.0f : peak);
  }
}

void softmax_masked_row(const float* x, const float* mask, float* y, std::size_t cols,
                        std::size_t limit, float scale) {
  limit = limit < cols ? limit : cols;
  const float peak = scores(x, mask, y, limit, scale);
  // Where all is -inf every difference would be NaN; against 0 they come out as 0, and NaN as NaN.
  const float sum = exponentials(y, y, limit, peak == -kInfinity ? 0.0f : peak);
  if (sum != 0.0f) multiply(y, limit, 1.0f / sum);
  for (std::size_t i = limit; i < cols; ++i) y[i] = 0.0f;
}

float softmax_online_row(const float* x, const float* mask, float* y, std::size_t cols, float scale,
                         OnlineSoftmax* state) {
  const float block_peak = scores(x, mask, y, cols, scale);
  const float peak = block_peak > state->max ? block_peak : state->max;
  const float base = peak == -kInfinity ? 0.0f : peak;
  const float sum = exponentials(y, y, cols, base);
  const float factor = exp_nonpositive(splat(state->max - base))[0];
  state->sum = state->sum * factor + sum;
  state->max = peak;
  return factor;
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(softmax_rows, SoftmaxRows)
SDX_DEFINE_KERNEL(log_softmax_rows, SoftmaxRows)
SDX_DEFINE_KERNEL(softmax_weights, SoftmaxWeights)
SDX_DEFINE_KERNEL(softmax_masked_row, SoftmaxMaskedRow)
SDX_DEFINE_KERNEL(softmax_online_row, SoftmaxOnlineRow)

}  // namespace sdx::kernels
