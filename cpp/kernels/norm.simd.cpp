// Normalisations: one pass to gather (and add what is skipped to), one about the mean, one to
// write.
#include "kernels/norm.h"

#include "kernels/simd/math.h"
#include "kernels/simd/short_rows.h"
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
  if (i == n) return;
  VecF v = load_head(x + i, n - i);
  if (skip) v += load_head(skip + i, n - i);
  if (bias) v += load_head(bias + i, n - i);
  store_head(out + i, v, n - i);
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

SDX_INLINE void lp_norm_row(const float* x, float* y, std::size_t n, bool squares) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double item = static_cast<double>(x[i]);
    sum += squares ? item * item : __builtin_fabs(item);
  }
  const float norm = static_cast<float>(squares ? __builtin_sqrt(sum) : sum);
  for (std::size_t i = 0; i < n; ++i) y[i] = norm == 0 ? 0.0f : x[i] / norm;
}

// Whether sums of float32 lost nothing to their range, nor will their inverses. Those of zeros are
// not told from those of tiny numbers.
SDX_INLINE bool keeps_range(VecF sum) { return !any(~((sum > 1e-25f) & (sum < 1e25f))); }
SDX_INLINE VecF inverse_norm(VecF sum, bool squares) { return 1.0f / (squares ? sqrt(sum) : sum); }

// As many rows as a vector holds; rows of a power of two, which divides its lanes.
template <std::size_t kCols>
SDX_INLINE std::size_t lp_norm_lanes(const float* x, float* y, std::size_t rows, bool squares) {
  constexpr std::size_t kRows = kF32 / kCols;
  std::size_t r = 0;
  for (; r + kRows <= rows; r += kRows, x += kF32, y += kF32) {
    const VecF v = load(x);
    VecF sum = squares ? v * v : abs(v);
    if constexpr (kCols >= 2) sum += swap_lanes<1>(sum);
    if constexpr (kCols >= 4) sum += swap_lanes<2>(sum);
    if constexpr (kCols >= 8) sum += swap_lanes<4>(sum);
    if (keeps_range(sum)) {
      store(y, v * inverse_norm(sum, squares));
      continue;
    }
    for (std::size_t i = 0; i < kF32; i += kCols) lp_norm_row(x + i, y + i, kCols, squares);
  }
  return r;
}

// Groups of kF32 rows.
SDX_INLINE std::size_t lp_norm_groups(const float* x, float* y, std::size_t rows, std::size_t cols,
                                      bool squares) {
  const std::size_t grouped = groupable_rows(rows, cols);
  for (std::size_t r = 0; r < grouped; r += kF32, x += kF32 * cols, y += kF32 * cols) {
    VecF columns[kShortRow], sum = {};
    for_each_column(
        x, cols, [&](std::size_t c, VecF v) __attribute__((always_inline)) {
          columns[c] = v;
          sum += squares ? v * v : abs(v);
        });
    if (keeps_range(sum)) {
      const VecF inverse = inverse_norm(sum, squares);
      store_columns(
          y,
          cols, [&](std::size_t c) __attribute__((always_inline)) { return columns[c] * inverse; });
      continue;
    }
    for (std::size_t i = 0; i < kF32; ++i) lp_norm_row(x + i * cols, y + i * cols, cols, squares);
  }
  return grouped;
}

void lp_norm_rows(const float* x, float* y, std::size_t rows, std::size_t cols, bool squares) {
  std::size_t done;
  if (cols == 2)
    done = lp_norm_lanes<2>(x, y, rows, squares);
  else if (cols == 4)
    done = lp_norm_lanes<4>(x, y, rows, squares);
  else if (cols == 8 && kF32 >= 8)
    done = lp_norm_lanes < kF32 >= 8 ? 8 : 4 > (x, y, rows, squares);
  else
    done = lp_norm_groups(x, y, rows, cols, squares);
  for (std::size_t r = done; r < rows; ++r) lp_norm_row(x + r * cols, y + r * cols, cols, squares);
}

template <class Load>
SDX_INLINE VecF response(const LocalResponseArgs& args, std::size_t i, Load load_at) {
  VecF sum = {};
  for (std::size_t c = 0; c < args.neighbours; ++c) {
    const VecF v = load_at(args.first + c * args.stride + i);
    sum += v * v;
  }
  const VecF base = sum * args.alpha + args.bias, x = load_at(args.x + i);
  if (args.power == 0.75f) {  // of nearly all models
    const VecF root = sqrt(base);
    return x / (root * sqrt(root));
  }
  return x * exp(log(base) * -args.power);
}

void local_response(const LocalResponseArgs& args) {
  std::size_t i = 0;
  for (; i + kF32 <= args.n; i += kF32)
    store(args.y + i,
          response(
              args, i, [](const float* p) __attribute__((always_inline)) { return load(p); }));
  const std::size_t left = args.n - i;
  if (left)
    store_head(
        args.y + i,
        response(
            args,
            i, [=](const float* p) __attribute__((always_inline)) { return load_head(p, left); }),
        left);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(layer_norm_rows, NormRows)
SDX_DEFINE_KERNEL(rms_norm_rows, NormRows)
SDX_DEFINE_KERNEL(lp_norm_rows, LpNormRows)
SDX_DEFINE_KERNEL(local_response, LocalResponse)
SDX_DEFINE_KERNEL(moments, MomentsOf)
SDX_DEFINE_KERNEL(moments_columns, MomentsColumns)
SDX_DEFINE_KERNEL(scale_shift_rows, ScaleShiftRows)

}  // namespace sdx::kernels
