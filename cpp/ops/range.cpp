// Range.
#include <cmath>

#include "ops/axes.h"

namespace sdx::ops {
namespace {

using RangeTypes = TypeList<float, double, Half, BFloat16, int16_t, int32_t, int64_t>;

class Range final : public Op {
 public:
  explicit Range(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    for (int i = 0; i < 3; ++i) {
      check(ctx.dtype(i) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(i));
      if (ctx.has_rank(i)) check(ctx.rank(i) <= 1, "input ", i, " is no scalar: ", ctx.dims(i));
      const Tensor* constant = ctx.constant(i);
      check(!constant || constant->count() == 1, "input ", i, " is no scalar");
    }
    if (is_integer(dtype))
      infer_integers(ctx, dtype);
    else
      ctx.set_output(0, dtype, {float_count(ctx)});
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t count = ctx.output_shape(0)[0];
    return dispatch(RangeTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return [count](Frame& f) {
        using C = ComputeType<T>;
        const C start = static_cast<C>(*f.in<T>(0)), delta = static_cast<C>(*f.in<T>(2));
        T* y = f.out<T>(0);
        f.parallel_for(split_work(count, 0.5), [&](sdx::Range r) {
          for (int64_t i = r.begin; i < r.end; ++i)
            y[i] = static_cast<T>(static_cast<C>(start + static_cast<C>(i) * delta));
        });
      };
    });
  }

 private:
  static void infer_integers(InferContext& ctx, DType dtype) {
    std::optional<Dims> given[3];
    for (int i = 0; i < 3; ++i) {
      given[i] = elements(ctx, i);
      check(!given[i] || given[i]->size() == 1, "expected one number in input ", i);
    }
    if (!given[0] || !given[1] || !given[2] || !(*given[2])[0].is_known())
      return ctx.set_output(0, dtype, {Dim::unknown()});
    const Dim start = (*given[0])[0], limit = (*given[1])[0];
    const int64_t delta = (*given[2])[0].value();
    check(delta != 0, "delta is 0");
    const Dim span = delta > 0 ? limit - start : start - limit;
    const Dim steps = ceil_div(span, delta > 0 ? Dim(delta) : Dim(0) - Dim(delta));
    const Dim count = max(steps, Dim(0));
    ctx.set_output(0, dtype, {count});
    if (!count.is_known() || count.value() > static_cast<int64_t>(kMaxContents)) return;
    Dims contents;
    for (int64_t i = 0; i < count.value(); ++i) contents.push_back(start + Dim(i) * Dim(delta));
    ctx.set_contents(0, std::move(contents));
  }

  static Dim float_count(const InferContext& ctx) {
    double values[3];
    for (int i = 0; i < 3; ++i) {
      if (!ctx.constant(i)) return Dim::unknown();
      values[i] = ctx.constant(i)->to_doubles()[0];
    }
    check(values[2] != 0, "delta is 0");
    const double count = std::ceil((values[1] - values[0]) / values[2]);
    check(count < 1e15, "a range of ", count, " elements");  // false for NaN too
    return static_cast<int64_t>(std::max(count, 0.0));
  }
};

}  // namespace

[[gnu::cold]] void register_range(OpRegistry& ops) { ops.add<Range>("Range", {.since = 11}); }

}  // namespace sdx::ops
