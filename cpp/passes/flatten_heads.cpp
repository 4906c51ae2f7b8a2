#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

struct Flat {
  Value* value = nullptr;  // [batch, rows, heads * size]
  int64_t heads = 0;
};

// Where `value` is Transpose(Reshape(flat)) from [batch, rows, heads * size] over
// [batch, rows, heads, size] to [batch, heads, rows, size].
Flat flat_form(const Value* value) {
  const Node* transpose = producer(value, "Transpose");
  if (!transpose || transpose->attrs().ints("perm") != std::vector<int64_t>{0, 2, 1, 3}) return {};
  const Node* reshape = producer(transpose->input(0), "Reshape");
  if (!reshape) return {};
  const Type &from = reshape->input(0)->type(), &to = reshape->output(0)->type();
  if (!from.shape || from.shape->size() != 3 || !to.shape || to.shape->size() != 4) return {};
  const Dims &flat = *from.shape, &split = *to.shape;
  if (!split[2].is_known() || !split[3].is_known() || split[2].value() <= 0 ||
      !(flat[0] == split[0]) || !(flat[1] == split[1]) || !(flat[2] == split[2] * split[3]))
    return {};
  return {reshape->input(0), split[2].value()};
}

// The Reshape that ends Reshape(Transpose(value)) in rows of heads * size: [batch, rows, heads *
// size] or, flatter still, [batch * rows, heads * size].
Node* flattened(const Value* value) {
  Node* transpose = value->has_single_use() ? value->users()[0] : nullptr;
  if (!transpose || !transpose->is("Transpose") ||
      transpose->attrs().ints("perm") != std::vector<int64_t>{0, 2, 1, 3} ||
      !transpose->output(0)->has_single_use())
    return nullptr;
  Node* reshape = transpose->output(0)->users()[0];
  if (!reshape->is("Reshape") || reshape->input(0) != transpose->output(0)) return nullptr;
  const Type &from = transpose->output(0)->type(), &to = reshape->output(0)->type();
  if (!from.shape || !to.shape) return nullptr;
  const Dims &split = *from.shape, &flat = *to.shape;
  const Dim width = split[2] * split[3];
  const bool same =
      (flat.size() == 3 && flat[0] == split[0] && flat[1] == split[1] && flat[2] == width) ||
      (flat.size() == 2 && width.is_known() && flat[0] == split[0] * split[1] && flat[1] == width);
  return same ? reshape : nullptr;
}

}  // namespace

// Attention reads heads side by side as well as one after the other:
// Reshape(Transpose(Attention(Transpose(Reshape(q)), ...))) becomes Attention(q, ...)
// {q_num_heads}; keys and values likewise.
bool flatten_heads(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!node->is("Attention") || node->output(3)) continue;
    Node* end = flattened(node->output(0));
    const Flat q = flat_form(node->input(0)), k = flat_form(node->input(1)),
               v = flat_form(node->input(2));
    NodeSpec spec{.op_type = "Attention",
                  .inputs = node->inputs(),
                  .attrs = node->attrs(),
                  .name = node->name(),
                  .opset = node->opset()};
    for (const std::size_t i : {1, 2})
      if (node->outputs().size() > 1)
        spec.outputs.push_back(node->output(i) ? node->output(i)->name() + "/rows" : "");
    if (node->outputs().size() > 1) spec.outputs[0] = node->output(0)->name() + "/rows";
    const bool whole = q.value && end;
    if (whole) {
      spec.inputs[0] = q.value;
      spec.attrs.set("q_num_heads", q.heads);
    }
    const int64_t kv_heads = k.value ? k.heads : v.heads;
    if (k.value) spec.inputs[1] = k.value;
    if (v.value) spec.inputs[2] = v.value;
    if (kv_heads > 0) spec.attrs.set("kv_num_heads", kv_heads);
    if (!whole && kv_heads == 0) continue;
    Node* fused = graph.insert_before(node, std::move(spec));
    if (!whole) {
      graph.replace_uses(node->output(0), fused->output(0));
    } else if (end->output(0)->type().shape->size() == 3) {
      graph.replace_uses(end->output(0), fused->output(0));
    } else {
      const int64_t width = end->output(0)->type().shape->back().value();
      Value* shape = graph.add_constant("", Tensor::of<int64_t>({-1, width}));
      Node* rows = graph.insert_before(
          end, {.op_type = "Reshape", .inputs = {fused->output(0), shape}, .name = end->name()});
      graph.replace_uses(end->output(0), rows->output(0));
    }
    for (const std::size_t i : {1, 2})
      if (node->output(i)) graph.replace_uses(node->output(i), fused->output(i));
    changed = true;
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
