// Normalisations: one pass to gather (and add what is skipped to), one about the mean, one to
// write.
#include "kernels/norm.h"

#include "kernels/simd/round.h"
#include "kernels/simd/sum.h"

namespace sdx::kernels {
namespace SDX_ISA {

// out = x + skip + bias of one row; skip or bias may be null.
SDX_INLINE void add_skip(const float* x, const float* skip, const float* bias, float* out,
                         std::size_t n) {
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) {
    VecF v = load(x + i);
    if (skip) v += load(skip + i);
    if (bias) v += load(bias + i);
    store(out + i, v);
  }
  for (; i < n; ++i) {
    float v = x[i];
    if (skip) v += skip[i];
    if (bias) v += bias[i];
    out[i] = v;
  }
}

// y = (s - mean) * inv_std * scale + bias of one row; scale or bias may be null.
SDX_INLINE void write_row(const float* s, float* y, std::size_t n, float mean, float inv_std,
                          const float* scale, const float* bias) {
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) {
    VecF v = (load(s + i) - mean) * inv_std;
    if (scale) v *= load(scale + i);
    if (bias) v += load(bias + i);
    store(y + i, v);
  }
  if (i == n) return;
  VecF v = (load_head(s + i, n - i) - mean) * inv_std;
  if (scale) v *= load_head(scale + i, n - i);
  if (bias) v += load_head(bias + i, n - i);
  store_head(y + i, v, n - i);
}

SDX_INLINE float inverse_root(double variance, float epsilon) {
  return static_cast<float>(1.0 / __builtin_sqrt(variance + static_cast<double>(epsilon)));
}

template <bool kCentred>
SDX_INLINE void norm_rows(const NormRowsArgs& args) {
  const std::size_t cols = args.cols;
  const double count = static_cast<double>(cols);
  for (std::size_t r = 0; r < args.rows; ++r) {
    const std::size_t at = r * cols;
    const float* s = args.x + at;
    float* y = args.y + at;
    if (args.skip || args.skip_bias || args.sum) {
      float* sum = args.sum ? args.sum + at : y;
      add_skip(s, args.skip ? args.skip + at : nullptr, args.skip_bias, sum, cols);
      s = sum;
    }
    const float mean = kCentred ? static_cast<float>(sum_of(s, cols) / count) : 0.0f;
    const float inv_std = inverse_root(squares_about(s, cols, mean) / count, args.epsilon);
    write_row(s, y, cols, mean, inv_std, args.scale, args.bias);
    if (args.mean) args.mean[r] = mean;
    if (args.inv_std) args.inv_std[r] = inv_std;
  }
}

void layer_norm_rows(const NormRowsArgs& args) { norm_rows<true>(args); }
void rms_norm_rows(const NormRowsArgs& args) { norm_rows<false>(args); }

Moments moments(const float* x, std::size_t n) {
  const double count = static_cast<double>(n);
  const float mean = static_cast<float>(sum_of(x, n) / count);
  return {mean, static_cast<float>(squares_about(x, n, mean) / count)};
}

// out[c] = sum over rows of (x - about[c]) or its square, over rows; about may be null.
template <bool kSquare>
SDX_INLINE void mean_columns(const float* x, std::size_t row_stride, std::size_t rows,
                             std::size_t cols, const float* about, float* out) {
  for (std::size_t c = 0; c < cols; c += kF32) {
    const std::size_t lanes = cols - c < kF32 ? cols - c : kF32;
    const bool whole = lanes == kF32;
    const VecF centre = !about ? VecF{} : whole ? load(about + c) : load_head(about + c, lanes);
    const VecF total = sum_lanes(
        rows, [=](std::size_t r) __attribute__((always_inline)) {
          const float* p = x + r * row_stride + c;
          const VecF v = (whole ? load(p) : load_head(p, lanes)) - centre;
          return kSquare ? v * v : v;
        });
    const VecF mean = total / static_cast<float>(rows);
    if (whole)
      store(out + c, mean);
    else
      store_head(out + c, mean, lanes);
  }
}

void moments_columns(const float* x, std::size_t row_stride, std::size_t rows, std::size_t cols,
                     float* mean, float* variance) {
  mean_columns<false>(x, row_stride, rows, cols, nullptr, mean);
  mean_columns<true>(x, row_stride, rows, cols, mean, variance);
}

void scale_shift_rows(const float* x, float* y, std::size_t rows, std::size_t cols,
                      const float* scale, const float* shift) {
  for (std::size_t r = 0; r < rows; ++r, x += cols, y += cols) {
    std::size_t i = 0;
    for (; i + kF32 <= cols; i += kF32)
      store(y + i, load(x + i) * load(scale + i) + load(shift + i));
    for (; i < cols; ++i) y[i] = x[i] * scale[i] + shift[i];
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(layer_norm_rows, NormRows)
SDX_DEFINE_KERNEL(rms_norm_rows, NormRows)
SDX_DEFINE_KERNEL(moments, MomentsOf)
SDX_DEFINE_KERNEL(moments_columns, MomentsColumns)
SDX_DEFINE_KERNEL(scale_shift_rows, ScaleShiftRows)

}  // namespace sdx::kernels
