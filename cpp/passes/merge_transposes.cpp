#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

std::vector<int64_t> permutation(const Node& node) {
  const Type& type = node.input(0)->type();
  if (type.kind != Type::Kind::tensor || !type.shape) return {};
  const auto rank = static_cast<int64_t>(type.shape->size());
  std::vector<int64_t> perm = node.attrs().ints("perm");
  if (!node.attrs().has("perm"))
    for (int64_t i = rank; i-- > 0;) perm.push_back(i);
  for (int64_t& axis : perm)
    if (axis < 0) axis += rank;
  return perm;
}

bool moves_nothing(const std::vector<int64_t>& perm) {
  for (std::size_t i = 0; i < perm.size(); ++i)
    if (perm[i] != static_cast<int64_t>(i)) return false;
  return true;
}

}  // namespace

// Transpose(Transpose(x)) becomes one Transpose, or x itself where they undo each other.
bool merge_transposes(Graph& graph) {
  bool changed = false;
  for (Node* outer : graph.nodes()) {
    const Node* inner = outer->is("Transpose") ? producer(outer->input(0), "Transpose") : nullptr;
    if (!inner) continue;
    const std::vector<int64_t> first = permutation(*inner), second = permutation(*outer);
    if (first.empty() || first.size() != second.size()) continue;
    std::vector<int64_t> both;
    for (const int64_t axis : second) both.push_back(first[static_cast<std::size_t>(axis)]);
    Value* result = inner->input(0);
    if (!moves_nothing(both)) {
      Attributes attrs;
      attrs.set("perm", both);
      result = graph
                   .insert_before(outer, {.op_type = "Transpose",
                                          .inputs = {inner->input(0)},
                                          .attrs = std::move(attrs),
                                          .name = outer->name()})
                   ->output(0);
    }
    graph.replace_uses(outer->output(0), result);
    changed = true;
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
