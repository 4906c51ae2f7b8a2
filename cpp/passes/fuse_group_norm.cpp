#include <algorithm>

#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

bool is_filled(const Value* value, float number) {
  const Tensor* tensor = value ? value->constant() : nullptr;
  if (!tensor || tensor->dtype() != DType::float32) return false;
  const float* items = tensor->data<float>();
  return std::all_of(items, items + tensor->count(), [=](float item) { return item == number; });
}

// A constant with one item a channel of `x`, written [c, 1, 1] or [1, c, 1, 1], as [c].
Value* channel_constant(Graph& graph, const Value* value, const Value* x) {
  const Tensor* tensor = value ? value->constant() : nullptr;
  const Dims& dims = *x->type().shape;
  if (!tensor || tensor->dtype() != DType::float32 || !dims[1].is_known() ||
      tensor->count() != dims[1].value())
    return nullptr;
  const Shape& shape = tensor->shape();
  const std::size_t behind = dims.size() - 2;  // axes of pixels
  if (shape.size() < behind + 1 || shape.size() > dims.size() ||
      shape[shape.size() - behind - 1] != tensor->count())
    return nullptr;
  return graph.add_constant("", tensor->reshaped(Shape{tensor->count()}));
}

// The only user of the node's output, if it is `op_type`.
Node* sole_user(const Node& node, std::string_view op_type) {
  const Value* value = node.output(0);
  Node* user = value->has_single_use() ? value->users()[0] : nullptr;
  return user && user->is(op_type) ? user : nullptr;
}

Value* filled(Graph& graph, int64_t count, float number) {
  return graph.add_constant(
      "", Tensor::of<float>(std::vector<float>(static_cast<std::size_t>(count), number)));
}

}  // namespace

// y = Reshape(InstanceNormalization(Reshape(x, [0, groups, -1]))) * scale + bias becomes
// y = GroupNormalization(x, scale, bias).
bool fuse_group_norm(Graph& graph) {
  bool changed = false;
  for (Node* norm : graph.nodes()) {
    if (!norm->is("InstanceNormalization") || !is_filled(norm->input(1), 1) ||
        !is_filled(norm->input(2), 0))
      continue;
    const Node* split = producer(norm->input(0), "Reshape");
    Node* whole = sole_user(*norm, "Reshape");
    if (!split || !whole) continue;
    const Value* x = split->input(0);
    const Type &type = x->type(), &parts = norm->output(0)->type();
    if (type.dtype != DType::float32 || !type.shape || type.shape->size() < 3 || !parts.shape ||
        !(whole->output(0)->type() == type) || !((*parts.shape)[0] == (*type.shape)[0]))
      continue;
    const Dim channels = (*type.shape)[1], groups = (*parts.shape)[1];
    if (!channels.is_known() || !groups.is_known() || groups.value() <= 0 ||
        channels.value() % groups.value() != 0)
      continue;

    Node* last = whole;
    Value *scale = nullptr, *bias = nullptr;
    if (Node* product = sole_user(*last, "Mul"))
      if ((scale = channel_constant(graph, other_input(*product, last->output(0)), x)))
        last = product;
    if (Node* sum = sole_user(*last, "Add"))
      if ((bias = channel_constant(graph, other_input(*sum, last->output(0)), x))) last = sum;
    if (!scale) scale = filled(graph, channels.value(), 1);
    if (!bias) bias = filled(graph, channels.value(), 0);
    Attributes attrs;
    attrs.set("num_groups", groups.value());
    attrs.set("epsilon", norm->attrs().get("epsilon", 1e-5));
    Node* fused = graph.insert_before(last, {.op_type = "GroupNormalization",
                                             .inputs = {split->input(0), scale, bias},
                                             .attrs = std::move(attrs),
                                             .name = norm->name(),
                                             .opset = 21});
    graph.replace_uses(last->output(0), fused->output(0));
    changed = true;
  }
  if (changed) graph.erase_dead();
  return changed;
}

// y = GroupNormalization(x) or InstanceNormalization(x) becomes y = x * factor + shift with
// factor, shift = sardonyx::NormFactors(x).
bool expand_group_norm(Graph& graph) {
  bool changed = false;
  for (Node* norm : graph.nodes()) {
    const bool grouped = norm->is("GroupNormalization") && norm->opset() >= 21;
    if (!grouped && !norm->is("InstanceNormalization")) continue;
    const Type& type = norm->output(0)->type();
    if (type.dtype != DType::float32 || !type.shape || type.shape->size() < 3 ||
        norm->input(1)->type().dtype != DType::float32 ||
        norm->input(2)->type().dtype != DType::float32)
      continue;
    Attributes attrs;
    if (grouped) attrs.set("groups", norm->attrs().get("num_groups", 1));
    attrs.set("epsilon", norm->attrs().get("epsilon", 1e-5));
    const Node* factors = graph.insert_before(
        norm,
        {.op_type = "NormFactors",
         .inputs = norm->inputs(),
         .attrs = std::move(attrs),
         .domain = "sardonyx",
         .name = norm->name(),
         .outputs = {norm->output(0)->name() + "/factor", norm->output(0)->name() + "/shift"}});
    const Node* product = graph.insert_before(
        norm, {.op_type = "Mul", .inputs = {norm->input(0), factors->output(0)}, .opset = 14});
    const Node* sum = graph.insert_before(
        norm, {.op_type = "Add", .inputs = {product->output(0), factors->output(1)}, .opset = 14});
    graph.replace_uses(norm->output(0), sum->output(0));
    graph.erase(norm);
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
