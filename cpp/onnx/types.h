// TypeProto -> Type.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/type.h"

namespace sdx::onnx {

// Orders texts without regard to the case of their letters.
struct LessInAnyCase {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

// Numbers for dimensions that files leave open.
struct DimNumbers {
  std::map<std::string, int64_t, std::less<>> by_name = {};
  std::map<std::string, int64_t, LessInAnyCase> by_denotation = {};
};

// A type of kind none where the message says nothing. Throws `invalid_model`, and `unsupported` for
// opaque types, and
// `invalid_argument` where numbers contradict each other or the file.
Type parse_type(std::string_view message, const DimNumbers& numbers = {});

// The same for the value `name`, which errors then name.
Type parse_type_of(std::string_view name, std::string_view message, const DimNumbers& numbers = {});

// The names that the type of a tensor gives its dimensions, as they are written; empty ones where
// it gives none.
std::vector<std::string> parse_dim_names(std::string_view message);

// The type with kinds and element types alone, or with ranks too.
Type without_shapes(Type type);
Type without_dims(Type type);

// A TensorProto.DataType that is one.
DType parse_dtype(int64_t code);

}  // namespace sdx::onnx
