#include "onnx/types.h"

#include "onnx/wire.h"

namespace sdx::onnx {
namespace {

constexpr int kMaxTypeDepth = 32;

Type parse(std::string_view message, int depth);

// Exporters write -1, "?" and "None" for what they do not know.
Dim parse_dim(std::string_view message) {
  Dim dim = Dim::unknown();
  for (Cursor c(message); c.next();) {
    if (c.field() == 1) dim = Dim(c.integer());
    if (c.field() == 2) dim = c.text() == "None" ? Dim::unknown() : Dim::parse(c.text());
  }
  return dim.value_or(0) < 0 ? Dim::unknown() : dim;
}

Dims parse_dims(std::string_view message) {
  Dims dims;
  for (Cursor c(message); c.next();)
    if (c.field() == 1) dims.push_back(parse_dim(c.bytes()));
  return dims;
}

Type parse_tensor(std::string_view message, Type::Kind kind) {
  Type type;
  for (Cursor c(message); c.next();) {
    if (c.field() == 1 && c.integer() != 0) {
      type.kind = kind;
      type.dtype = parse_dtype(c.integer());
    }
    if (c.field() == 2) type.shape = parse_dims(c.bytes());
  }
  return type.is_known() ? type : Type();
}

// The type in field `field` of a sequence, optional or map.
Type parse_element(std::string_view message, uint32_t field, int depth) {
  Type element;
  for (Cursor c(message); c.next();)
    if (c.field() == field) element = parse(c.bytes(), depth + 1);
  return element;
}

Type parse_map(std::string_view message, int depth) {
  int64_t key = 0;
  for (Cursor c(message); c.next();)
    if (c.field() == 1) key = c.integer();
  const DType dtype = parse_dtype(key);
  check(is_integer(dtype) || dtype == DType::string, "a map cannot have keys of type ", dtype);
  return Type::map(dtype, parse_element(message, 2, depth));
}

Type parse(std::string_view message, int depth) {
  check(depth <= kMaxTypeDepth, "types are nested more than ", kMaxTypeDepth, " deep");
  Type type;
  for (Cursor c(message); c.next();) {
    switch (c.field()) {
      case 1:
        type = parse_tensor(c.bytes(), Type::Kind::tensor);
        break;
      case 4:
        type = Type::sequence(parse_element(c.bytes(), 1, depth));
        break;
      case 5:
        type = parse_map(c.bytes(), depth);
        break;
      case 7:
        fail(ErrorKind::unsupported, "opaque types are not supported");
      case 8:
        type = parse_tensor(c.bytes(), Type::Kind::sparse_tensor);
        break;
      case 9:
        type = Type::optional(parse_element(c.bytes(), 1, depth));
        break;
      default:
        break;
    }
  }
  return type;
}

}  // namespace

Type parse_type(std::string_view message) { return parse(message, 0); }

Type parse_type_of(std::string_view name, std::string_view message) {
  try {
    return parse_type(message);
  } catch (...) {
    rethrow_at("value '" + std::string(name) + "'");
  }
}

Type without_shapes(Type type) {
  type.shape.reset();
  if (type.element) type.element = std::make_shared<const Type>(without_shapes(*type.element));
  return type;
}

Type without_dims(Type type) {
  if (type.shape) type.shape = Dims(type.shape->size(), Dim::unknown());
  if (type.element) type.element = std::make_shared<const Type>(without_dims(*type.element));
  return type;
}

Type with_dims(Type type, const std::map<std::string, int64_t, std::less<>>& numbers) {
  if (numbers.empty()) return type;
  if (type.shape) {
    for (Dim& dim : *type.shape) {
      const auto found = numbers.find(dim.to_string());
      if (!dim.is_known() && found != numbers.end()) dim = Dim(found->second);
    }
  }
  if (type.element) {
    type.element = std::make_shared<const Type>(with_dims(*type.element, numbers));
  }
  return type;
}

DType parse_dtype(int64_t code) {
  check(is_known_dtype(code), "unknown element type ", code);
  return static_cast<DType>(code);
}

}  // namespace sdx::onnx
