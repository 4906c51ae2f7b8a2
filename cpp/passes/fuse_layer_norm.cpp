#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

// x where value is ReduceMean(x) over the last axis, kept.
Value* mean_over_last(const Value* value) {
  const Node* mean = producer(value, "ReduceMean");
  if (!mean || mean->attrs().get("keepdims", 1) != 1) return nullptr;
  const auto axes = attribute_or_input(*mean, "axes", 1);
  const Type& type = mean->input(0)->type();
  if (!axes || axes->size() != 1 || !type.shape) return nullptr;
  const auto rank = static_cast<int64_t>(type.shape->size());
  return (*axes)[0] == -1 || (*axes)[0] == rank - 1 ? mean->input(0) : nullptr;
}

// d where value is d * d or d ^ 2.
Value* squared(const Value* value) {
  if (const Node* power = producer(value, "Pow"))
    return is_scalar(power->input(1), 2.0) ? power->input(0) : nullptr;
  const Node* product = producer(value, "Mul");
  return product && product->input(0) == product->input(1) ? product->input(0) : nullptr;
}

struct Normalised {
  Value* x = nullptr;
  float epsilon = 0;
  bool centred = false;  // the mean is subtracted: layer norm, not RMS norm
};

// Whether `value` is sqrt(mean(d^2) + epsilon); gives d and epsilon.
std::optional<std::pair<Value*, float>> deviation(const Value* value) {
  const Node* root = producer(value, "Sqrt");
  const Node* sum = root ? producer(root->input(0), "Add") : nullptr;
  const auto epsilon = sum ? scalar_operand(*sum) : std::nullopt;
  Value* mean = epsilon ? mean_over_last(epsilon->second) : nullptr;
  Value* d = mean ? squared(mean) : nullptr;
  return d ? std::optional(std::make_pair(d, epsilon->first)) : std::nullopt;
}

Normalised from(Value* d, const std::pair<Value*, float>& found) {
  if (found.first != d) return {};
  const Node* difference = producer(d, "Sub");
  if (difference && mean_over_last(difference->input(1)) == difference->input(0))
    return {difference->input(0), found.second, true};
  return {d, found.second, false};
}

// Reads d / deviation(d) and d * (1 / deviation(d)).
Normalised normalised(const Node& node) {
  if (node.is("Div")) {
    const auto found = deviation(node.input(1));
    return found ? from(node.input(0), *found) : Normalised{};
  }
  if (!node.is("Mul")) return {};
  for (const std::size_t i : {0, 1}) {
    std::optional<std::pair<Value*, float>> found;
    if (const Node* reciprocal = producer(node.input(i), "Reciprocal"))
      found = deviation(reciprocal->input(0));
    else if (const Node* division = producer(node.input(i), "Div"))
      if (is_scalar(division->input(0), 1.0)) found = deviation(division->input(1));
    if (found) return from(node.input(1 - i), *found);
  }
  return {};
}

// A constant [n] with n the last dimension of x, perhaps written [1, 1, n].
Value* row_constant(Graph& graph, Value* value, const Value* x) {
  const Tensor* tensor = value ? value->constant() : nullptr;
  if (!tensor || tensor->dtype() != DType::float32 || tensor->rank() < 1 ||
      tensor->rank() > static_cast<int64_t>(x->type().shape->size()))
    return nullptr;
  const Dim last = x->type().shape->back();
  if (!last.is_known() || tensor->count() != last.value() || tensor->shape().back() != last.value())
    return nullptr;
  if (tensor->rank() == 1) return value;
  return graph.add_constant("", tensor->reshaped(Shape{last.value()}));
}

}  // namespace

// y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + e) * scale + bias becomes
// y = LayerNormalization(x, scale, bias); without the mean, SimplifiedLayerNormalization.
bool fuse_layer_norm(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    const Normalised match = normalised(*node);
    if (!match.x || match.x->type().dtype != DType::float32 || !match.x->type().shape ||
        match.x->type().shape->empty() || !same_rank(match.x, node->output(0)) ||
        !node->output(0)->has_single_use())
      continue;
    Node* scaled = node->output(0)->users()[0];
    if (!scaled->is("Mul")) continue;
    Value* scale = row_constant(graph, other_input(*scaled, node->output(0)), match.x);
    if (!scale) continue;
    Node* last = scaled;
    Value* bias = nullptr;
    if (match.centred && scaled->output(0)->has_single_use() &&
        scaled->output(0)->users()[0]->is("Add")) {
      Node* sum = scaled->output(0)->users()[0];
      bias = row_constant(graph, other_input(*sum, scaled->output(0)), match.x);
      if (bias) last = sum;
    }
    Attributes attrs;
    attrs.set("axis", int64_t{-1});
    attrs.set("epsilon", match.epsilon);
    NodeSpec spec{.op_type = match.centred ? "LayerNormalization" : "SimplifiedLayerNormalization",
                  .inputs = {match.x, scale},
                  .attrs = attrs,
                  .name = last->name(),
                  .opset = match.centred ? 17 : 1};
    if (bias) spec.inputs.push_back(bias);
    Node* fused = graph.insert_before(last, std::move(spec));
    graph.replace_uses(last->output(0), fused->output(0));
    changed = true;
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
