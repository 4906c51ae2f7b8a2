#include "onnx/types.h"

#include <algorithm>

#include "onnx/wire.h"

namespace sdx::onnx {
namespace {

constexpr int kMaxTypeDepth = 32;

char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

class TypeParser {
 public:
  explicit TypeParser(const DimNumbers& numbers) : numbers_(numbers) {}

  Type parse(std::string_view message, int depth) const;

 private:
  Dim parse_dim(std::string_view message) const;
  Dims parse_dims(std::string_view message) const;
  Type parse_tensor(std::string_view message, Type::Kind kind) const;
  Type parse_element(std::string_view message, uint32_t field, int depth) const;
  Type parse_map(std::string_view message, int depth) const;
  // The number that the caller gives such a dimension.
  std::optional<int64_t> number(std::string_view name, std::string_view denotation) const;

  const DimNumbers& numbers_;
};

std::optional<int64_t> TypeParser::number(std::string_view name,
                                          std::string_view denotation) const {
  const auto named = numbers_.by_name.find(name);
  const auto denoted = numbers_.by_denotation.find(denotation);
  const bool is_named = !name.empty() && named != numbers_.by_name.end();
  const bool is_denoted = !denotation.empty() && denoted != numbers_.by_denotation.end();
  if (is_named && is_denoted)
    check_argument(named->second == denoted->second, "dimension '", name, "' is given as ",
                   named->second, ", and as ", denoted->second, " by its denotation '", denotation,
                   "'");
  if (is_named) return named->second;
  if (is_denoted) return denoted->second;
  return std::nullopt;
}

// Exporters write -1, "?" and "None" for what they do not know.
Dim TypeParser::parse_dim(std::string_view message) const {
  Dim dim = Dim::unknown();
  std::string_view name, denotation;
  for (Cursor c(message); c.next();) {
    if (c.field() == 1) dim = Dim(c.integer()), name = {};
    if (c.field() == 2) name = c.text(), dim = name == "None" ? Dim::unknown() : Dim::parse(name);
    if (c.field() == 3) denotation = c.text();
  }
  if (dim.value_or(0) < 0) dim = Dim::unknown();
  const std::optional<int64_t> given = number(name, denotation);
  if (!given) return dim;
  check_argument(!dim.is_known() || dim.value() == *given, "a dimension of ", dim, " is given as ",
                 *given, " by its denotation '", denotation, "'");
  return *given;
}

Dims TypeParser::parse_dims(std::string_view message) const {
  Dims dims;
  for (Cursor c(message); c.next();)
    if (c.field() == 1) dims.push_back(parse_dim(c.bytes()));
  return dims;
}

Type TypeParser::parse_tensor(std::string_view message, Type::Kind kind) const {
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
Type TypeParser::parse_element(std::string_view message, uint32_t field, int depth) const {
  Type element;
  for (Cursor c(message); c.next();)
    if (c.field() == field) element = parse(c.bytes(), depth + 1);
  return element;
}

Type TypeParser::parse_map(std::string_view message, int depth) const {
  int64_t key = 0;
  for (Cursor c(message); c.next();)
    if (c.field() == 1) key = c.integer();
  const DType dtype = parse_dtype(key);
  check(is_integer(dtype) || dtype == DType::string, "a map cannot have keys of type ", dtype);
  return Type::map(dtype, parse_element(message, 2, depth));
}

Type TypeParser::parse(std::string_view message, int depth) const {
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

bool LessInAnyCase::operator()(std::string_view a, std::string_view b) const {
  return std::ranges::lexicographical_compare(a, b, {}, lower, lower);
}

Type parse_type(std::string_view message, const DimNumbers& numbers) {
  return TypeParser(numbers).parse(message, 0);
}

Type parse_type_of(std::string_view name, std::string_view message, const DimNumbers& numbers) {
  try {
    return parse_type(message, numbers);
  } catch (...) {
    rethrow_at("value '" + std::string(name) + "'");
  }
}

std::vector<std::string> parse_dim_names(std::string_view message) {
  std::vector<std::string> names;
  const auto fields = [](std::string_view from, uint32_t field, auto&& visit) {
    for (Cursor c(from); c.next();)
      if (c.field() == field) visit(c);
  };
  fields(message, 1, [&](Cursor& tensor) {
    fields(tensor.bytes(), 2, [&](Cursor& shape) {
      fields(shape.bytes(), 1, [&](Cursor& dim) {
        names.emplace_back();
        fields(dim.bytes(), 2, [&](Cursor& name) { names.back() = name.text(); });
      });
    });
  });
  return names;
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

DType parse_dtype(int64_t code) {
  check(is_known_dtype(code), "unknown element type ", code);
  return static_cast<DType>(code);
}

}  // namespace sdx::onnx
