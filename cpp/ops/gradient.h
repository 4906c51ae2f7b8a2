// What the derivative of a result means for the inputs of the node that made it.
#pragma once

#include "ir/graph.h"

namespace sdx::ops {

// Makes nodes in front of one, in versions that this file's users know.
class NodeMaker {
 public:
  NodeMaker(Graph& graph, Node* before) : graph_(graph), before_(before) {}

  Value* operator()(std::string op_type, std::vector<Value*> inputs, Attributes attrs = {}) const;
  Value* constant(Tensor tensor) const { return graph_.add_constant("", std::move(tensor)); }
  Value* integers(const std::vector<int64_t>& values) const;
  // A scalar of the element type of `like`.
  Value* scalar(const Value* like, double value) const;
  // A tensor of the shape of `like` full of `value`.
  Value* filled(Value* like, double value) const;

 private:
  Graph& graph_;
  Node* before_;
};

// The derivatives by each input of `node`, given that by its output; null where an input is not
// differentiable (an index, a shape). Throws `unsupported` for operators without a rule.
std::vector<Value*> input_gradients(const NodeMaker& make, const Node& node, Value* dy);

}  // namespace sdx::ops
