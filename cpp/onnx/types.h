// TypeProto -> Type.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "ir/type.h"

namespace sdx::onnx {

// A type of kind none where the message says nothing. Throws `invalid_model`, and `unsupported` for
// opaque types.
Type parse_type(std::string_view message);

// The same for the value `name`, which errors then name.
Type parse_type_of(std::string_view name, std::string_view message);

// The type with kinds and element types alone, or with ranks too.
Type without_shapes(Type type);
Type without_dims(Type type);
// The type with numbers for the symbolic dimensions of these names.
Type with_dims(Type type, const std::map<std::string, int64_t, std::less<>>& numbers);

// A TensorProto.DataType that is one.
DType parse_dtype(int64_t code);

}  // namespace sdx::onnx
