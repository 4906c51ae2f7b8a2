#include "passes/epilogue.h"
#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {

// y = Add(MatMul(a, b), c) with a constant c [n] becomes y = sardonyx::FusedMatMul(a, b, c).
bool fuse_bias(Graph& graph) {
  bool changed = false;
  for (Node* sum : graph.nodes()) {
    if (!sum->is("Add")) continue;
    for (const std::size_t i : {0, 1}) {
      Node* product = sole_producer(sum->input(i), "MatMul");
      Value* bias = sum->input(1 - i);
      if (!product || !fused_form(*product) || !bias->is_constant() ||
          bias->constant()->rank() != 1)
        continue;
      const auto &shape = product->output(0)->type().shape,
                 &weight = product->input(1)->type().shape;
      if (!shape || shape->empty() || !weight || weight->size() < 2 ||
          !(shape->back() == Dim(bias->constant()->count())))
        continue;
      remake(graph, product, sum, {product->input(0), product->input(1), bias}, product->attrs());
      changed = true;
      break;
    }
  }
  return changed;
}

}  // namespace sdx::passes
