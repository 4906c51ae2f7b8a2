#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {

// y = x * Sigmoid(x) becomes y = Swish(x), and y = x * Tanh(Softplus(x)) becomes y = Mish(x).
bool fuse_silu(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!node->is("Mul") || node->output(0)->type().dtype != DType::float32) continue;
    for (const std::size_t i : {0, 1}) {
      Value* x = node->input(1 - i);
      const Node* gate = producer(node->input(i), "Sigmoid");
      const bool swish = gate && gate->input(0) == x;
      if (!swish) {
        const Node* tanh = producer(node->input(i), "Tanh");
        gate = tanh ? producer(tanh->input(0), "Softplus") : nullptr;
      }
      if (!gate || gate->input(0) != x) continue;
      const Node* fused = graph.insert_before(node, {.op_type = swish ? "Swish" : "Mish",
                                                     .inputs = {x},
                                                     .name = node->name(),
                                                     .opset = swish ? 24 : 18});
      graph.replace_uses(node->output(0), fused->output(0));
      changed = true;
      break;
    }
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
