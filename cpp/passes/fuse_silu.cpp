#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {

// y = x * Sigmoid(x) becomes y = Swish(x).
bool fuse_silu(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!node->is("Mul") || node->output(0)->type().dtype != DType::float32) continue;
    for (const std::size_t i : {0, 1}) {
      const Node* sigmoid = producer(node->input(i), "Sigmoid");
      if (!sigmoid || sigmoid->input(0) != node->input(1 - i)) continue;
      Node* fused = graph.insert_before(node, {.op_type = "Swish",
                                               .inputs = {node->input(1 - i)},
                                               .name = node->name(),
                                               .opset = 24});
      graph.replace_uses(node->output(0), fused->output(0));
      changed = true;
      break;
    }
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
