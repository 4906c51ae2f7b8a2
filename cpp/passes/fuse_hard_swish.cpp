#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

// x where value is Clip(x + 3, 0, 6).
Value* clipped(const Value* value) {
  const Node* clip = producer(value, "Clip");
  const auto bounds = clip ? clip_bounds(*clip) : std::nullopt;
  if (!bounds || bounds->first != 0 || bounds->second != 6) return nullptr;
  const Node* sum = producer(clip->input(0), "Add");
  const auto three = sum ? scalar_operand(*sum) : std::nullopt;
  return three && three->first == 3 ? three->second : nullptr;
}

// What the node divides by 6, however it is written.
Value* sixth(const Node& node) {
  if (node.is("Div")) return is_scalar(node.input(1), 6.0) ? node.input(0) : nullptr;
  const auto operand = node.is("Mul") ? scalar_operand(node) : std::nullopt;
  return operand && is_about(operand->first, 1.0 / 6) ? operand->second : nullptr;
}

// x where value is clip(x / 6 + 1/2, 0, 1).
Value* hard_sigmoid(const Value* value) {
  const Node* node = value ? value->producer() : nullptr;
  if (!node) return nullptr;
  if (node->is("HardSigmoid")) {
    const bool usual = is_about(node->attrs().get("alpha", 0.2), 1.0 / 6) &&
                       is_about(node->attrs().get("beta", 0.5), 0.5);
    return usual ? node->input(0) : nullptr;
  }
  const Value* inner = sixth(*node);
  return inner ? clipped(inner) : nullptr;
}

// x where the node is x times one of those, or x Clip(x + 3, 0, 6) / 6.
Value* hard_swish(const Node& node) {
  const Value* scaled = sixth(node);
  const Node* product = scaled ? producer(scaled, "Mul") : node.is("Mul") ? &node : nullptr;
  for (const std::size_t i : {0, 1}) {
    if (!product || product->inputs().size() != 2) return nullptr;
    Value* gate = product->input(i);
    Value* x = scaled ? clipped(gate) : hard_sigmoid(gate);
    if (x && x == product->input(1 - i)) return x;
  }
  return nullptr;
}

}  // namespace

// y = x * Clip(x + 3, 0, 6) / 6 becomes y = HardSwish(x); without the x, HardSigmoid(x).
bool fuse_hard_swish(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!node->is("Mul") && !node->is("Div")) continue;
    if (node->output(0)->type().dtype != DType::float32) continue;
    NodeSpec spec{.op_type = "HardSwish", .inputs = {}, .name = node->name(), .opset = 22};
    Value* x = hard_swish(*node);
    if (!x && (x = hard_sigmoid(node->output(0)))) {
      // The product with x itself comes later in the graph and takes this one in.
      spec.op_type = "HardSigmoid";
      spec.attrs.set("alpha", 1.0F / 6);
      spec.attrs.set("beta", 0.5F);
    }
    if (!x || !same_rank(x, node->output(0))) continue;
    spec.inputs = {x};
    const Node* fused = graph.insert_before(node, std::move(spec));
    graph.replace_uses(node->output(0), fused->output(0));
    changed = true;
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
