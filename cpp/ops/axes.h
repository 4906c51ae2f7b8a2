// Axes, shapes and index lists as nodes give them: in attributes or in integer inputs.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "ir/op.h"

namespace sdx::ops {

// A list that is an attribute in old versions of an operator and an input in new ones.
class IntegerList {
 public:
  // Reads the attribute `name` where input `input` does not hold the list (input < 0).
  IntegerList(const OpInit& init, std::string_view name, int input);

  // Whether the node gives the list at all.
  template <class Context>
  bool given(const Context& ctx) const {
    return attribute_ || (input_ >= 0 && ctx.has_input(input_));
  }
  // The numbers; nothing unless all are known. Ask these only where the list is given. They throw
  // where input `input` is no list of integers, and defer the node where its elements are missing.
  std::optional<std::vector<int64_t>> get(InferContext& ctx) const;
  // The same with symbols.
  std::optional<Dims> symbols(InferContext& ctx) const;
  // How many there are; nothing unless known.
  std::optional<int64_t> count(const InferContext& ctx) const;
  std::vector<int64_t> get(const PrepareContext& ctx) const;

 private:
  int input_;
  std::optional<std::vector<int64_t>> attribute_;
};

// The elements of integer input i as numbers or symbols, any number of them where they are
// constant. Where they are not known the node is deferred.
std::optional<Dims> elements(InferContext& ctx, int i);
// The same of an input that holds one integer; unknown where that is.
Dim one_element(InferContext& ctx, int i, std::string_view what);

// The elements of integer input i, which infer has seen to be known before the run.
std::vector<int64_t> known_integers(const PrepareContext& ctx, int i);

// Counted from the front; throws where one is out of range or named twice.
Shape normalize_axes(std::span<const int64_t> axes, int64_t rank);

// Throws where a dimension that is known is negative.
void check_dims(const Dims& dims);

// The product of dims[begin..end).
Dim product(const Dims& dims, std::size_t begin, std::size_t end);
inline Dim product(const Dims& dims) { return product(dims, 0, dims.size()); }

// The shape that integer input i spells: unknown dimensions where only how many there are is known,
// nothing where not even that.
std::optional<Dims> shape_from_input(InferContext& ctx, int i);

// `count` unknown dimensions.
Dims unknown_dims(int64_t count);

// Throws unless input i is an int32 or int64 tensor.
void check_indices(const InferContext& ctx, int i);

// Elements of an int32 or int64 tensor.
class Indices {
 public:
  Indices(const Frame& f, int input, bool wide)
      : narrow_(wide ? nullptr : f.in<int32_t>(input)), wide_(f.in<int64_t>(input)) {}
  int64_t operator[](int64_t i) const { return narrow_ ? narrow_[i] : wide_[i]; }

 private:
  const int32_t* narrow_;
  const int64_t* wide_;
};

// `index` counted from the front; throws unless it lies in [-size, size).
inline int64_t checked_index(int64_t index, int64_t size, int64_t axis) {
  check_argument(index >= -size && index < size, "index ", index, " is out of range for axis ",
                 axis, " of size ", size);
  return index < 0 ? index + size : index;
}

}  // namespace sdx::ops
