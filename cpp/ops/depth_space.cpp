// DepthToSpace, SpaceToDepth.
#include "base/checked.h"
#include "ops/axes.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

int64_t block_size_of(const OpInit& init) {
  const int64_t size = init.attrs.require<int64_t>("blocksize");
  check(size >= 1 && size <= (1 << 20), "a blocksize of ", size);
  return size;
}

void check_image(const InferContext& ctx) {
  check(ctx.rank(0) == 4, "expected an input of rank 4, got shape ", ctx.dims(0));
}

// `dim` in `parts` equal parts.
Dim divide(const Dim& dim, int64_t parts, const char* name) {
  check(dim.value_or(0) % parts == 0, name, " of ", dim, " does not split into parts of ", parts);
  return floor_div(dim, Dim(parts));
}

// A strided copy that takes axes `order` of a contiguous block of `shape`.
StridedCopy permuted(const Shape& shape, const Shape& order) {
  const Shape strides = row_major_strides(shape);
  StridedCopy copy;
  for (const int64_t axis : order) {
    copy.shape.push_back(shape[axis]);
    copy.from.push_back(strides[axis]);
  }
  copy.to = row_major_strides(copy.shape);
  return copy;
}

class DepthToSpace final : public Op {
 public:
  explicit DepthToSpace(const OpInit& init) : block_(block_size_of(init)) {
    const std::string mode = init.attrs.get("mode", "DCR");
    check(mode == "DCR" || mode == "CRD", "mode '", mode, "' is neither DCR nor CRD");
    depth_first_ = mode == "DCR";
  }

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0), unknown_dims(4));
    check_image(ctx);
    const Dims& x = ctx.dims(0);
    ctx.set_output(0, ctx.dtype(0),
                   {x[0], divide(x[1], block_ * block_, "depth"), product({x[2], block_}),
                    product({x[3], block_})});
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const int64_t depth = x[1] / (block_ * block_);
    if (depth_first_)
      return strided_step(ctx,
                          permuted({x[0], block_, block_, depth, x[2], x[3]}, {0, 3, 4, 1, 5, 2}));
    return strided_step(ctx,
                        permuted({x[0], depth, block_, block_, x[2], x[3]}, {0, 1, 4, 2, 5, 3}));
  }

 private:
  int64_t block_;
  bool depth_first_;
};

class SpaceToDepth final : public Op {
 public:
  explicit SpaceToDepth(const OpInit& init) : block_(block_size_of(init)) {
    const std::string mode = init.attrs.get("mode", "DCR");
    check(mode == "DCR" || mode == "CRD", "mode '", mode, "' is neither DCR nor CRD");
    depth_first_ = mode == "DCR";
  }

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0), unknown_dims(4));
    check_image(ctx);
    const Dims& x = ctx.dims(0);
    ctx.set_output(0, ctx.dtype(0),
                   {x[0], product({x[1], block_ * block_}), divide(x[2], block_, "height"),
                    divide(x[3], block_, "width")});
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const Shape split{x[0], x[1], x[2] / block_, block_, x[3] / block_, block_};
    return strided_step(
        ctx, permuted(split, depth_first_ ? Shape{0, 3, 5, 1, 2, 4} : Shape{0, 1, 3, 5, 2, 4}));
  }

 private:
  int64_t block_;
  bool depth_first_;
};

}  // namespace

[[gnu::cold]] void register_depth_space(OpRegistry& ops) {
  ops.add<DepthToSpace>("DepthToSpace", {});
  ops.add<SpaceToDepth>("SpaceToDepth", {});
}

}  // namespace sdx::ops
