// com.microsoft's FusedGemm: a Gemm and an activation behind it, joined again where they can be.
#include "base/error.h"
#include "ops/composition.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

// (A, B, C?). The parameters of the activation are its own attributes with a prefix.
class FusedGemm final : public Composition {
 public:
  explicit FusedGemm(const OpInit& init)
      : activation_(init.attrs.get("activation", "")),
        transposed_{init.attrs.get("transA", 0) != 0, init.attrs.get("transB", 0) != 0} {
    for (const char* known : {"", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "Selu", "Sigmoid",
                              "ScaledTanh", "Softplus", "Softsign", "Tanh", "ThresholdedRelu"})
      if (activation_ == known) return;
    fail(ErrorKind::invalid_model, "activation is '", activation_, "'");
  }

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0) || !ctx.has_rank(1)) return ctx.set_output(0, ctx.dtype(0));
    for (const int i : {0, 1})
      check(ctx.rank(i) == 2, "input ", i, " has rank ", ctx.rank(i), ", not 2");
    ctx.set_output(0, ctx.dtype(0),
                   {ctx.dims(0)[transposed_[0] ? 1 : 0], ctx.dims(1)[transposed_[1] ? 0 : 1]});
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander to{graph, node};
    NodeSpec product{
        .op_type = "Gemm", .inputs = node.inputs(), .attrs = node.attrs(), .opset = 13};
    NodeSpec activation;
    activation.op_type = activation_;
    activation.opset = activation_ == "ScaledTanh" ? 1 : 22;
    product.attrs.erase("activation");
    for (const std::string name : {"alpha", "beta", "gamma"}) {
      const std::string prefixed = "activation_" + name;
      if (!node.attrs().has(prefixed)) continue;
      product.attrs.erase(prefixed);
      activation.attrs.set(name, node.attrs().get(prefixed, 0.0));
    }
    Value* y = to.add(std::move(product));
    if (!activation_.empty()) {
      activation.inputs = {y};
      y = to.add(std::move(activation));
    }
    to.finish(0, y);
    return true;
  }

 private:
  std::string activation_;
  bool transposed_[2];
};

}  // namespace

[[gnu::cold]] void register_fused_gemm(OpRegistry& ops) {
  ops.add<FusedGemm>("FusedGemm", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
