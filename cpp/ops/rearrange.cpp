// Less common movers: ReverseSequence, CenterCropPad.
#include "ops/axes.h"
#include "ops/axis_maps.h"
#include "ops/checks.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

class ReverseSequence final : public Op {
 public:
  explicit ReverseSequence(const OpInit& init) {
    const int64_t time = init.attrs.get("time_axis", 0), batch = init.attrs.get("batch_axis", 1);
    check((time == 0 && batch == 1) || (time == 1 && batch == 0), "time_axis ", time,
          " and batch_axis ", batch, " are not 0 and 1");
    time_first_ = time == 0;
  }

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(1) == DType::int64, "expected lengths of int64, got ", ctx.dtype(1));
    ctx.set_output(0, ctx.input(0));
    if (!ctx.has_rank(0)) return;
    check(ctx.rank(0) >= 2, "expected a rank of at least 2, got shape ", ctx.dims(0));
    check_vector(ctx, 1, ctx.dims(0)[time_first_ ? 1 : 0]);
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& shape = ctx.shape(0);
    const int64_t batches = shape[time_first_ ? 1 : 0], times = shape[time_first_ ? 0 : 1];
    const int64_t inner = element_count(std::span<const int64_t>(shape).subspan(2));
    const int64_t batch_stride = time_first_ ? 1 : times, time_stride = time_first_ ? batches : 1;
    return dispatch_items(ctx.dtype(0), [&]<class T>() -> Step {
      return [=](Frame& f) {
        const T* x = f.in<T>(0);
        const int64_t* lengths = f.in<int64_t>(1);
        T* y = f.out<T>(0);
        const double cost = move_cost<T>() * static_cast<double>(times * inner) + 5;
        f.parallel_for(split_work(batches, cost), [&](Range r) {
          for (int64_t b = r.begin; b < r.end; ++b) {
            const int64_t length = lengths[b];
            check_argument(length >= 0 && length <= times, "sequence length ", length,
                           " is out of range for ", times, " time steps");
            for (int64_t t = 0; t < times; ++t) {
              const int64_t from = t < length ? length - 1 - t : t;
              copy_run(x + (b * batch_stride + from * time_stride) * inner,
                       y + (b * batch_stride + t * time_stride) * inner, inner);
            }
          }
        });
      };
    });
  }

 private:
  bool time_first_;
};

class CenterCropPad final : public Op {
 public:
  explicit CenterCropPad(const OpInit& init) {
    if (init.attrs.has("axes")) axes_ = init.attrs.ints("axes");
  }

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0));
    const auto shape = shape_from_input(ctx, 1);
    if (!shape) return ctx.set_output(0, ctx.dtype(0), unknown_dims(ctx.rank(0)));
    check_dims(*shape);
    const Shape axes = resized_axes(ctx.rank(0));
    check(shape->size() == axes.size(), "expected ", axes.size(), " sizes, got ", shape->size());
    Dims dims = ctx.dims(0);
    for (std::size_t i = 0; i < axes.size(); ++i) dims[axes[i]] = (*shape)[i];
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape &from = ctx.shape(0), &to = ctx.output_shape(0);
    if (element_count(to) == 0) return [](Frame&) {};
    AxisMaps maps;
    for (std::size_t i = 0; i < from.size(); ++i) {
      // Of an odd difference, the larger half is at the end.
      const int64_t shift = to[i] > from[i] ? -((to[i] - from[i]) / 2) : (from[i] - to[i]) / 2;
      auto& positions = maps.from.emplace_back(static_cast<std::size_t>(to[i]));
      for (int64_t p = 0; p < to[i]; ++p)
        positions[p] = p + shift >= 0 && p + shift < from[i] ? p + shift : -1;
    }
    return map_axes_step(ctx, maps, -1);
  }

 private:
  Shape resized_axes(int64_t rank) const {
    if (axes_) return normalize_axes(*axes_, rank);
    Shape all(static_cast<std::size_t>(rank));
    for (int64_t i = 0; i < rank; ++i) all[i] = i;
    return all;
  }

  std::optional<std::vector<int64_t>> axes_;
};

}  // namespace

[[gnu::cold]] void register_rearrange(OpRegistry& ops) {
  ops.add<ReverseSequence>("ReverseSequence", {.since = 10});
  ops.add<CenterCropPad>("CenterCropPad", {.since = 18});
}

}  // namespace sdx::ops
