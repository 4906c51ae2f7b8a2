// Slice, and the experimental DynamicSlice of files before opset 10: the same without steps.
#include "base/checked.h"
#include "ops/axes.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

// Along one axis: `length` items from `start`, `step` apart.
struct AxisSlice {
  Dim start, length;
};

AxisSlice resolve_numbers(int64_t size, int64_t start, int64_t end, int64_t step) {
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto place = [&](int64_t i) {
    return std::clamp(i < 0 && i >= -size ? i + size : i < 0 ? low : i, low, high);
  };
  const int64_t first = place(start), last = place(end);
  const int64_t span = step > 0 ? last - first : first - last;
  if (span <= 0) return {0, 0};
  // Unsigned: the negative of the smallest step has no int64.
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : -static_cast<uint64_t>(step);
  return {first, static_cast<int64_t>((static_cast<uint64_t>(span) - 1) / stride) + 1};
}

// Nothing where the sign of a bound is not known.
std::optional<Dim> place_symbol(const Dim& size, const Dim& bound) {
  constexpr int64_t kFar = std::numeric_limits<int32_t>::max();  // exporters' "to the end"
  if (bound.is_known() && bound.value() >= kFar) return size;
  if (bound.is_known() && bound.value() <= -kFar) return Dim(0);
  if (never_negative(bound)) return min(bound, size);
  if (never_negative(Dim(0) - bound)) return max(size + bound, Dim(0));
  return std::nullopt;
}

AxisSlice resolve(const Dim& size, const Dim& start, const Dim& end, const Dim& step) {
  check(!(step == Dim(0)), "a step of 0");
  if (size.is_known() && start.is_known() && end.is_known() && step.is_known())
    return resolve_numbers(size.value(), start.value(), end.value(), step.value());
  const AxisSlice open{Dim::unknown(), Dim::unknown()};
  if (step.value_or(0) < 1 || size.is_unknown()) return open;
  const auto first = place_symbol(size, start), last = place_symbol(size, end);
  if (!first || !last) return open;
  // The last -start items: as many, unless there are fewer.
  const Dim span = start.is_known() && start.value() < 0 && *last == size
                       ? min(Dim(-start.value()), size)
                       : *last - *first;
  const Dim length = never_negative(span) ? span : max(span, Dim(0));
  return {*first, step == Dim(1) ? length : ceil_div(length, step)};
}

class Slice final : public Op {
 public:
  explicit Slice(const OpInit& init)
      : Slice(init, init.opset >= 10 || init.type == "DynamicSlice") {}

  Slice(const OpInit& init, bool from_inputs)
      : starts_(init, "starts", from_inputs ? 1 : -1),
        ends_(init, "ends", from_inputs ? 2 : -1),
        axes_(init, "axes", from_inputs ? 3 : -1),
        steps_(init, "steps", from_inputs ? 4 : -1) {
    check(from_inputs || (init.attrs.has("starts") && init.attrs.has("ends")),
          "attributes 'starts' and 'ends' are needed");
  }

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0));
    Dims dims = ctx.dims(0);
    const auto starts = starts_.symbols(ctx), ends = ends_.symbols(ctx);
    const auto count = starts_.count(ctx);
    check(!count || *count <= ctx.rank(0), "starts of ", count.value_or(0),
          " axes for an input of rank ", ctx.rank(0));
    const auto axes = axes_.given(ctx) ? axes_.get(ctx) : first_axes(count);
    if (!axes) return ctx.set_output(0, ctx.dtype(0), unknown_dims(ctx.rank(0)));
    const Shape normal = normalize_axes(*axes, ctx.rank(0));
    const auto steps = steps_.given(ctx) ? steps_.symbols(ctx) : Dims(normal.size(), Dim(1));
    if (!starts || !ends || !steps) {
      for (const int64_t axis : normal) dims[axis] = Dim::unknown();
      ctx.set_output(0, ctx.dtype(0), std::move(dims));
      return;
    }
    check(starts->size() == normal.size() && ends->size() == normal.size() &&
              steps->size() == normal.size(),
          "starts, ends, axes and steps differ in length: ", starts->size(), ", ", ends->size(),
          ", ", normal.size(), ", ", steps->size());
    bool numbers = true;
    for (std::size_t i = 0; i < normal.size(); ++i) {
      Dim& dim = dims[normal[i]];
      dim = resolve(dim, (*starts)[i], (*ends)[i], (*steps)[i]).length;
      numbers =
          numbers && (*starts)[i].is_known() && (*ends)[i].is_known() && (*steps)[i].is_known();
    }
    ctx.set_output(0, ctx.dtype(0), dims);
    if (!numbers) {
      if (!ctx.at_load()) ctx.defer();
      return;
    }
    const auto contents = ctx.contents(0);
    if (contents && ctx.rank(0) == 1 && normal.size() == 1 && ctx.dims(0)[0].is_known()) {
      const int64_t step = (*steps)[0].value();
      const AxisSlice part = resolve(ctx.dims(0)[0], (*starts)[0], (*ends)[0], (*steps)[0]);
      Dims kept;
      for (int64_t i = 0; i < part.length.value(); ++i)
        kept.push_back((*contents)[part.start.value() + i * step]);
      ctx.set_contents(0, std::move(kept));
    }
  }

  Traffic traffic(const PrepareContext& ctx) const override { return ctx.bytes_without(0); }

  Step prepare(PrepareContext& ctx) const override {
    const auto [copy, offset] = resolve_all(ctx);
    return strided_step(ctx, copy, offset);
  }

  std::optional<View> view(const PrepareContext& ctx, int) const override {
    if (!all_known(ctx)) return std::nullopt;
    const auto [copy, offset] = resolve_all(ctx);
    return strided_view(ctx, copy, offset);
  }

 private:
  static std::optional<std::vector<int64_t>> first_axes(std::optional<int64_t> count) {
    if (!count) return std::nullopt;
    std::vector<int64_t> axes;
    for (int64_t i = 0; i < *count; ++i) axes.push_back(i);
    return axes;
  }

  bool all_known(const PrepareContext& ctx) const {
    for (int i = 1; i < ctx.input_count(); ++i)
      if (ctx.has_input(i) && !ctx.constant(i)) return false;
    return true;
  }

  struct Block {
    StridedCopy copy;
    int64_t offset = 0;
  };
  Block resolve_all(const PrepareContext& ctx) const {
    const Shape& from = ctx.shape(0);
    Block block{{from, row_major_strides(from), {}}, 0};
    StridedCopy& copy = block.copy;
    const std::vector<int64_t> starts = starts_.get(ctx), ends = ends_.get(ctx);
    const auto axes =
        normalize_axes(axes_.given(ctx) ? axes_.get(ctx) : *first_axes(starts.size()), from.size());
    const auto steps = steps_.given(ctx) ? steps_.get(ctx) : std::vector<int64_t>(starts.size(), 1);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const int64_t axis = axes[i];
      const AxisSlice part = resolve_numbers(from[axis], starts[i], ends[i], steps[i]);
      copy.shape[axis] = part.length.value();
      block.offset += part.start.value() * copy.from[axis];
      copy.from[axis] = part.length.value() > 1 ? copy.from[axis] * steps[i] : 0;
    }
    copy.to = row_major_strides(copy.shape);
    return block;
  }

  IntegerList starts_, ends_, axes_, steps_;
};

}  // namespace

[[gnu::cold]] void register_slice(OpRegistry& ops) {
  ops.add<Slice>("Slice", {});
  ops.add<Slice>("DynamicSlice", {});
}

}  // namespace sdx::ops
