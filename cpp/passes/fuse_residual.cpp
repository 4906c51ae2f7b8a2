#include "passes/epilogue.h"
#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {

// y = Add(Conv(x, w, b), z) with z of y's shape becomes y = sardonyx::FusedConv(x, w, b, z); the same
// for MatMul and Gemm.
bool fuse_residual(Graph& graph) {
  bool changed = false;
  for (Node* sum : graph.nodes()) {
    if (!sum->is("Add")) continue;
    const Type& type = sum->output(0)->type();
    for (const std::size_t i : {1, 0}) {
      Node* node = open_epilogue(sum->input(i));
      Value* residual = sum->input(1 - i);
      if (!node || node->input(3) || residual == sum->input(i)) continue;
      if (!type.shape || !(residual->type() == type) || !(sum->input(i)->type() == type)) continue;
      // Gemm adds its C; one more addend is fine beside a row of constants only.
      const Value* bias = node->input(2);
      if (bias && (!bias->type().shape || bias->type().shape->size() != 1)) continue;
      remake(graph, node, sum,
             {node->input(0), node->input(1), node->input(2), residual}, node->attrs());
      changed = true;
      break;
    }
  }
  return changed;
}

}  // namespace sdx::passes
