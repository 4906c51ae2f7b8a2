#include "passes/passes.h"

namespace sdx::passes {

// y = Op(x) becomes the simpler nodes that Op::expand makes, until none expands.
bool expand_ops(Graph& graph) {
  constexpr int kMaxRounds = 16;
  bool changed = false;
  for (int round = 0; round < kMaxRounds; ++round) {
    bool expanded = false;
    for (Node* node : graph.nodes()) {
      try {
        if (!node->op().expand(graph, *node)) continue;
      } catch (...) {
        rethrow_at(node->place());
      }
      graph.erase(node);
      expanded = true;
    }
    changed |= expanded;
    if (!expanded) break;
  }
  return changed;
}

}  // namespace sdx::passes
