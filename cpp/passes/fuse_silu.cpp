#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {

// y = x * Sigmoid(x) becomes y = com.microsoft::QuickGelu(x) {alpha = 1}, which is SiLU.
bool fuse_silu(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!node->is("Mul") || node->output(0)->type().dtype != DType::float32) continue;
    for (const std::size_t i : {0, 1}) {
      const Node* sigmoid = producer(node->input(i), "Sigmoid");
      if (!sigmoid || sigmoid->input(0) != node->input(1 - i)) continue;
      Attributes attrs;
      attrs.set("alpha", 1.0f);
      Node* fused = graph.insert_before(node, {.op_type = "QuickGelu",
                                               .inputs = {node->input(1 - i)},
                                               .attrs = attrs,
                                               .domain = "com.microsoft",
                                               .name = node->name()});
      graph.replace_uses(node->output(0), fused->output(0));
      changed = true;
      break;
    }
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
