// The activations of com.microsoft: all are Gelu or Swish, some with a bias in front.
#include "ops/composition.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

class ContribActivation final : public Composition {
 public:
  explicit ContribActivation(const OpInit& init) : name_(init.type) {
    if (name_ == "QuickGelu") alpha_ = init.attrs.get("alpha", 1.702);
    check(name_ != "BiasGelu" || init.input_count == 2, "expected 2 inputs, got ",
          init.input_count);
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    Value* x = e.input(0);
    if (Value* bias = node.input(1)) x = e.add("Add", {x, bias});
    if (name_ == "QuickGelu")
      x = e.add("Swish", {x}, {{"alpha", alpha_}}, 24);
    else if (name_ == "FastGelu")
      x = e.add("Gelu", {x}, {{"approximate", std::string("tanh")}}, 20);
    else
      x = e.add("Gelu", {x}, {}, 20);
    e.finish(0, x);
    return true;
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0)); }

 private:
  std::string name_;
  float alpha_ = 0;
};

}  // namespace

[[gnu::cold]] void register_contrib_gelu(OpRegistry& ops) {
  for (const char* name : {"Gelu", "FastGelu", "BiasGelu", "QuickGelu"})
    ops.add<ContribActivation>(name, {.elementwise = true}, "com.microsoft");
}

}  // namespace sdx::ops
