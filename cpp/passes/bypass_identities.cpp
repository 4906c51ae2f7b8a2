#include "passes/passes.h"

namespace sdx::passes {

namespace {

bool only_renames(const Node& node) {
  if (!node.input(0) || !node.output(0)) return false;
  if (node.op().is_identity()) return true;
  // Strings and sequences aside, a conversion to the type at hand.
  const Type &from = node.input(0)->type(), &to = node.output(0)->type();
  return node.is("Cast") && from.kind == Type::Kind::tensor && from.dtype == to.dtype &&
         from.dtype != DType::undefined;
}

}  // namespace

// A node that only renames its input (Identity, Dropout at inference, Cast to the same type) is
// bypassed.
bool bypass_identities(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!only_renames(*node)) continue;
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
