// Identity: of tensors, and of whatever else a value can be.
#include "ops/movement.h"

namespace sdx::ops {
namespace {

class Identity final : public Op {
 public:
  explicit Identity(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    ctx.set_output(0, ctx.input(0));
    if (auto contents = ctx.contents(0)) ctx.set_contents(0, std::move(*contents));
  }

  Step prepare(PrepareContext& ctx) const override {
    if (ctx.dtype(0) == DType::undefined)  // no tensor
      return [](Frame& f) { f.set_output(0, f.keep_input(0)); };
    return copy_step(ctx);
  }

  bool is_identity() const override { return true; }
};

}  // namespace

[[gnu::cold]] void register_identity(OpRegistry& ops) {
  ops.add<Identity>("Identity", {.in_place = 0b1, .view = true});
}

}  // namespace sdx::ops
