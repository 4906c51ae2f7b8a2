// The type of a value: a tensor of some element type and (perhaps) shape, or a container of types.
#pragma once

#include <iosfwd>
#include <memory>
#include <optional>
#include <string>

#include "base/dim.h"
#include "base/dtype.h"

namespace sdx {

struct Type {
  enum class Kind : uint8_t { none, tensor, sparse_tensor, sequence, map, optional };

  Kind kind = Kind::none;                // none: not known
  DType dtype = DType::undefined;        // of tensor elements, or of a map's keys
  std::optional<Dims> shape;             // tensors only; nothing: rank not known
  std::shared_ptr<const Type> element;  // of a sequence, optional, or a map's values; immutable

  static Type tensor(DType dtype) { return {Kind::tensor, dtype, std::nullopt, nullptr}; }
  static Type tensor(DType dtype, Dims dims) {
    return {Kind::tensor, dtype, std::move(dims), nullptr};
  }
  static Type sequence(Type element);
  static Type optional(Type element);
  static Type map(DType key, Type value);

  bool is_tensor() const { return kind == Kind::tensor; }
  bool is_known() const { return kind != Kind::none; }
  // The shape as numbers; nothing unless every dimension is known.
  std::optional<Shape> known_shape() const;
  // "float32[batch, 3]", "float32[...]" for unknown rank, "sequence(float32[N])",
  // "map(int64, float32[])", "optional(...)", "?" for none. parse reads it back, throwing
  // `invalid_argument` for what is no type.
  std::string to_string() const;
  static Type parse(std::string_view text);

  // Same kind, element type and provably same shape.
  friend bool operator==(const Type& a, const Type& b);
};

// What both describe, taking from each what the other does not know; throws where they contradict
// in kind or element type. Where dimensions differ, `a` wins.
Type merge(const Type& a, const Type& b);

std::ostream& operator<<(std::ostream& out, const Type& type);

}  // namespace sdx
