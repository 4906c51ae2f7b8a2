#include "passes/epilogue.h"
#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

// The node behind `value` if it can take a residual, before its activation or after it.
Node* open_residual(const Value* value) {
  Node* node = value && value->has_single_use() ? value->producer() : nullptr;
  return node && fused_form(*node) && !node->input(3) ? node : nullptr;
}

}  // namespace

// y = Add(Conv(x, w, b), z) with z of y's shape becomes y = sardonyx::FusedConv(x, w, b, z); the
// same for MatMul and Gemm. Where an activation lies between, {residual_last = 1} says so.
bool fuse_residual(Graph& graph) {
  bool changed = false;
  for (Node* sum : graph.nodes()) {
    if (!sum->is("Add")) continue;
    const Type& type = sum->output(0)->type();
    for (const std::size_t i : {1, 0}) {
      Node* node = open_residual(sum->input(i));
      Value* residual = sum->input(1 - i);
      if (!node || residual == sum->input(i)) continue;
      if (!type.shape || !(residual->type() == type) || !(sum->input(i)->type() == type)) continue;
      // Gemm adds its C; one more addend is fine beside a row of constants only.
      const Value* bias = node->input(2);
      if (bias && (!bias->type().shape || bias->type().shape->size() != 1)) continue;
      Attributes attrs = node->attrs();
      if (!attrs.get("activation", "").empty()) attrs.set("residual_last", int64_t{1});
      remake(graph, node, sum, {node->input(0), node->input(1), node->input(2), residual},
             std::move(attrs));
      changed = true;
      break;
    }
  }
  return changed;
}

}  // namespace sdx::passes
