// What the derivative of a result means for the inputs of the node that made it.
#pragma once

#include "ops/composition.h"

namespace sdx::ops {

struct NodeMaker : Expander {
  // The result of an operator in the form of opset 18.
  Value* operator()(std::string op_type, std::vector<Value*> inputs, Attributes attrs = {}) const;
  // A scalar of the element type of `like`.
  Value* scalar(const Value* like, double value) const {
    return Expander::scalar(like->type().dtype, value);
  }
  // A tensor of the shape of `like` full of `value`.
  Value* filled(Value* like, double value) const;
};

// The derivatives by each input of `node`, given that by its output; null where an input is not
// differentiable (an index, a shape). Throws `unsupported` for operators without a rule.
std::vector<Value*> input_gradients(const NodeMaker& make, const Node& node, Value* dy);

}  // namespace sdx::ops
