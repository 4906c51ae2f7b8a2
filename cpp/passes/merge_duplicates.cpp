#include <map>
#include <sstream>

#include "passes/passes.h"

namespace sdx::passes {
namespace {

// Constants of so many bytes count as one where their elements are equal.
constexpr std::size_t kMaxComparedBytes = 256;
// Nodes with longer lists are large models in themselves, and nobody has two of one.
constexpr std::size_t kMaxComparedItems = 4096;

void add_text(std::ostream& key, std::string_view text) { key << text.size() << ':' << text; }

void add_value(std::ostream& key, const Value* value) {
  const Tensor* constant = value ? value->constant() : nullptr;
  if (!constant || constant->dtype() == DType::string || constant->bytes() > kMaxComparedBytes) {
    key << static_cast<const void*>(value) << ',';
    return;
  }
  key << constant->dtype() << constant->shape();
  add_text(key, {static_cast<const char*>(constant->raw()), constant->bytes()});
}

// Text that two nodes share exactly when they compute the same thing; empty for nodes that may not
// be merged.
std::string key_of(const Node& node) {
  if (!node.traits().pure || !node.subgraphs().empty()) return "";
  std::ostringstream key;
  key << node.domain() << "::" << node.op_type() << '/' << node.opset() << '(';
  for (const Value* input : node.inputs()) add_value(key, input);
  key << ')' << node.outputs().size();
  for (const auto& [name, value] : node.attrs().all()) {
    key << ';' << name << '=' << value.index() << ':';
    const bool comparable = std::visit(
        [&]<class T>(const T& held) {
          if constexpr (std::is_same_v<T, int64_t>) {
            key << held;
          } else if constexpr (std::is_same_v<T, std::string>) {
            add_text(key, held);
          } else if constexpr (std::is_same_v<T, float>) {
            key << std::hexfloat << held;
          } else if constexpr (std::is_same_v<T, std::vector<int64_t>> ||
                               std::is_same_v<T, std::vector<float>>) {
            if (held.size() > kMaxComparedItems) return false;
            for (const auto item : held) key << std::hexfloat << item << ',';
          } else {
            return false;
          }
          return true;
        },
        value);
    if (!comparable) return "";
  }
  return key.str();
}

}  // namespace

// a = Relu(x); b = Relu(x) becomes a = Relu(x), with a for b.
bool merge_duplicates(Graph& graph) {
  bool changed = false;
  std::map<std::string, Node*> seen;
  for (Node* node : graph.nodes()) {
    const std::string key = key_of(*node);
    if (key.empty()) continue;
    const auto [found, fresh] = seen.emplace(key, node);
    if (fresh) continue;
    Node* first = found->second;
    bool same_outputs = true;
    for (std::size_t i = 0; i < node->outputs().size(); ++i)
      same_outputs &= !node->output(i) || first->output(i);
    if (!same_outputs) continue;
    for (std::size_t i = 0; i < node->outputs().size(); ++i)
      if (node->output(i)) graph.replace_uses(node->output(i), first->output(i));
    graph.erase(node);
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
