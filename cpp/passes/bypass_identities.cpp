#include "passes/passes.h"

namespace sdx::passes {

// A node that only renames its input (Identity, Dropout at inference) is bypassed.
bool bypass_identities(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!node->op().is_identity() || !node->input(0) || !node->output(0)) continue;
    bool others_used = false;
    for (std::size_t i = 1; i < node->outputs().size(); ++i) {
      const Value* output = node->output(i);
      others_used |= output && (!output->users().empty() || output->is_graph_output());
    }
    if (others_used) continue;
    graph.replace_uses(node->output(0), node->input(0));
    graph.erase(node);
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
