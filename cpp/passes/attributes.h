// Attributes by which passes tell operators how to compute what they compute anyway.
#pragma once

#include <string_view>

#include "ir/graph.h"

namespace sdx::passes {

inline bool is_convolution(const Node& node) {
  return node.op_type() == "Conv" || node.op_type() == "FusedConv";
}

// Puts the same node of one output, with one attribute more, in the place of `node`, which goes.
const Node* replace_with(Graph& graph, Node* node, std::string_view attribute, int64_t value);

}  // namespace sdx::passes
