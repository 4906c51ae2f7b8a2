#include "passes/epilogue.h"

namespace sdx::passes {

std::optional<std::string> fused_form(const Node& node) {
  if (!node.output(0) || node.output(0)->type().dtype != DType::float32) return std::nullopt;
  for (const char* name : {"Conv", "MatMul", "Gemm"}) {
    const std::string fused = std::string("Fused") + name;
    if (node.is(name) || node.is(fused, "sardonyx")) return fused;
  }
  return std::nullopt;
}

Node* remake(Graph& graph, Node* node, Node* last, std::vector<Value*> inputs, Attributes attrs) {
  Node* fused = graph.insert_before(last, {.op_type = *fused_form(*node),
                                           .inputs = std::move(inputs),
                                           .attrs = std::move(attrs),
                                           .domain = "sardonyx",
                                           .name = node->name()});
  graph.replace_uses(last->output(0), fused->output(0));
  graph.erase(last);
  if (node != last) graph.erase(node);
  return fused;
}

Node* open_epilogue(const Value* value) {
  Node* node = value && value->has_single_use() ? value->producer() : nullptr;
  if (!node || !fused_form(*node) || !node->attrs().get("activation", "").empty()) return nullptr;
  return node;
}

}  // namespace sdx::passes
