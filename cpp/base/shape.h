// Shapes with numbers in them: what the shape clock and the run clock work on.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <span>

#include "base/inline_vector.h"

namespace sdx {

using Shape = InlineVector<int64_t, 6>;

// The product of the dimensions, 1 for a scalar. Throws where it overflows or a dimension is
// negative.
int64_t element_count(std::span<const int64_t> shape);

// Element strides of a contiguous row-major array.
Shape row_major_strides(std::span<const int64_t> shape);

// `axis` counted from the front; throws unless -rank <= axis < rank.
int64_t normalize_axis(int64_t axis, int64_t rank);

// A shape seen around one axis: outer x size x inner.
struct AxisSplit {
  int64_t outer = 1;
  int64_t size = 1;
  int64_t inner = 1;
};
AxisSplit split_at(std::span<const int64_t> shape, int64_t axis);

// NumPy broadcasting of two shapes; throws where they do not broadcast.
Shape broadcast(std::span<const int64_t> a, std::span<const int64_t> b);

// Strides, in elements and aligned to the right of `to`, that walk `from` as if it had shape `to`;
// 0 along broadcast axes.
Shape broadcast_strides(std::span<const int64_t> from, std::span<const int64_t> to);

// Prints "[2, 3, 4]".
std::ostream& operator<<(std::ostream& out, const Shape& shape);

}  // namespace sdx
