#include "base/shape.h"

#include <ostream>

#include "base/checked.h"

namespace sdx {

int64_t element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  bool empty = false;
  for (const int64_t dim : shape) {
    check(dim >= 0, "negative dimension ", dim, " in shape ", Shape(shape));
    if (dim == 0)
      empty = true;
    else
      count = checked_mul(count, dim);
  }
  return empty ? 0 : count;
}

Shape row_major_strides(std::span<const int64_t> shape) {
  Shape strides(shape.size());
  int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

int64_t normalize_axis(int64_t axis, int64_t rank) {
  check(axis >= -rank && axis < rank, "axis ", axis, " is out of range for rank ", rank);
  return axis < 0 ? axis + rank : axis;
}

AxisSplit split_at(std::span<const int64_t> shape, int64_t axis) {
  axis = normalize_axis(axis, static_cast<int64_t>(shape.size()));
  AxisSplit split;
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i)
    (i < axis ? split.outer : i == axis ? split.size : split.inner) *= shape[i];
  return split;
}

Shape broadcast(std::span<const int64_t> a, std::span<const int64_t> b) {
  if (a.size() < b.size()) std::swap(a, b);
  Shape result(a);
  const std::size_t shift = a.size() - b.size();
  for (std::size_t i = 0; i < b.size(); ++i) {
    const int64_t x = a[shift + i], y = b[i];
    check(x == y || x == 1 || y == 1, "shapes ", Shape(a), " and ", Shape(b), " do not broadcast");
    result[shift + i] = x == 1 ? y : x;
  }
  return result;
}

Shape broadcast_strides(std::span<const int64_t> from, std::span<const int64_t> to) {
  bool fits = from.size() <= to.size();
  const std::size_t shift = fits ? to.size() - from.size() : 0;
  for (std::size_t i = 0; fits && i < from.size(); ++i)
    fits = from[i] == 1 || from[i] == to[shift + i];
  check(fits, "a shape ", Shape(from), " does not broadcast to ", Shape(to));
  Shape strides(to.size());
  int64_t step = 1;
  for (std::size_t i = from.size(); i-- > 0;) {
    strides[shift + i] = from[i] == 1 ? 0 : step;
    step *= from[i];
  }
  return strides;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (std::size_t i = 0; i < shape.size(); ++i) out << (i ? ", " : "") << shape[i];
  return out << ']';
}

}  // namespace sdx
