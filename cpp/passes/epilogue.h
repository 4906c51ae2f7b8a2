// The nodes that take an epilogue (bias, residual, activation), and how they are remade with one.
#pragma once

#include <optional>
#include <string>

#include "ir/graph.h"

namespace sdx::passes {

// The fused form of the node's operator in domain "sardonyx", where it has one and computes in
// float32: Conv, MatMul, Gemm and their fused forms. Inputs of those are (X, W, bias, residual).
std::optional<std::string> fused_form(const Node& node);

// Makes the fused form of `node` at the place of `last`, whose output it takes over, and erases both.
// `last` must be `node` itself or the only user of its output.
Node* remake(Graph& graph, Node* node, Node* last, std::vector<Value*> inputs, Attributes attrs);

// The node behind `value` if it has a fused form, no activation yet, and nothing else uses it.
Node* open_epilogue(const Value* value);

}  // namespace sdx::passes
