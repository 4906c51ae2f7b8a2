#include "ir/type.h"

#include <ostream>

namespace sdx {
namespace {

constexpr int kMaxTypeDepth = 16;

std::shared_ptr<const Type> shared(Type type) { return std::make_shared<const Type>(std::move(type)); }

}  // namespace

Type Type::sequence(Type element) {
  return {Kind::sequence, DType::undefined, std::nullopt, shared(std::move(element))};
}

Type Type::optional(Type element) {
  return {Kind::optional, DType::undefined, std::nullopt, shared(std::move(element))};
}

Type Type::map(DType key, Type value) {
  return {Kind::map, key, std::nullopt, shared(std::move(value))};
}

std::optional<Shape> Type::known_shape() const {
  return shape ? to_shape(*shape) : std::nullopt;
}

std::string Type::to_string() const {
  std::ostringstream out;
  switch (kind) {
    case Kind::none:
      return "?";
    case Kind::sparse_tensor:
      out << "sparse ";
      [[fallthrough]];
    case Kind::tensor:
      out << dtype;
      if (shape)
        out << *shape;
      else
        out << "[...]";
      break;
    case Kind::sequence:
      out << "sequence(" << (element ? element->to_string() : "?") << ')';
      break;
    case Kind::optional:
      out << "optional(" << (element ? element->to_string() : "?") << ')';
      break;
    case Kind::map:
      out << "map(" << dtype << ", " << (element ? element->to_string() : "?") << ')';
      break;
  }
  return out.str();
}

namespace {

class TypeParser {
 public:
  explicit TypeParser(std::string_view text) : text_(text) {}

  Type parse() {
    Type type = any(0);
    expect(text_.empty());
    return type;
  }

 private:
  void expect(bool ok) const {
    check_argument(ok, "cannot read a type at '", text_, "'");
  }
  bool take(std::string_view token) {
    while (!text_.empty() && text_[0] == ' ') text_.remove_prefix(1);
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  DType dtype() {
    while (!text_.empty() && text_[0] == ' ') text_.remove_prefix(1);
    std::size_t n = 0;
    while (n < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[n])) || text_[n] == '_'))
      ++n;
    const std::string_view word = text_.substr(0, n);
    text_.remove_prefix(n);
    return word == "undefined" ? DType::undefined : dtype_from_name(word);
  }
  Type any(int depth) {
    expect(depth < kMaxTypeDepth);
    if (take("?")) return {};
    if (take("sequence(")) return close(Type::sequence(any(depth + 1)));
    if (take("optional(")) return close(Type::optional(any(depth + 1)));
    if (take("map(")) {
      const DType key = dtype();
      expect(take(","));
      return close(Type::map(key, any(depth + 1)));
    }
    const bool sparse = take("sparse ");
    Type type = Type::tensor(dtype());
    if (sparse) type.kind = Type::Kind::sparse_tensor;
    expect(take("["));
    if (take("...]")) return type;
    type.shape.emplace();
    if (take("]")) return type;
    // A dimension may hold commas inside parentheses: floor(a, 2).
    std::size_t start = 0;
    int open = 0;
    for (std::size_t i = 0; i < text_.size(); ++i) {
      const char c = text_[i];
      open += (c == '(') - (c == ')');
      if (open == 0 && (c == ',' || c == ']')) {
        std::string_view dim = text_.substr(start, i - start);
        while (!dim.empty() && dim[0] == ' ') dim.remove_prefix(1);
        type.shape->push_back(Dim::parse(dim));
        start = i + 1;
        if (c == ']') {
          text_.remove_prefix(i + 1);
          return type;
        }
      }
    }
    expect(false);
    return type;
  }
  Type close(Type type) {
    expect(take(")"));
    return type;
  }

  std::string_view text_;
};

}  // namespace

Type Type::parse(std::string_view text) { return TypeParser(text).parse(); }

bool operator==(const Type& a, const Type& b) {
  if (a.kind != b.kind || a.dtype != b.dtype || a.shape != b.shape) return false;
  if (!a.element || !b.element) return a.element == b.element;
  return *a.element == *b.element;
}

Type merge(const Type& a, const Type& b) {
  if (!a.is_known()) return b;
  if (!b.is_known()) return a;
  check(a.kind == b.kind, "type ", a, " does not fit the declared type ", b);
  Type result = a;
  if (a.dtype == DType::undefined)
    result.dtype = b.dtype;
  else
    check(b.dtype == DType::undefined || a.dtype == b.dtype, "element type ", a.dtype,
          " does not fit the declared ", b.dtype);
  if (!a.shape) {
    result.shape = b.shape;
  } else if (b.shape && a.shape->size() == b.shape->size()) {
    for (std::size_t i = 0; i < a.shape->size(); ++i)
      if ((*a.shape)[i].is_unknown()) (*result.shape)[i] = (*b.shape)[i];
  }
  if (a.element && b.element)
    result.element = shared(merge(*a.element, *b.element));
  else if (!a.element)
    result.element = b.element;
  return result;
}

std::ostream& operator<<(std::ostream& out, const Type& type) { return out << type.to_string(); }

}  // namespace sdx
