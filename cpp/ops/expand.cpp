// Operators that repeat their input: Expand, Tile.
#include <cmath>

#include "base/checked.h"
#include "ops/axes.h"
#include "ops/broadcast.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

// The elements of `dims` copies, where one element is all there is or nothing is repeated.
void repeat_contents(InferContext& ctx, const Dims& dims) {
  const auto contents = ctx.contents(0);
  const Dim count = product(dims);
  if (contents && contents->size() == 1 && count.is_known() &&
      count.value() <= static_cast<int64_t>(kMaxContents))
    ctx.set_contents(0, Dims(count.value(), contents->front()));
  else if (contents && count == Dim(static_cast<int64_t>(contents->size())))
    ctx.set_contents(0, *contents);
}

class Expand final : public Op {
 public:
  explicit Expand(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    const auto target = shape_from_input(ctx, 1);
    if (!target || !ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0));
    check_dims(*target);
    const Dims dims = broadcast_dims(ctx.dims(0), *target);
    ctx.set_output(0, ctx.dtype(0), dims);
    repeat_contents(ctx, dims);
    if (!to_shape(*target) && !ctx.at_load()) ctx.defer();  // the run checks that it broadcasts
  }

  Step prepare(PrepareContext& ctx) const override { return strided_step(ctx, copy(ctx)); }

  std::optional<View> view(const PrepareContext& ctx, int) const override {
    return strided_view(ctx, copy(ctx));
  }

 private:
  static StridedCopy copy(const PrepareContext& ctx) {
    const Shape& to = ctx.output_shape(0);
    return {to, broadcast_strides(ctx.shape(0), to), row_major_strides(to)};
  }
};

// Opset 1 repeats one axis: inputs tiles and axis are scalars there.
class Tile final : public Op {
 public:
  explicit Tile(const OpInit& init) : one_axis_(init.opset < 6) {}

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0));
    const auto repeats = repeats_of(ctx);
    if (!repeats) return ctx.set_output(0, ctx.dtype(0), unknown_dims(ctx.rank(0)));
    check(static_cast<int64_t>(repeats->size()) == ctx.rank(0), "expected ", ctx.rank(0),
          " repeats, got ", repeats->size());
    check_dims(*repeats);
    Dims dims;
    for (std::size_t i = 0; i < repeats->size(); ++i)
      dims.push_back(product({ctx.dims(0)[i], (*repeats)[i]}));
    ctx.set_output(0, ctx.dtype(0), dims);
    repeat_contents(ctx, dims);
  }

  Step prepare(PrepareContext& ctx) const override { return strided_step(ctx, copy(ctx)); }

  std::optional<View> view(const PrepareContext& ctx, int) const override {
    return strided_view(ctx, copy(ctx));
  }

 private:
  std::optional<Dims> repeats_of(const InferContext& ctx) const {
    if (!one_axis_) {
      check(ctx.dtype(1) == DType::int64, "repeats are ", ctx.dtype(1), ", not int64");
      return ctx.contents(1);
    }
    const Tensor* tiles = ctx.constant(1);
    const Tensor* axis = ctx.constant(2);
    if (!tiles || !axis) return std::nullopt;
    check(tiles->count() == 1 && axis->count() == 1, "tiles and axis must have one element");
    Dims repeats(ctx.rank(0), Dim(1));
    repeats[normalize_axis(whole(*axis), ctx.rank(0))] = whole(*tiles);
    return repeats;
  }

  // The one number, which has the type of the input, floats too.
  static int64_t whole(const Tensor& tensor) {
    const double value = tensor.to_doubles()[0];
    check(std::abs(value) < 0x1p53 && value == std::floor(value), value, " is no whole number");
    return static_cast<int64_t>(value);
  }

  // Every axis becomes a pair: which repetition, and where in it.
  static StridedCopy copy(const PrepareContext& ctx) {
    const Shape& from = ctx.shape(0);
    const Shape strides = row_major_strides(from);
    StridedCopy copy;
    for (std::size_t i = 0; i < from.size(); ++i) {
      copy.shape.push_back(from[i] ? ctx.output_shape(0)[i] / from[i] : 0);
      copy.from.push_back(0);
      copy.shape.push_back(from[i]);
      copy.from.push_back(strides[i]);
    }
    copy.to = row_major_strides(copy.shape);
    return copy;
  }

  bool one_axis_;
};

}  // namespace

[[gnu::cold]] void register_expand(OpRegistry& ops) {
  ops.add<Expand>("Expand", {.since = 8});
  ops.add<Tile>("Tile", {});
}

}  // namespace sdx::ops
