#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

// The node that puts fresh rows behind a past: Concat(past, fresh) of [batch, heads, rows, size]
// along rows, whose result serves this attention alone or leaves the graph.
Node* joined(const Value* value, const Node* attention) {
  Node* concat = producer(value, "Concat");
  if (!concat || concat->inputs().size() != 2) return nullptr;
  const int64_t axis = concat->attrs().get("axis", 0);
  const auto& shape = value->type().shape;
  if (!shape || shape->size() != 4 || (axis != 2 && axis != -2)) return nullptr;
  for (const Node* user : value->users())
    if (user != attention) return nullptr;
  return concat;
}

}  // namespace

// y = Attention(q, Concat(past_k, k), Concat(past_v, v)) becomes
// y, present_k, present_v = Attention(q, k, v, , past_k, past_v).
bool join_past(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!node->is("Attention") || node->outputs().size() != 1 || node->input(4) || node->input(6) ||
        node->attrs().get("is_causal", 0) != 0 || node->output(0)->type().dtype != DType::float32)
      continue;
    Node *keys = joined(node->input(1), node), *values = joined(node->input(2), node);
    if (!keys || !values || keys == values) continue;
    const bool kept[] = {keys->output(0)->is_graph_output(), values->output(0)->is_graph_output()};
    NodeSpec spec{.op_type = "Attention",
                  .inputs = {node->input(0), keys->input(1), values->input(1), node->input(3),
                             keys->input(0), values->input(0)},
                  .attrs = node->attrs(),
                  .name = node->name(),
                  .opset = node->opset()};
    if (kept[0] || kept[1])
      spec.outputs = {node->name() + "/result", kept[0] ? node->name() + "/keys" : "",
                      kept[1] ? node->name() + "/values" : ""};
    Node* fused = graph.insert_before(node, std::move(spec));
    graph.replace_uses(node->output(0), fused->output(0));
    if (kept[0]) graph.replace_uses(keys->output(0), fused->output(1));
    if (kept[1]) graph.replace_uses(values->output(0), fused->output(2));
    graph.erase(node);
    changed = true;
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
