#include "passes/attributes.h"
#include "passes/passes.h"

namespace sdx::passes {

// y = Conv(x, w) becomes y = Conv(x, w) {strict = 1}: sums of products, as the standard writes
// them.
bool forbid_winograd(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!is_convolution(*node) || node->attrs().has("strict")) continue;
    replace_with(graph, node, "strict", 1);
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
