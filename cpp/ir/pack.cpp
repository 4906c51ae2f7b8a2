#include "ir/pack.h"

#include <algorithm>

#include "base/large_memory.h"

namespace sdx {
namespace {

std::size_t largest_constant(const Node* node) {
  std::size_t most = 0;
  for (const Value* input : node->inputs())
    if (input && input->constant()) most = std::max(most, input->constant()->bytes());
  return most;
}

// What packing may take. Many nodes may read one constant, and each packs its own: the last of too
// many read it as it is.
struct Packing {
  WeightMemory memory;
  std::size_t left = 0;  // bytes
  std::size_t all = 0;   // bytes of all constants
};

// Nodes are packed in order, because neighbours in memory are fetched one after the other. Only
// the largest come first, while little else is packed: a constant and its packed form are held
// together. Among the nodes with a share of all constants the larger ones come first.
std::size_t precedence(const Node* node, std::size_t all_bytes) {
  constexpr std::size_t kLarge = 16 << 20, kSmall = 1 << 20, kShare = 8;
  const std::size_t bytes = largest_constant(node);
  if (bytes >= kSmall && bytes >= all_bytes / kShare) return bytes;
  return bytes >= kLarge;
}

constexpr std::size_t kMostBytes = std::size_t{512} << 20, kBytesPerByte = 8;

void pack_graph(Graph& graph, Packing& packing) {
  std::map<const Value*, std::size_t> released_uses;
  std::vector<Node*> nodes = graph.nodes();
  std::stable_sort(nodes.begin(), nodes.end(), [&](const Node* a, const Node* b) {
    return precedence(a, packing.all) > precedence(b, packing.all);
  });
  for (Node* node : nodes) {
    for (const auto& [name, subgraph] : node->subgraphs()) pack_graph(*subgraph, packing);
    if (packing.left == 0) continue;
    std::vector<const Facts*> inputs;
    for (const Value* input : node->inputs()) inputs.push_back(input ? &input->facts() : nullptr);
    PackContext ctx(*node, inputs, packing.memory);
    try {
      node->op().pack(ctx);
    } catch (...) {
      rethrow_at(node->place());
    }
    node->packed = std::move(ctx.packed());
    node->released_inputs = ctx.released();
    node->packed_bytes = ctx.packed_size();
    packing.left -= std::min(packing.left, static_cast<std::size_t>(node->packed_bytes));
    for (const int i : ctx.released()) {
      Value* value = node->input(static_cast<std::size_t>(i));
      const bool last = ++released_uses[value] == value->users().size();
      // Every reader has its packed form: freed at once, so that few are ever held twice.
      if (last && !value->is_graph_output()) value->set_facts(Facts::of(value->type()));
    }
  }
}

}  // namespace

std::size_t constant_bytes(const Graph& graph) {
  std::size_t bytes = 0;
  for (const Value* value : graph.values())
    if (value->is_constant()) bytes += value->constant()->bytes();
  for (const Node* node : graph.nodes())
    for (const auto& [name, subgraph] : node->subgraphs()) bytes += constant_bytes(*subgraph);
  return bytes;
}

void pack_graph(Graph& graph) {
  Packing packing;
  packing.all = constant_bytes(graph);
  packing.left = kMostBytes + kBytesPerByte * packing.all;
  pack_graph(graph, packing);
}

}  // namespace sdx
