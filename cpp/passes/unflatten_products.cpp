#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

bool is_one(const Node& node, std::string_view name) { return node.attrs().get(name, 1.0) == 1.0f; }

// A product with constant weights and a row to add, or nothing.
bool is_linear(const Node& node) {
  if (!node.is("Gemm") || node.output(0)->type().dtype != DType::float32) return false;
  const Value *weights = node.input(1), *bias = node.input(2);
  return weights->is_constant() && is_one(node, "alpha") && node.attrs().get("transA", 0) == 0 &&
         (!bias || (bias->is_constant() && bias->constant()->rank() == 1 && is_one(node, "beta")));
}

// Whether both shapes are the same but for their last dimension.
bool same_rows(const Value* a, const Value* b) {
  if (!same_rank(a, b) || a->type().shape->empty()) return false;
  const Dims &left = *a->type().shape, &right = *b->type().shape;
  for (std::size_t i = 0; i + 1 < left.size(); ++i)
    if (!(left[i] == right[i])) return false;
  return true;
}

}  // namespace

// y = Reshape(Gemm(Reshape(x), w, b)) from [..., k] over rows of k to [..., n] becomes
// y = sardonyx::FusedMatMul(x, w, b), which takes residuals and activations of that shape.
bool unflatten_products(Graph& graph) {
  bool changed = false;
  for (Node* gemm : graph.nodes()) {
    if (!is_linear(*gemm) || !gemm->output(0)->has_single_use()) continue;
    const Node* flat = producer(gemm->input(0), "Reshape");
    Node* end = gemm->output(0)->users()[0];
    if (!flat || !end->is("Reshape") || end->input(0) != gemm->output(0)) continue;
    Value *x = flat->input(0), *y = end->output(0);
    const auto &depth = gemm->input(0)->type().shape, &rows = gemm->output(0)->type().shape;
    if (!same_rows(x, y) || !depth || !rows || !(x->type().shape->back() == depth->back()) ||
        !(y->type().shape->back() == rows->back()))
      continue;
    NodeSpec spec{.op_type = "FusedMatMul",
                  .inputs = {x, gemm->input(1)},
                  .domain = "sardonyx",
                  .name = gemm->name()};
    if (gemm->input(2)) spec.inputs.push_back(gemm->input(2));
    if (gemm->attrs().get("transB", 0) != 0) spec.attrs.set("transB", int64_t{1});
    Node* product = graph.insert_before(end, std::move(spec));
    graph.replace_uses(y, product->output(0));
    changed = true;
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
