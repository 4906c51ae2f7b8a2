#include "passes/passes.h"

namespace sdx::passes {

// y = Conv(x, w) becomes y = Conv(x, w) {strict = 1}: sums of products, as the standard writes
// them.
bool forbid_winograd(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (node->op_type() != "Conv" && node->op_type() != "FusedConv") continue;
    if (node->attrs().has("strict")) continue;
    Attributes attrs = node->attrs();
    attrs.set("strict", int64_t{1});
    const Node* made = graph.insert_before(node, {.op_type = node->op_type(),
                                                  .inputs = node->inputs(),
                                                  .attrs = std::move(attrs),
                                                  .domain = node->domain(),
                                                  .name = node->name(),
                                                  .opset = node->opset()});
    graph.replace_uses(node->output(0), made->output(0));
    graph.erase(node);
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
