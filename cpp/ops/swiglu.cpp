// SwiGLU, the gated linear unit of "GLU Variants Improve Transformer" (Shazeer, 2020): Swish of the
// gate times the value.
#include "ops/checks.h"
#include "ops/composition.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

class SwiGlu final : public Composition {
 public:
  explicit SwiGlu(const OpInit& init) : alpha_(init.attrs.get("alpha", 1.0)) {}

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const Type &gate = e.input(0)->type(), &value = e.input(1)->type();
    check(is_float(gate.dtype) && gate.dtype == value.dtype, "element types are ", gate.dtype,
          " and ", value.dtype, ", expected one float type");
    if (gate.shape && value.shape)
      check(may_equal(*gate.shape, *value.shape), "shapes differ: ", *gate.shape, " and ",
            *value.shape);
    Value* swish = e.add("Swish", {e.input(0)}, {{"alpha", alpha_}}, 24);
    e.finish(0, e.add("Mul", {swish, e.input(1)}));
    return true;
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0)); }

 private:
  float alpha_;
};

}  // namespace

[[gnu::cold]] void register_swiglu(OpRegistry& ops) {
  ops.add<SwiGlu>("SwiGLU", {.since = 28, .elementwise = true});
}

}  // namespace sdx::ops
