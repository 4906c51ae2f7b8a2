#include "passes/match.h"

#include <limits>

namespace sdx::passes {

Node* producer(const Value* value, std::string_view op_type, std::string_view domain) {
  Node* node = value ? value->producer() : nullptr;
  return node && node->is(op_type, domain) ? node : nullptr;
}

Node* sole_producer(const Value* value, std::string_view op_type, std::string_view domain) {
  return value && value->has_single_use() ? producer(value, op_type, domain) : nullptr;
}

std::optional<float> scalar(const Value* value) {
  const Tensor* tensor = value ? value->constant() : nullptr;
  if (!tensor || tensor->dtype() != DType::float32 || tensor->count() != 1) return std::nullopt;
  return tensor->data<float>()[0];
}

bool is_scalar(const Value* value, double number) {
  const auto held = scalar(value);
  return held && is_about(*held, number);
}

std::optional<std::pair<float, float>> clip_bounds(const Node& node) {
  float high = std::numeric_limits<float>::infinity(), low = -high;
  if (node.opset() < 11) {
    low = node.attrs().get("min", static_cast<double>(low));
    high = node.attrs().get("max", static_cast<double>(high));
  }
  for (const std::size_t i : {1, 2}) {
    if (!node.input(i)) continue;
    const auto bound = scalar(node.input(i));
    if (!bound) return std::nullopt;
    (i == 1 ? low : high) = *bound;
  }
  return std::make_pair(low, high);
}

bool same_rank(const Value* a, const Value* b) {
  const auto &left = a->type().shape, &right = b->type().shape;
  return left && right && left->size() == right->size();
}

std::optional<std::pair<float, Value*>> scalar_operand(const Node& node) {
  if (node.inputs().size() != 2) return std::nullopt;
  for (const std::size_t i : {0, 1})
    if (const auto held = scalar(node.input(i))) return std::make_pair(*held, node.input(1 - i));
  return std::nullopt;
}

std::optional<std::vector<int64_t>> attribute_or_input(const Node& node, std::string_view name,
                                                       std::size_t index) {
  if (const auto* list = node.attrs().find<std::vector<int64_t>>(name)) return *list;
  const Value* input = node.input(index);
  if (!input || !input->constant() || !is_integer(input->constant()->dtype())) return std::nullopt;
  return input->constant()->to_int64s();
}

}  // namespace sdx::passes
