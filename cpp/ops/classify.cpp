// Which floats are infinite, and which are not numbers.
#include <cmath>
#include <string_view>
#include <type_traits>

#include "kernels/compare.h"
#include "ops/broadcast.h"
#include "ops/small_float.h"

namespace sdx::ops {
namespace {

struct IsNaN {
  explicit IsNaN(const Attributes&) {}
  bool operator()(double x) const { return std::isnan(x); }
};

struct IsInf {
  explicit IsInf(const Attributes& attrs)
      : positive(attrs.get("detect_positive", 1) != 0),
        negative(attrs.get("detect_negative", 1) != 0) {}
  bool operator()(double x) const { return std::isinf(x) && (x > 0 ? positive : negative); }
  bool positive, negative;
};

// What is not a number is not equal to itself.
Step nan_step(int64_t count) {
  return [split = split_work(count, 0.2, kElementGrain),
          run = kernels::compare_f32.resolve()](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      const float* x = f.in<float>(0) + r.begin;
      run(kernels::Relation::not_equal, x, 1, x, 1, f.out<uint8_t>(0) + r.begin,
          static_cast<std::size_t>(r.size()));
    });
  };
}

template <class F>
class Classify final : public Op {
 public:
  explicit Classify(const OpInit& init) : function_(init.attrs) {}

  void infer(InferContext& ctx) const override {
    Type type = ctx.input(0);
    check(is_float(ctx.dtype(0)) || is_small_float(ctx.dtype(0)), "expected floats, got ",
          ctx.dtype(0));
    type.dtype = DType::boolean;
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t count = ctx.count(0);
    if (is_small_float(ctx.dtype(0)))
      return step<uint8_t>(count, [values = small_float_values(ctx.dtype(0))](uint8_t code) {
        return values[code];
      });
    if (std::is_same_v<F, IsNaN> && ctx.dtype(0) == DType::float32) return nan_step(count);
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return step<T>(count, [](T x) { return static_cast<ComputeType<T>>(x); });
    });
  }

 private:
  template <class T, class Read>
  Step step(int64_t count, Read read) const {
    return [split = split_work(count, 0.8, kElementGrain), read, function = function_](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        const T* x = f.in<T>(0);
        bool* y = f.out<bool>(0);
        for (int64_t i = r.begin; i < r.end; ++i) y[i] = function(read(x[i]));
      });
    };
  }

  F function_;
};

}  // namespace

[[gnu::cold]] void register_classify(OpRegistry& ops) {
  ops.add<Classify<IsNaN>>("IsNaN", {.since = 9, .elementwise = true});
  ops.add<Classify<IsInf>>("IsInf", {.since = 10, .elementwise = true});
}

}  // namespace sdx::ops
