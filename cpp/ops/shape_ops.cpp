// Shape, Size.
#include "ops/axes.h"

namespace sdx::ops {
namespace {

class ShapeOf final : public Op {
 public:
  explicit ShapeOf(const OpInit& init)
      : start_(init.attrs.get("start", 0)),
        end_(init.attrs.get("end", std::numeric_limits<int64_t>::max())) {}

  void infer(InferContext& ctx) const override {
    ctx.dtype(0);
    if (!ctx.has_rank(0)) return ctx.set_output(0, DType::int64, {Dim::unknown()});
    const auto [begin, end] = range(ctx.rank(0));
    ctx.set_output(0, DType::int64, {end - begin});
    ctx.set_contents(0, {ctx.dims(0).begin() + begin, ctx.dims(0).begin() + end});
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& shape = ctx.shape(0);
    const auto [begin, end] = range(static_cast<int64_t>(shape.size()));
    return [part = Shape(shape.begin() + begin, shape.begin() + end)](Frame& f) {
      std::copy(part.begin(), part.end(), f.out<int64_t>(0));
    };
  }

 private:
  std::pair<int64_t, int64_t> range(int64_t rank) const {
    const auto clamp = [rank](int64_t i) {
      return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank);
    };
    const int64_t begin = clamp(start_);
    return {begin, std::max(begin, clamp(end_))};
  }

  int64_t start_, end_;
};

class SizeOf final : public Op {
 public:
  explicit SizeOf(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    ctx.dtype(0);
    ctx.set_output(0, DType::int64, Dims{});
    if (ctx.has_rank(0)) ctx.set_contents(0, {product(ctx.dims(0))});
  }

  Step prepare(PrepareContext& ctx) const override {
    return [count = ctx.count(0)](Frame& f) { *f.out<int64_t>(0) = count; };
  }
};

}  // namespace

[[gnu::cold]] void register_shape_ops(OpRegistry& ops) {
  ops.add<ShapeOf>("Shape", {});
  ops.add<SizeOf>("Size", {});
}

}  // namespace sdx::ops
