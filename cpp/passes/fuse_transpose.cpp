#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

bool swaps_last_two(const Node& transpose) {
  const std::vector<int64_t> perm = transpose.attrs().ints("perm");
  const auto rank = static_cast<int64_t>(perm.size());
  if (rank < 2) return false;
  for (int64_t i = 0; i < rank - 2; ++i)
    if (perm[static_cast<std::size_t>(i)] != i) return false;
  return perm[perm.size() - 2] == rank - 1 && perm.back() == rank - 2;
}

bool is_product(const Node& node) {
  return node.is("MatMul") || node.is("FusedMatMul", "sardonyx") ||
         node.is("FusedMatMul", "com.microsoft");
}

}  // namespace

// y = MatMul(a, Transpose(b)) reads b as it lies: a product copies its second operand anyway, where
// that is no constant.
bool fuse_transpose(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!is_product(*node) || node->attrs().get("transBatchB", 0) != 0) continue;
    const Node* transpose = sole_producer(node->input(1), "Transpose");
    if (!transpose || node->input(1)->type().dtype != DType::float32 || !swaps_last_two(*transpose))
      continue;
    NodeSpec spec{.op_type = "FusedMatMul",
                  .inputs = node->inputs(),
                  .attrs = node->attrs(),
                  .domain = node->domain().empty() ? "com.microsoft" : node->domain(),
                  .name = node->name()};
    spec.inputs[1] = transpose->input(0);
    spec.attrs.set("transB", int64_t{node->attrs().get("transB", 0) == 0});
    graph.replace_uses(node->output(0), graph.insert_before(node, std::move(spec))->output(0));
    graph.erase(node);
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
