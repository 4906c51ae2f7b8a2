// Dimensions that may be symbols: a number, or a polynomial in named unknowns such as past + seq.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/shape.h"

namespace sdx {

class DimExpr;

// A dimension (or, in shape arithmetic, any integer). Cheap to copy when it is a number.
class Dim {
 public:
  Dim() : Dim(0) {}
  Dim(int64_t value) : value_(value) {}
  // A named unknown: "batch". Two symbols are equal when their names are.
  static Dim symbol(std::string_view name);
  // An unknown equal to nothing, not even to itself: the count that NonZero will find.
  static Dim unknown();
  // Reads what to_string prints: "4", "batch", "2*past + seq - 1", "?". Text that is no such
  // expression becomes a symbol of that name.
  static Dim parse(std::string_view text);

  bool is_known() const { return !expr_; }
  bool is_unknown() const;
  // The number; throws where it is not known.
  int64_t value() const;
  int64_t value_or(int64_t fallback) const { return expr_ ? fallback : value_; }
  std::string to_string() const;

  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  // Rounded towards minus infinity and plus infinity; b must not be zero.
  friend Dim floor_div(const Dim& a, const Dim& b);
  friend Dim ceil_div(const Dim& a, const Dim& b);
  friend Dim min(const Dim& a, const Dim& b);
  friend Dim max(const Dim& a, const Dim& b);
  // Whether no sizes make it negative: sizes that symbols stand for never are.
  friend bool never_negative(const Dim& dim);
  // Provably equal. False for two unknowns.
  friend bool operator==(const Dim& a, const Dim& b);

 private:
  explicit Dim(std::shared_ptr<const DimExpr> expr) : expr_(std::move(expr)) {}
  friend class DimExpr;

  int64_t value_ = 0;
  std::shared_ptr<const DimExpr> expr_;  // shared: immutable, copied with every type
};

// Whether `dim` is min(c, whole) for some c > 0: what slicing `whole` elements off a table of c gives.
bool is_capped(const Dim& dim, const Dim& whole);

using Dims = std::vector<Dim>;

// The numbers, or nothing when any is not known.
std::optional<Shape> to_shape(const Dims& dims);
Dims to_dims(std::span<const int64_t> shape);

std::ostream& operator<<(std::ostream& out, const Dim& dim);
std::ostream& operator<<(std::ostream& out, const Dims& dims);

}  // namespace sdx
