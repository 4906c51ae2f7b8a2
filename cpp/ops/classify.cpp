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

// Infinity in the bits of a float as wide as U.
template <class U>
U infinity_bits(DType dtype) {
  if (dtype == DType::bfloat16) return static_cast<U>(0x7f80);
  return static_cast<U>(sizeof(U) == 2 ? 0x7c00 : sizeof(U) == 4 ? 0x7f800000 : 0x7ff0000000000000);
}

// Calls f(infinity) for the bits of a float type.
template <class F>
Step dispatch_bits(DType dtype, F f) {
  if (item_size(dtype) == 2) return f(infinity_bits<uint16_t>(dtype));
  return item_size(dtype) == 4 ? f(infinity_bits<uint32_t>(dtype))
                               : f(infinity_bits<uint64_t>(dtype));
}

// holds(x) of every element.
template <class T, class Holds>
Step each_step(int64_t count, double cost, Holds holds) {
  return [split = split_work(count, cost, kElementGrain), holds](Frame& f) {
    f.parallel_for(split, [&, holds](Range r) {
      const T* x = f.in<T>(0) + r.begin;
      bool* y = f.out<bool>(0) + r.begin;
      for (int64_t i = 0, n = r.size(); i < n; ++i) y[i] = holds(x[i]);
    });
  };
}

template <class U>
constexpr U kSignBit = static_cast<U>(U{1} << (8 * sizeof(U) - 1));

Step classify_step(const IsInf& function, DType dtype, int64_t count) {
  return dispatch_bits(dtype, [&]<class U>(U infinity) {
    // Under the mask the infinities that are asked for are one pattern; 1 under 0 is none.
    U mask = 0, wanted = 1;
    if (function.positive || function.negative) {
      mask = static_cast<U>(~U{});
      wanted = function.positive ? infinity : static_cast<U>(infinity | kSignBit<U>);
      if (function.positive && function.negative) mask ^= kSignBit<U>;
    }
    return each_step<U>(count, 0.2, [=](U x) { return static_cast<U>(x & mask) == wanted; });
  });
}

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

Step classify_step(const IsNaN&, DType dtype, int64_t count) {
  if (dtype == DType::float32) return nan_step(count);
  if (dtype == DType::float64)
    return each_step<double>(count, 0.2, [](double x) { return x != x; });
  const auto infinity = infinity_bits<uint16_t>(dtype);
  return each_step<uint16_t>(count, 0.2, [=](uint16_t x) { return (x & 0x7fff) > infinity; });
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
    if (!is_small_float(ctx.dtype(0))) return classify_step(function_, ctx.dtype(0), count);
    return each_step<uint8_t>(count, 0.8,
                              [values = small_float_values(ctx.dtype(0)), function = function_](
                                  uint8_t code) { return function(values[code]); });
  }

 private:
  F function_;
};

}  // namespace

[[gnu::cold]] void register_classify(OpRegistry& ops) {
  ops.add<Classify<IsNaN>>("IsNaN", {.since = 9, .elementwise = true});
  ops.add<Classify<IsInf>>("IsInf", {.since = 10, .elementwise = true});
}

}  // namespace sdx::ops
