// Transpose.
#include "ops/axes.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

class Transpose final : public Op {
 public:
  explicit Transpose(const OpInit& init) : reverse_(!init.attrs.has("perm")) {
    for (const int64_t axis : init.attrs.ints("perm")) perm_.push_back(axis);
    if (!reverse_) normalize_axes(perm_, static_cast<int64_t>(perm_.size()));
  }

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) {
      if (reverse_) return ctx.set_output(0, ctx.dtype(0));
      return ctx.set_output(0, ctx.dtype(0), unknown_dims(static_cast<int64_t>(perm_.size())));
    }
    const Dims& dims = ctx.dims(0);
    check(reverse_ || perm_.size() == dims.size(), "perm ", perm_, " does not fit rank ",
          dims.size());
    Dims result;
    for (const int64_t axis : order(dims.size())) result.push_back(dims[axis]);
    ctx.set_output(0, ctx.dtype(0), std::move(result));
    if (auto contents = ctx.contents(0); contents && dims.size() <= 1)
      ctx.set_contents(0, *std::move(contents));
  }

  Step prepare(PrepareContext& ctx) const override { return strided_step(ctx, copy(ctx)); }

  // A transpose that only moves axes of size 1 moves nothing.
  std::optional<View> view(const PrepareContext& ctx, int) const override {
    return strided_view(ctx, copy(ctx));
  }

 private:
  Shape order(std::size_t rank) const {
    Shape result(rank);
    for (std::size_t i = 0; i < rank; ++i) {
      const int64_t axis = reverse_ ? static_cast<int64_t>(rank - 1 - i) : perm_[i];
      result[i] = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
    }
    return result;
  }

  StridedCopy copy(const PrepareContext& ctx) const {
    const Shape& from = ctx.shape(0);
    const Shape strides = row_major_strides(from);
    StridedCopy copy;
    for (const int64_t axis : order(from.size())) {
      copy.shape.push_back(from[axis]);
      copy.from.push_back(strides[axis]);
    }
    copy.to = row_major_strides(copy.shape);
    return copy;
  }

  bool reverse_;
  Shape perm_;
};

}  // namespace

[[gnu::cold]] void register_transpose(OpRegistry& ops) { ops.add<Transpose>("Transpose", {}); }

}  // namespace sdx::ops
