#include "passes/epilogue.h"
#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

struct Activation {
  std::string name;
  std::optional<float> alpha = {}, beta = {};
};

std::optional<Activation> activation_of(const Node& node) {
  if (node.domain() == "com.microsoft") {
    if (node.op_type() == "Swish" && node.attrs().get("alpha", 1.0) == 1.0f)
      return Activation{"Silu"};
    if (node.op_type() == "Gelu") return Activation{"Gelu"};
    if (node.op_type() == "FastGelu" && node.inputs().size() == 1) return Activation{"FastGelu"};
    if (node.op_type() == "QuickGelu" && node.attrs().get("alpha", 1.702) == 1.0f)
      return Activation{"Silu"};
    return std::nullopt;
  }
  if (!node.domain().empty()) return std::nullopt;
  for (const char* name : {"Relu", "Sigmoid", "Tanh", "HardSwish"})
    if (node.op_type() == name) return Activation{name};
  if (node.op_type() == "Clip") {
    const auto bounds = clip_bounds(node);
    if (!bounds) return std::nullopt;
    return Activation{"Clip", bounds->first, bounds->second};
  }
  if (node.op_type() == "LeakyRelu")
    return Activation{"LeakyRelu", node.attrs().get("alpha", 0.01)};
  if (node.op_type() == "HardSigmoid")
    return Activation{"HardSigmoid", node.attrs().get("alpha", 0.2), node.attrs().get("beta", 0.5)};
  if (node.op_type() == "Swish" && node.attrs().get("alpha", 1.0) == 1.0f)
    return Activation{"Silu"};
  if (node.op_type() == "Gelu")
    return Activation{node.attrs().get("approximate", "none") == "tanh" ? "FastGelu" : "Gelu"};
  return std::nullopt;
}

// Products that take the activation of `value`: the one behind it, or all that a Concat joins, with
// or without a Reshape each. None: not all can.
std::vector<Node*> products_behind(const Value* value) {
  if (Node* product = open_epilogue(value)) return {product};
  const Node* concat = sole_producer(value, "Concat");
  if (!concat) return {};
  std::vector<Node*> products;
  for (const Value* part : concat->inputs()) {
    const Node* reshape = sole_producer(part, "Reshape");
    Node* product = open_epilogue(reshape ? reshape->input(0) : part);
    if (!product) return {};
    products.push_back(product);
  }
  return products;
}

}  // namespace

// y = Relu(Conv(x, w, b)) becomes y = sardonyx::FusedConv(x, w, b) {activation = "Relu"}; so
// do all convolutions that are joined before they are activated.
bool fuse_activation(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (node->outputs().size() != 1) continue;
    const auto activation = activation_of(*node);
    if (!activation) continue;
    const std::vector<Node*> products = products_behind(node->input(0));
    if (products.empty()) continue;
    for (Node* product : products) {
      Attributes attrs = product->attrs();
      attrs.set("activation", activation->name);
      if (activation->alpha) attrs.set("activation_alpha", *activation->alpha);
      if (activation->beta) attrs.set("activation_beta", *activation->beta);
      remake(graph, product, product, product->inputs(), std::move(attrs));
    }
    graph.replace_uses(node->output(0), node->input(0));
    graph.erase(node);
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
