// SwiGLU, the gated linear unit of "GLU Variants Improve Transformer" (Shazeer, 2020): Swish of the
// gate times the value.
#include "ir/graph.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

class SwiGlu final : public Op {
 public:
  explicit SwiGlu(const OpInit& init) : alpha_(init.attrs.get("alpha", 1.0)) {}

  bool expand(Graph& graph, Node& node) const override {
    check(node.input(0) && node.input(1), "expected 2 inputs");
    const Type &gate = node.input(0)->type(), &value = node.input(1)->type();
    check(is_float(gate.dtype) && gate.dtype == value.dtype, "element types are ", gate.dtype,
          " and ", value.dtype, ", expected one float type");
    if (gate.shape && value.shape)
      check(may_equal(*gate.shape, *value.shape), "shapes differ: ", *gate.shape, " and ",
            *value.shape);
    Attributes attrs;
    attrs.set("alpha", alpha_);
    Node* swish = graph.insert_before(
        &node,
        {.op_type = "Swish", .inputs = {node.input(0)}, .attrs = std::move(attrs), .opset = 24});
    Node* product = graph.insert_before(
        &node, {.op_type = "Mul", .inputs = {swish->output(0), node.input(1)}, .opset = 14});
    graph.replace_uses(node.output(0), product->output(0));
    return true;
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0)); }

  Step prepare(PrepareContext&) const override {
    fail(ErrorKind::internal, "SwiGLU was not replaced by what it is made of");
  }

 private:
  float alpha_;
};

}  // namespace

void register_swiglu(OpRegistry& ops) {
  ops.add<SwiGlu>("SwiGLU", {.since = 28, .elementwise = true});
}

}  // namespace sdx::ops
