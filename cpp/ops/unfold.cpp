// com.microsoft UnfoldTensor: the windows along an axis, each laid along a new last axis.
#include "base/checked.h"
#include "ops/axes.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

class UnfoldTensor final : public Op {
 public:
  explicit UnfoldTensor(const OpInit& init)
      : axis_(init.attrs.get("dim", -1)),
        size_(init.attrs.require<int64_t>("size")),
        step_(init.attrs.get("step", 1)) {
    check(size_ > 0 && step_ > 0, "windows of ", size_, " at steps of ", step_);
  }

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0));
    Dims dims = ctx.dims(0);
    Dim& dim = dims[normalize_axis(axis_, ctx.rank(0))];
    check(dim.value_or(size_) >= size_, "windows of ", size_, " in an axis of ", dim);
    dim = floor_div(dim - Dim(size_), Dim(step_)) + Dim(1);
    dims.emplace_back(size_);
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& y = ctx.output_shape(0);
    const int64_t axis = normalize_axis(axis_, static_cast<int64_t>(ctx.shape(0).size()));
    check(ctx.shape(0)[axis] >= size_, "windows of ", size_, " in an axis of ", ctx.shape(0)[axis]);
    Shape from = row_major_strides(ctx.shape(0));
    from.push_back(from[axis]);
    from[axis] = y[axis] > 1 ? checked_mul(from[axis], step_) : 0;
    return strided_step(ctx, {y, from, row_major_strides(y)});
  }

 private:
  int64_t axis_, size_, step_;
};

}  // namespace

[[gnu::cold]] void register_unfold(OpRegistry& ops) {
  ops.add<UnfoldTensor>("UnfoldTensor", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
