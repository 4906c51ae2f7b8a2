// com.microsoft QLinearAdd: a sum of quantised tensors, quantised again.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ir/graph.h"
#include "kernels/quantize.h"
#include "ops/broadcast.h"
#include "ops/int8_product.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

// Inputs are A, its scale and zero point, B likewise, and the result's scale and zero point.
class QLinearAdd final : public Op {
 public:
  explicit QLinearAdd(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(dtype == DType::uint8 || dtype == DType::int8, "input A is ", dtype);
    check(ctx.dtype(3) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(3));
    for (const int i : {1, 2, 4, 5, 6, 7}) {
      const bool is_scale = i == 1 || i == 4 || i == 6;
      if (!is_scale && !ctx.has_input(i)) continue;
      const auto shape = ctx.input(i).known_shape();
      check(!shape || element_count(*shape) == 1, "input ", i, " is not a scalar");
      if (is_scale)
        check(ctx.dtype(i) == DType::float32, "input ", i, " is ", ctx.dtype(i), ", not float32");
      else
        check(ctx.dtype(i) == dtype, "input ", i, " is ", ctx.dtype(i), ", not ", dtype);
    }
    if (!ctx.has_rank(0) || !ctx.has_rank(3)) return ctx.set_output(0, dtype);
    ctx.set_output(0, dtype, broadcast_dims(ctx.dims(0), ctx.dims(3)));
  }

  Step prepare(PrepareContext& ctx) const override {
    return ctx.dtype(0) == DType::uint8 ? step<uint8_t>(ctx, kernels::quantized_add_u8.resolve())
                                        : step<int8_t>(ctx, kernels::quantized_add_s8.resolve());
  }

 private:
  template <class T, class Kernel>
  static Step step(PrepareContext& ctx, Kernel* add) {
    Broadcast walk(ctx.output_shape(0), {&ctx.shape(0), &ctx.shape(3)});
    return [=, dtype = ctx.dtype(0), split = split_work(walk.count, 0.3, 64)](Frame& f) {
      const float a_scale = *f.in<float>(1), b_scale = *f.in<float>(4), scale = *f.in<float>(6);
      const auto zero = [&](int i) { return zero_point_at(dtype, f.in<std::byte>(i), 0); };
      kernels::QuantizedSum sum;
      sum.a_factor = a_scale / scale;
      sum.b_factor = b_scale / scale;
      sum.offset =
          -static_cast<float>(zero(2)) * sum.a_factor - static_cast<float>(zero(5)) * sum.b_factor;
      sum.zero_point = zero(7);
      const auto lo = static_cast<float>((dtype == DType::int8 ? -128 : 0) - sum.zero_point);
      f.parallel_for(split, [&](Range r) {
        walk.for_each_run(r, [&](int64_t first, int64_t n, const Broadcast::Offsets& at) {
          const T *a = f.in<T>(0) + at[0], *b = f.in<T>(3) + at[1];
          T* y = f.out<T>(0) + first;
          if (walk.step[0] == 1 && walk.step[1] == 1)
            return add(a, b, y, static_cast<std::size_t>(n), sum);
          for (int64_t i = 0; i < n; ++i) {
            const float value =
                static_cast<float>(a[i * static_cast<int64_t>(walk.step[0])]) * sum.a_factor +
                (static_cast<float>(b[i * static_cast<int64_t>(walk.step[1])]) * sum.b_factor +
                 sum.offset);
            const float rounded = std::nearbyint(value >= lo ? std::min(value, lo + 255) : lo);
            y[i] = static_cast<T>(static_cast<int32_t>(rounded) + sum.zero_point);
          }
        });
      });
    };
  }
};

}  // namespace

[[gnu::cold]] void register_qlinear_elementwise(OpRegistry& ops) {
  ops.add<QLinearAdd>("QLinearAdd", {.since = 1, .in_place = 0b1001, .elementwise = true},
                      "com.microsoft");
}

}  // namespace sdx::ops
