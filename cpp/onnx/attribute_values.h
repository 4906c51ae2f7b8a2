// AttributeProto -> AttributeValue, for all but graphs.
#pragma once

#include "ir/attributes.h"
#include "onnx/messages.h"
#include "onnx/tensors.h"

namespace sdx::onnx {

// Follows the message's `type`, or what it holds where the type is absent or holds nothing. Sparse
// tensors become dense ones. Throws `invalid_model`.
AttributeValue parse_attribute_value(const AttributeMessage& attribute, TensorReader& tensors);

// The tensor that a Constant node with these attributes stands for.
Tensor constant_tensor(const Attributes& attributes);

}  // namespace sdx::onnx
