// Small questions that passes ask of the graph.
#pragma once

#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "ir/graph.h"

namespace sdx::passes {

// The node that makes `value` if it is `op_type` of `domain`, else null.
Node* producer(const Value* value, std::string_view op_type, std::string_view domain = "");

// The same, where nothing else uses the value: the node may be swallowed by a fusion.
Node* sole_producer(const Value* value, std::string_view op_type, std::string_view domain = "");

// The element of a float32 constant of one element.
std::optional<float> scalar(const Value* value);

// Whether that is the number up to float32 rounding of how exporters write it.
inline bool is_about(float held, double number) {
  return std::abs(static_cast<double>(held) - number) <= 1e-6 * std::abs(number);
}
bool is_scalar(const Value* value, double number);

// The bounds of a Clip of float32, whose limits are constants or left out.
std::optional<std::pair<float, float>> clip_bounds(const Node& node);

// Whether both ranks are known and equal. A constant of one element may still have the higher rank
// and broadcast the other operand to it.
bool same_rank(const Value* a, const Value* b);

// For a commutative node of two inputs: {constant scalar operand, other operand}, if there is one.
std::optional<std::pair<float, Value*>> scalar_operand(const Node& node);

// For a node of two inputs: the other one.
inline Value* other_input(const Node& node, const Value* value) {
  return node.input(0) == value ? node.input(1) : node.input(0);
}

// The integers of attribute `name`, or of input `index` where the opset moved them there.
std::optional<std::vector<int64_t>> attribute_or_input(const Node& node, std::string_view name,
                                                       std::size_t index);

}  // namespace sdx::passes
