// Where: one of two tensors by a third.
#include <algorithm>

#include "kernels/compare.h"
#include "ops/broadcast.h"
#include "ops/contents.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

// x where the condition, a byte of which any but 0 is true, holds; else y. Numbers are chosen by
// their bits: conditions are often random, and branches on them slow.
template <class T>
T select(uint8_t condition, const T& x, const T& y) {
  if constexpr (std::is_integral_v<T>) {
    const T mask = static_cast<T>(0 - static_cast<T>(condition != 0));
    return static_cast<T>((x & mask) | (y & ~mask));
  } else {
    return condition ? x : y;
  }
}

template <class T>
void choose(const uint8_t* condition, std::size_t condition_step, const T* x, std::size_t x_step,
            const T* y, std::size_t y_step, T* result, std::size_t n) {
  if (condition_step == 0) {
    const bool first = *condition != 0;
    const T* from = first ? x : y;
    const std::size_t step = first ? x_step : y_step;
    for (std::size_t i = 0; i < n; ++i) result[i] = from[i * step];
  } else if constexpr (sizeof(T) == 4 && std::is_integral_v<T>) {
    kernels::select_32.resolve()(condition, x, x_step, y, y_step, result, n);
  } else if constexpr (sizeof(T) == 8 && std::is_integral_v<T>) {
    kernels::select_64.resolve()(condition, x, x_step, y, y_step, result, n);
  } else if (x_step && y_step) {
    for (std::size_t i = 0; i < n; ++i) result[i] = select(condition[i], x[i], y[i]);
  } else if (x_step) {
    const T other = *y;
    for (std::size_t i = 0; i < n; ++i) result[i] = select(condition[i], x[i], other);
  } else if (y_step) {
    const T other = *x;
    for (std::size_t i = 0; i < n; ++i) result[i] = select(condition[i], other, y[i]);
  } else {
    const T first = *x, second = *y;
    for (std::size_t i = 0; i < n; ++i) result[i] = select(condition[i], first, second);
  }
}

class Where final : public Op {
 public:
  explicit Where(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::boolean, "the condition is ", ctx.dtype(0), ", not bool");
    check(ctx.dtype(1) == ctx.dtype(2), "element types differ: ", ctx.dtype(1), " and ",
          ctx.dtype(2));
    infer_broadcast(ctx, ctx.dtype(1));
    set_elementwise_contents<3>(
        ctx, [](const Dim& condition, const Dim& x, const Dim& y) -> std::optional<Dim> {
          if (!condition.is_known()) return std::nullopt;
          return condition.value() != 0 ? x : y;
        });
  }

  Step prepare(PrepareContext& ctx) const override {
    return dispatch_items(ctx.dtype(1), [&]<class T>() -> Step {
      Broadcast walk(ctx.output_shape(0), {&ctx.shape(0), &ctx.shape(1), &ctx.shape(2)});
      return [split = split_work(walk.count, 0.2 + 2 * move_cost<T>(), kElementGrain),
              walk = std::move(walk)](Frame& f) {
        f.parallel_for(split, [&](Range r) {
          walk.for_each_run(r, [&](int64_t first, int64_t n, const Broadcast::Offsets& at) {
            choose(f.in<uint8_t>(0) + at[0], walk.step[0], f.in<T>(1) + at[1], walk.step[1],
                   f.in<T>(2) + at[2], walk.step[2], f.out<T>(0) + first,
                   static_cast<std::size_t>(n));
          });
        });
      };
    });
  }
};

}  // namespace

[[gnu::cold]] void register_where(OpRegistry& ops) {
  ops.add<Where>("Where", {.since = 9, .in_place = 0b110, .elementwise = true});
}

}  // namespace sdx::ops
