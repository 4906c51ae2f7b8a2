// The activations of com.microsoft: all are Gelu or Swish, some with a bias in front.
#include "ir/graph.h"
#include "ops/broadcast.h"

namespace sdx::ops {
namespace {

class ContribActivation final : public Op {
 public:
  explicit ContribActivation(const OpInit& init) : name_(init.type) {
    if (name_ == "QuickGelu") alpha_ = init.attrs.get("alpha", 1.702);
    check(name_ != "BiasGelu" || init.input_count == 2, "expected 2 inputs, got ",
          init.input_count);
  }

  bool expand(Graph& graph, Node& node) const override {
    Value* x = node.input(0);
    check(x != nullptr, "input 0 is missing");
    if (Value* bias = node.input(1))
      x = graph.insert_before(&node, {.op_type = "Add", .inputs = {x, bias}, .opset = 14})
              ->output(0);
    Attributes attrs;
    const bool swish = name_ == "QuickGelu";
    if (swish) attrs.set("alpha", alpha_);
    if (name_ == "FastGelu") attrs.set("approximate", std::string("tanh"));
    Node* result = graph.insert_before(&node, {.op_type = swish ? "Swish" : "Gelu",
                                               .inputs = {x},
                                               .attrs = std::move(attrs),
                                               .opset = swish ? 24 : 20});
    graph.replace_uses(node.output(0), result->output(0));
    return true;
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0)); }

  Step prepare(PrepareContext&) const override {
    fail(ErrorKind::internal, name_, " was not replaced by what it is made of");
  }

 private:
  std::string name_;
  float alpha_ = 0;
};

}  // namespace

void register_contrib_gelu(OpRegistry& ops) {
  for (const char* name : {"Gelu", "FastGelu", "BiasGelu", "QuickGelu"})
    ops.add<ContribActivation>(name, {.elementwise = true}, "com.microsoft");
}

}  // namespace sdx::ops
