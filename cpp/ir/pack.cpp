#include "ir/pack.h"

#include <algorithm>

#include "base/large_memory.h"

namespace sdx {
namespace {

bool has_large_constant(const Node* node) {
  constexpr std::size_t kLarge = 16 << 20;
  return std::any_of(node->inputs().begin(), node->inputs().end(), [](const Value* input) {
    return input && input->constant() && input->constant()->bytes() >= kLarge;
  });
}

void pack_graph(Graph& graph, WeightMemory& memory) {
  std::map<const Value*, std::size_t> released_uses;
  std::vector<Node*> nodes = graph.nodes();
  // The largest first, while little else is packed: a constant and its packed form are held
  // together.
  std::stable_partition(nodes.begin(), nodes.end(), has_large_constant);
  for (Node* node : nodes) {
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
