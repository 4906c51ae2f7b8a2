#include "ir/pack.h"

#include <algorithm>
#include <type_traits>

#include "base/large_memory.h"

namespace sdx {
namespace {

// Null where no input is a constant.
const Value* largest_constant(const Node* node) {
  const Value* largest = nullptr;
  for (const Value* input : node->inputs())
    if (input && input->is_constant() &&
        (!largest || input->constant()->bytes() > largest->constant()->bytes()))
      largest = input;
  return largest;
}

template <class T, class... Ts>
constexpr bool kIsOneOf = (std::is_same_v<T, Ts> || ...);

// Values that hold tensors, types or graphs count as different.
bool same_values(const AttributeValue& a, const AttributeValue& b) {
  if (a.index() != b.index()) return false;
  const auto is_same = [&]<class T>(const T& held) {
    if constexpr (kIsOneOf<T, int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                           std::vector<std::string>>)
      return held == std::get<T>(b);
    return false;
  };
  return std::visit(is_same, a);
}

bool same_attributes(const Attributes& a, const Attributes& b) {
  return std::equal(a.all().begin(), a.all().end(), b.all().begin(), b.all().end(),
                    [](const auto& one, const auto& other) {
                      return one.first == other.first && same_values(one.second, other.second);
                    });
}

// Dimensions that no one knows look alike to an operator.
bool same_types(const Type& a, const Type& b) {
  if (a.kind != b.kind || a.dtype != b.dtype || a.shape.has_value() != b.shape.has_value())
    return false;
  return !a.shape ||
         std::equal(a.shape->begin(), a.shape->end(), b.shape->begin(), b.shape->end(),
                    [](const Dim& one, const Dim& other) {
                      return one.is_known() == other.is_known() &&
                             (one.is_known() ? one == other : one.to_string() == other.to_string());
                    });
}

// Whether two nodes would pack the same bytes: operators alike, of the same constants.
bool packs_alike(const Node& a, const Node& b) {
  if (!a.is(b.op_type(), b.domain()) || a.opset() != b.opset() ||
      a.inputs().size() != b.inputs().size() || a.outputs().size() != b.outputs().size() ||
      !a.subgraphs().empty() || !same_attributes(a.attrs(), b.attrs()))
    return false;
  return std::equal(a.inputs().begin(), a.inputs().end(), b.inputs().begin(),
                    [](const Value* one, const Value* other) {
                      if (one == other) return true;
                      return one && other && !one->is_constant() && !other->is_constant() &&
                             same_types(one->type(), other->type());
                    });
}

// What packing may take. Many nodes may read one constant, and each that is unlike the others packs
// its own: the last of too many read it as it is.
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
  const Value* const largest = largest_constant(node);
  const std::size_t bytes = largest ? largest->constant()->bytes() : 0;
  if (bytes >= kSmall && bytes >= all_bytes / kShare) return bytes;
  return bytes >= kLarge;
}

// Notes what the node no longer reads.
void release(Node* node, const std::vector<int>& released,
             std::map<const Value*, std::size_t>& released_uses) {
  node->released_inputs = released;
  for (const int i : released) {
    Value* value = node->input(static_cast<std::size_t>(i));
    const bool last = ++released_uses[value] == value->users().size();
    // Every reader has its packed form: freed at once, so that few are ever held twice.
    if (last && !value->is_graph_output()) value->set_facts(Facts::of(value->type()));
  }
}

constexpr std::size_t kMostBytes = std::size_t{512} << 20, kBytesPerByte = 8;

void pack_graph(Graph& graph, Packing& packing) {
  std::map<const Value*, std::size_t> released_uses;
  std::map<const Value*, std::vector<const Node*>> packed_from;  // nodes with packed forms
  std::vector<Node*> nodes = graph.nodes();
  std::stable_sort(nodes.begin(), nodes.end(), [&](const Node* a, const Node* b) {
    return precedence(a, packing.all) > precedence(b, packing.all);
  });
  for (Node* node : nodes) {
    for (const auto& [name, subgraph] : node->subgraphs()) pack_graph(*subgraph, packing);
    const Value* const largest = largest_constant(node);
    const Node* twin = nullptr;
    if (largest && largest->users().size() > 1)
      for (const Node* other : packed_from[largest])
        if (!twin && packs_alike(*node, *other)) twin = other;
    if (twin) {
      node->packed = twin->packed;
      release(node, twin->released_inputs, released_uses);
      continue;
    }
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
    node->packed_bytes = ctx.packed_size();
    packing.left -= std::min(packing.left, static_cast<std::size_t>(node->packed_bytes));
    if (largest && largest->users().size() > 1) packed_from[largest].push_back(node);
    release(node, ctx.released(), released_uses);
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
