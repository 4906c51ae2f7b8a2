// Reductions of rows and columns. A reduction is a few functions of vectors; the loops are shared.
#include "kernels/reduce.h"

#include "kernels/simd/math.h"
#include "kernels/simd/short_rows.h"
#include "kernels/simd/sum.h"

namespace sdx::kernels {
namespace SDX_ISA {

SDX_INLINE VecF itself(VecF v) { return v; }
SDX_INLINE VecF square(VecF v) { return v * v; }

// Columns some vectors at a time: strip(p, read, results) reduces those from p on, a result for
// each vector; read(q) loads one from a row. They go by pairs: where rows lie far apart, the rest
// of a line that one vector leaves is out of the cache when the next one comes.
template <class Strip>
SDX_INLINE void reduce_strips(const float* x, float* y, std::size_t cols, Strip strip) {
  const auto read = [](const float* p) __attribute__((always_inline)) { return load(p); };
  std::size_t c = 0;
  for (; c + 2 * kF32 <= cols; c += 2 * kF32) {
    VecF pair[2];
    strip(x + c, read, pair);
    store(y + c, pair[0]);
    store(y + c + kF32, pair[1]);
  }
  VecF last[1];
  if (c + kF32 <= cols) {
    strip(x + c, read, last);
    store(y + c, last[0]);
    c += kF32;
  }
  const std::size_t lanes = cols - c;
  if (lanes == 0) return;
  strip(
      x + c, [=](const float* p) __attribute__((always_inline)) { return load_head(p, lanes); },
      last);
  store_head(y + c, last[0], lanes);
}

template <class F>
SDX_INLINE void sum_columns(const float* x, std::size_t row_stride, float* y, std::size_t rows,
                            std::size_t cols, F f) {
  reduce_strips(
      x, y, cols, [=](const float* p, auto read, auto& results) __attribute__((always_inline)) {
        sum_lanes(
            rows, results, [=](std::size_t r, std::size_t v) __attribute__((always_inline)) {
              return f(read(p + r * row_stride + v * kF32));
            });
      });
}

struct Greatest {
  static VecF pick(VecF a, VecF b) { return max(a, b); }
  static float fold(VecF v) { return reduce_max(v); }
  static VecI better(VecF a, VecF b) { return a > b; }
  static bool better(float a, float b) { return a > b; }
  static constexpr float kNeutral = -kInfinity;
};

struct Least {
  static VecF pick(VecF a, VecF b) { return min(a, b); }
  static float fold(VecF v) { return reduce_min(v); }
  static VecI better(VecF a, VecF b) { return a < b; }
  static bool better(float a, float b) { return a < b; }
  static constexpr float kNeutral = kInfinity;
};

template <class Extreme>
SDX_INLINE float extreme_of(const float* x, std::size_t n) {
  VecF best0 = splat(Extreme::kNeutral), best1 = best0;
  VecI odd = {};  // lanes that met a NaN
  std::size_t i = 0;
  for (; i + 2 * kF32 <= n; i += 2 * kF32) {
    const VecF v0 = load(x + i), v1 = load(x + i + kF32);
    best0 = Extreme::pick(v0, best0);
    best1 = Extreme::pick(v1, best1);
    odd |= (v0 != v0) | (v1 != v1);
  }
  float best = Extreme::fold(Extreme::pick(best0, best1));
  bool met_nan = any(odd);
  for (; i < n; ++i) {
    best = Extreme::better(x[i], best) ? x[i] : best;
    met_nan |= x[i] != x[i];
  }
  return met_nan ? __builtin_nanf("") : best;
}

template <class Extreme>
SDX_INLINE void extreme_rows(const float* x, float* y, std::size_t rows, std::size_t cols) {
  const std::size_t grouped = groupable_rows(rows, cols);
  for (std::size_t r = 0; r < grouped; r += kF32) {
    VecF best = splat(Extreme::kNeutral);
    VecI odd = {};
    for_each_column(
        x + r * cols, cols, [&](std::size_t, VecF v) __attribute__((always_inline)) {
          best = Extreme::pick(v, best);
          odd |= v != v;
        });
    store(y + r, odd ? splat(__builtin_nanf("")) : best);
  }
  for (std::size_t r = grouped; r < rows; ++r) y[r] = extreme_of<Extreme>(x + r * cols, cols);
}

template <class Extreme>
SDX_INLINE void extreme_columns(const float* x, std::size_t row_stride, float* y, std::size_t rows,
                                std::size_t cols) {
  reduce_strips(
      x, y, cols, [=](const float* p, auto read, auto& results) __attribute__((always_inline)) {
        constexpr std::size_t kVectors = sizeof(results) / sizeof(VecF);
        VecI odd[kVectors] = {};
        for (VecF& best : results) best = splat(Extreme::kNeutral);
        for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
          for (std::size_t i = 0; i < kVectors; ++i) {
            const VecF v = read(p + r * row_stride + i * kF32);
            results[i] = Extreme::pick(v, results[i]);
            odd[i] |= v != v;
          }
#pragma GCC unroll 2
        for (std::size_t i = 0; i < kVectors; ++i)
          results[i] = odd[i] ? splat(__builtin_nanf("")) : results[i];
      });
}

// Takes v, at place `here` of each lane, where it beats the best so far; `ties` are all ones where
// the last of equals is wanted.
template <class Extreme>
SDX_INLINE void take_better(VecF v, VecI here, VecI ties, VecF& best, VecI& where) {
  const VecI v_nan = v != v, best_nan = best != best;
  const VecI take = Extreme::better(v, best) & ~best_nan;
  const VecI tie = ((v == best) | (v_nan & best_nan)) & ties;
  const VecI taken = take | tie | (v_nan & ~best_nan);
  best = taken ? v : best;
  where = taken ? here : where;
}

// Where the extreme of up to 2^30 floats stands; a NaN beats all but an earlier (or later) NaN.
template <class Extreme>
SDX_INLINE std::size_t arg_of(const float* x, std::size_t n, bool last) {
  const auto beats = [=](float a, float b) {
    const bool a_nan = a != a, b_nan = b != b;
    if (a_nan || b_nan) return a_nan && (!b_nan || last);
    return Extreme::better(a, b) || (last && a == b);
  };
  std::size_t at = 0, i = 1;
  if (n >= 2 * kF32) {
    static constexpr int32_t kLanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    VecI lane = load(kLanes);
    VecF best = load(x);
    VecI where = lane;
    const VecI ties = splat(last ? -1 : 0);
    for (i = kF32; i + kF32 <= n; i += kF32) {
      lane += static_cast<int32_t>(kF32);
      take_better<Extreme>(load(x + i), lane, ties, best, where);
    }
    at = static_cast<std::size_t>(where[0]);
    for (std::size_t k = 1; k < kF32; ++k) {
      const std::size_t other = static_cast<std::size_t>(where[k]);
      const std::size_t low = other < at ? other : at, high = other < at ? at : other;
      at = beats(x[high], x[low]) ? high : low;
    }
  }
  for (; i < n; ++i)
    if (beats(x[i], x[at])) at = i;
  return at;
}

// The same by way of the extreme, which is found faster than its place, and then looked for.
template <class Extreme>
SDX_INLINE std::size_t place_of(const float* x, std::size_t n, bool last) {
  const float best = extreme_of<Extreme>(x, n);
  if (n == 0 || best != best) return arg_of<Extreme>(x, n, last);
  const VecF wanted = splat(best);
  if (last) {
    std::size_t end = n;
    while (end >= kF32 && !any(load(x + end - kF32) == wanted)) end -= kF32;
    while (x[end - 1] != best) --end;
    return end - 1;
  }
  std::size_t at = 0;
  while (at + kF32 <= n && !any(load(x + at) == wanted)) at += kF32;
  while (x[at] != best) ++at;
  return at;
}

template <class Extreme>
SDX_INLINE void arg_rows(const float* x, int64_t* y, std::size_t rows, std::size_t cols,
                         ArgTie tie) {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // positions in a lane are 32 bits
  const bool last = tie == ArgTie::last;
  const VecI ties = splat(last ? -1 : 0);
  const std::size_t grouped = groupable_rows(rows, cols);
  for (std::size_t r = 0; r < grouped; r += kF32, x += kF32 * cols) {
    VecF best = {};
    VecI where = {};
    for_each_column(
        x, cols, [&](std::size_t c, VecF v) __attribute__((always_inline)) {
          if (c == 0)
            best = v;
          else
            take_better<Extreme>(v, splat(static_cast<int32_t>(c)), ties, best, where);
        });
    for (std::size_t i = 0; i < kF32; ++i) y[r + i] = where[i];
  }
  for (std::size_t r = grouped; r < rows; ++r, x += cols) {
    std::size_t at = place_of<Extreme>(x, cols < kMost ? cols : kMost, last);
    for (std::size_t c = kMost; c < cols; c += kMost) {
      const std::size_t other =
          c + place_of<Extreme>(x + c, cols - c < kMost ? cols - c : kMost, last);
      const float pair[2] = {x[at], x[other]};
      if (arg_of<Extreme>(pair, 2, last)) at = other;
    }
    y[r] = static_cast<int64_t>(at);
  }
}

// Lane r of the result: the sum over the lanes of v[r], in the order of reduce_add.
SDX_INLINE VecF reduce_add_each(VecF (&v)[kF32]) {
  transpose_square(v);
#pragma GCC unroll 4
  for (std::size_t half = kF32 / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (std::size_t i = 0; i < half; ++i) v[i] += v[i + half];
  return v[0];
}

// Rows of one block are summed many at a time.
template <class F>
SDX_INLINE void sum_rows(const float* x, float* y, std::size_t rows, std::size_t cols, F f) {
  std::size_t r = 0;
  if (cols <= kSumBlock)
    for (; r + kF32 <= rows; r += kF32) {
      VecF sums[kF32];
      for (std::size_t i = 0; i < kF32; ++i) sums[i] = sum_block(x + (r + i) * cols, cols, f);
      store(y + r, reduce_add_each(sums));
    }
  for (; r < rows; ++r) y[r] = static_cast<float>(sum_of(x + r * cols, cols, f));
}

void reduce_sum_rows(const float* x, float* y, std::size_t rows, std::size_t cols) {
  sum_rows(x, y, rows, cols, itself);
}

void reduce_sum_square_rows(const float* x, float* y, std::size_t rows, std::size_t cols) {
  sum_rows(x, y, rows, cols, square);
}

void reduce_l1_rows(const float* x, float* y, std::size_t rows, std::size_t cols) {
  sum_rows(x, y, rows, cols, abs);
}

void reduce_prod_rows(const float* x, float* y, std::size_t rows, std::size_t cols) {
  for (std::size_t r = 0; r < rows; ++r, x += cols) {
    VecF product = splat(1.0f);
    std::size_t i = 0;
    for (; i + kF32 <= cols; i += kF32) product *= load(x + i);
    float result = 1.0f;
    for (std::size_t k = 0; k < kF32; ++k) result *= product[k];
    for (; i < cols; ++i) result *= x[i];
    y[r] = result;
  }
}

void reduce_max_rows(const float* x, float* y, std::size_t rows, std::size_t cols) {
  extreme_rows<Greatest>(x, y, rows, cols);
}

void reduce_min_rows(const float* x, float* y, std::size_t rows, std::size_t cols) {
  extreme_rows<Least>(x, y, rows, cols);
}

void reduce_log_sum_exp_rows(const float* x, float* y, std::size_t rows, std::size_t cols) {
  const std::size_t grouped = groupable_rows(rows, cols);
  for (std::size_t r = 0; r < grouped; r += kF32, x += kF32 * cols) {
    extreme_rows<Greatest>(x, y + r, kF32, cols);
    const VecF peak = load(y + r);
    VecF sum = {};
    for_each_column(
        x, cols, [&](std::size_t, VecF v) __attribute__((always_inline)) {
          sum += exp_nonpositive(v - peak);
        });
    const VecI usual = abs(peak) < splat(kInfinity);
    store(y + r, usual ? peak + log(sum) : peak);
  }
  for (std::size_t r = grouped; r < rows; ++r, x += cols) {
    const float peak = extreme_of<Greatest>(x, cols);
    if (!(__builtin_fabsf(peak) < kInfinity)) {
      y[r] = peak;  // the infinite and NaN are what the formula would give
      continue;
    }
    const VecF top = splat(peak);
    const double sum = sum_of(
        x, cols, [=](VecF v) __attribute__((always_inline)) { return exp_nonpositive(v - top); });
    y[r] = peak + log(splat(static_cast<float>(sum)))[0];
  }
}

void reduce_sum_columns(const float* x, std::size_t row_stride, float* y, std::size_t rows,
                        std::size_t cols) {
  sum_columns(x, row_stride, y, rows, cols, itself);
}

void reduce_sum_square_columns(const float* x, std::size_t row_stride, float* y, std::size_t rows,
                               std::size_t cols) {
  sum_columns(x, row_stride, y, rows, cols, square);
}

void reduce_l1_columns(const float* x, std::size_t row_stride, float* y, std::size_t rows,
                       std::size_t cols) {
  sum_columns(x, row_stride, y, rows, cols, abs);
}

void reduce_prod_columns(const float* x, std::size_t row_stride, float* y, std::size_t rows,
                         std::size_t cols) {
  reduce_strips(
      x, y, cols, [=](const float* p, auto read, auto& results) __attribute__((always_inline)) {
        constexpr std::size_t kVectors = sizeof(results) / sizeof(VecF);
        for (VecF& product : results) product = splat(1.0f);
        for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
          for (std::size_t i = 0; i < kVectors; ++i)
            results[i] *= read(p + r * row_stride + i * kF32);
      });
}

void reduce_max_columns(const float* x, std::size_t row_stride, float* y, std::size_t rows,
                        std::size_t cols) {
  extreme_columns<Greatest>(x, row_stride, y, rows, cols);
}

void reduce_min_columns(const float* x, std::size_t row_stride, float* y, std::size_t rows,
                        std::size_t cols) {
  extreme_columns<Least>(x, row_stride, y, rows, cols);
}

void argmax_rows(const float* x, int64_t* y, std::size_t rows, std::size_t cols, ArgTie tie) {
  arg_rows<Greatest>(x, y, rows, cols, tie);
}

void argmin_rows(const float* x, int64_t* y, std::size_t rows, std::size_t cols, ArgTie tie) {
  arg_rows<Least>(x, y, rows, cols, tie);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(reduce_sum_rows, ReduceRows)
SDX_DEFINE_KERNEL(reduce_sum_square_rows, ReduceRows)
SDX_DEFINE_KERNEL(reduce_l1_rows, ReduceRows)
SDX_DEFINE_KERNEL(reduce_prod_rows, ReduceRows)
SDX_DEFINE_KERNEL(reduce_max_rows, ReduceRows)
SDX_DEFINE_KERNEL(reduce_min_rows, ReduceRows)
SDX_DEFINE_KERNEL(reduce_log_sum_exp_rows, ReduceRows)
SDX_DEFINE_KERNEL(reduce_sum_columns, ReduceColumns)
SDX_DEFINE_KERNEL(reduce_sum_square_columns, ReduceColumns)
SDX_DEFINE_KERNEL(reduce_l1_columns, ReduceColumns)
SDX_DEFINE_KERNEL(reduce_prod_columns, ReduceColumns)
SDX_DEFINE_KERNEL(reduce_max_columns, ReduceColumns)
SDX_DEFINE_KERNEL(reduce_min_columns, ReduceColumns)
SDX_DEFINE_KERNEL(argmax_rows, ArgRows)
SDX_DEFINE_KERNEL(argmin_rows, ArgRows)

}  // namespace sdx::kernels
