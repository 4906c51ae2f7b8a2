// Det, and Inverse of com.microsoft.
#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "ops/axes.h"
#include "ops/checkpoint.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

// By elimination with the largest pivot; the matrix is used up.
double determinant(double* a, int64_t n, Checkpoint& checkpoint) {
  double result = 1;
  for (int64_t k = 0; k < n; ++k) {
    checkpoint((n - k) * (n - k) / 2);
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i)
      if (std::abs(a[i * n + k]) > std::abs(a[pivot * n + k])) pivot = i;
    if (a[pivot * n + k] == 0) return 0;
    if (pivot != k) {
      std::swap_ranges(a + pivot * n, a + pivot * n + n, a + k * n);
      result = -result;
    }
    result *= a[k * n + k];
    for (int64_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] / a[k * n + k];
      for (int64_t j = k + 1; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return result;
}

// By elimination with the largest pivot; `a` is used up. What has no inverse gives NaN or infinity.
void invert(double* a, double* result, int64_t n, Checkpoint& checkpoint) {
  std::fill_n(result, n * n, 0.0);
  for (int64_t i = 0; i < n; ++i) result[i * n + i] = 1;
  for (int64_t k = 0; k < n; ++k) {
    checkpoint(n * n);
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i)
      if (std::abs(a[i * n + k]) > std::abs(a[pivot * n + k])) pivot = i;
    std::swap_ranges(a + pivot * n, a + pivot * n + (pivot == k ? 0 : n), a + k * n);
    std::swap_ranges(result + pivot * n, result + pivot * n + (pivot == k ? 0 : n), result + k * n);
    const double scale = 1 / a[k * n + k];
    for (int64_t j = 0; j < n; ++j) {
      a[k * n + j] *= scale;
      result[k * n + j] *= scale;
    }
    for (int64_t i = 0; i < n; ++i) {
      const double factor = a[i * n + k];
      if (i == k || factor == 0) continue;
      for (int64_t j = 0; j < n; ++j) {
        a[i * n + j] -= factor * a[k * n + j];
        result[i * n + j] -= factor * result[k * n + j];
      }
    }
  }
}

class Inverse final : public Op {
 public:
  explicit Inverse(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    check_all_floats(ctx);
    if (ctx.has_rank(0)) {
      const Dims& x = ctx.dims(0);
      check(x.size() >= 2 && may_equal(x[x.size() - 1], x[x.size() - 2]),
            "expected square matrices, got shape ", x);
    }
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t n = ctx.shape(0).back(), size = checked_mul(n, n);
    const int64_t batches = size ? ctx.count(0) / size : 0;
    ctx.request_scratch(checked_mul(2 * size, sizeof(double)));
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return [=](Frame& f) {
        double *matrix = f.scratch<double>(), *result = matrix + size;
        Checkpoint checkpoint;
        for (int64_t b = 0; b < batches; ++b) {
          const T* x = f.in<T>(0) + b * size;
          for (int64_t i = 0; i < size; ++i) matrix[i] = static_cast<double>(x[i]);
          invert(matrix, result, n, checkpoint);
          T* y = f.out<T>(0) + b * size;
          for (int64_t i = 0; i < size; ++i)
            y[i] = static_cast<T>(static_cast<ComputeType<T>>(result[i]));
        }
      };
    });
  }
};

class Det final : public Op {
 public:
  explicit Det(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    check(is_float(ctx.dtype(0)), "expected a float input, got ", ctx.dtype(0));
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0));
    const Dims& x = ctx.dims(0);
    check(x.size() >= 2 && may_equal(x[x.size() - 1], x[x.size() - 2]),
          "expected square matrices, got shape ", x);
    ctx.set_output(0, ctx.dtype(0), {x.begin(), x.end() - 2});
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t n = ctx.shape(0).back(), batches = element_count(ctx.output_shape(0));
    ctx.request_scratch(checked_mul(checked_mul(n, n), sizeof(double)));
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return [=](Frame& f) {
        double* matrix = f.scratch<double>();
        Checkpoint checkpoint;
        for (int64_t b = 0; b < batches; ++b) {
          const T* x = f.in<T>(0) + b * n * n;
          for (int64_t i = 0; i < n * n; ++i) matrix[i] = static_cast<double>(x[i]);
          f.out<T>(0)[b] =
              static_cast<T>(static_cast<ComputeType<T>>(determinant(matrix, n, checkpoint)));
        }
      };
    });
  }
};

}  // namespace

[[gnu::cold]] void register_det(OpRegistry& ops) {
  ops.add<Det>("Det", {.since = 11});
  ops.add<Inverse>("Inverse", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
