#include "ir/pack.h"

#include "base/large_memory.h"

namespace sdx {
namespace {

void pack_graph(Graph& graph, WeightMemory& memory) {
  std::map<const Value*, std::size_t> released_uses;
  for (Node* node : graph.nodes()) {
    for (const auto& [name, subgraph] : node->subgraphs()) pack_graph(*subgraph, memory);
    std::vector<const Facts*> inputs;
    for (const Value* input : node->inputs()) inputs.push_back(input ? &input->facts() : nullptr);
    PackContext ctx(*node, inputs, memory);
    try {
      node->op().pack(ctx);
    } catch (...) {
      rethrow_at(node->place());
    }
    node->packed = std::move(ctx.packed());
    node->released_inputs = ctx.released();
    node->packed_bytes = ctx.packed_size();
    for (const int i : ctx.released()) {
      Value* value = node->input(static_cast<std::size_t>(i));
      const bool last = ++released_uses[value] == value->users().size();
      // Every reader has its packed form: freed at once, so that few are ever held twice.
      if (last && !value->is_graph_output()) value->set_facts(Facts::of(value->type()));
    }
  }
}

}  // namespace

void pack_graph(Graph& graph) {
  WeightMemory memory;
  pack_graph(graph, memory);
}

}  // namespace sdx
