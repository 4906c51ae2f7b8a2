#include "passes/passes.h"

namespace sdx::passes {

// If(c){captures w} with w constant: each branch gets its own handle of w and can fold it.
bool push_constants(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    const auto subgraphs = node->subgraphs();
    if (subgraphs.empty()) continue;
    const std::size_t formal = node->inputs().size() - static_cast<std::size_t>(node->capture_count());
    for (std::size_t i = node->inputs().size(); i-- > formal;) {
      Value* outer = node->input(i);
      if (!outer || !outer->is_constant()) continue;
      for (const auto& [name, subgraph] : subgraphs) {
        const std::size_t inner_formal =
            subgraph->inputs().size() - static_cast<std::size_t>(node->capture_count());
        subgraph->make_constant(subgraph->inputs()[inner_formal + i - formal], *outer->constant());
      }
      graph.erase_capture(node, i);
      changed = true;
    }
  }
  return changed;
}

}  // namespace sdx::passes
