#include "ir/pack.h"

namespace sdx {

void pack_graph(Graph& graph) {
  std::map<Value*, std::size_t> released_uses;
  for (Node* node : graph.nodes()) {
    for (const auto& [name, subgraph] : node->subgraphs()) pack_graph(*subgraph);
    std::vector<const Facts*> inputs;
    for (const Value* input : node->inputs()) inputs.push_back(input ? &input->facts() : nullptr);
    PackContext ctx(*node, inputs);
    try {
      node->op().pack(ctx);
    } catch (...) {
      rethrow_at(node->place());
    }
    node->packed = std::move(ctx.packed());
    node->released_inputs = ctx.released();
    for (const int i : ctx.released()) ++released_uses[node->input(static_cast<std::size_t>(i))];
  }
  for (const auto& [value, uses] : released_uses) {
    if (uses < value->users().size() || value->is_graph_output()) continue;
    value->set_facts(Facts::of(value->type()));  // every reader has its packed form
  }
}

}  // namespace sdx
