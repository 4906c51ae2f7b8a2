// Small questions that passes ask of the graph.
#pragma once

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

// Whether the constant is that number up to float32 rounding of how exporters write it.
bool is_scalar(const Value* value, double number);

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
