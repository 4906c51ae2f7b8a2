// Recognises the arrays of a cache that grows in place.
#include "bindings/convert.h"

namespace sdx::bindings {
namespace {

bool is_native_float32(const py::array& array) {
  return dtype_of_array(array) == DType::float32 && array.dtype().byteorder() != '>' &&
         (array.flags() & kAligned);
}

// Rows between the heads of [..., rows, width] where all heads lie so many apart, else 0.
int64_t room_of(const py::array& array) {
  const auto rank = array.ndim();
  const int64_t rows = array.shape(rank - 2);
  const int64_t row_bytes = array.shape(rank - 1) * array.itemsize();
  if (array.shape(rank - 1) > 1 && array.strides(rank - 1) != array.itemsize()) return 0;
  if (row_bytes == 0 || (rows > 1 && array.strides(rank - 2) != row_bytes)) return 0;
  int64_t heads = 1, room = 0;  // strides of axes of length 1 say nothing
  for (auto axis = rank - 2; axis-- > 0; heads *= array.shape(axis)) {
    if (array.shape(axis) == 0) return 0;
    if (array.shape(axis) == 1) continue;
    const int64_t stride = array.strides(axis);
    if (stride <= 0 || stride % (heads * row_bytes) != 0) return 0;
    const int64_t found = stride / (heads * row_bytes);
    if (found < rows || (room && room != found)) return 0;
    room = found;
  }
  return room ? room : rows;
}

}  // namespace

std::optional<SharedCache> shared_cache(py::handle past, py::handle present) {
  if (!py::isinstance<py::array>(past) || !py::isinstance<py::array>(present)) return std::nullopt;
  const auto from = py::reinterpret_borrow<py::array>(past);
  const auto to = py::reinterpret_borrow<py::array>(present);
  if (from.data() != to.data() || from.ndim() != to.ndim() || from.ndim() < 3 ||
      !is_native_float32(from) || !is_native_float32(to) || !to.writeable())
    return std::nullopt;
  const Shape first = shape_of(from), all = shape_of(to);
  const std::size_t row_axis = all.size() - 2;
  for (std::size_t axis = 0; axis < first.size(); ++axis) {
    if (axis == row_axis ? first[axis] > all[axis] : first[axis] != all[axis]) return std::nullopt;
    // Of an empty array no element lies anywhere.
    if (first[axis] > 1 && first[row_axis] > 0 &&
        from.strides(static_cast<py::ssize_t>(axis)) != to.strides(static_cast<py::ssize_t>(axis)))
      return std::nullopt;
  }
  const int64_t room = room_of(to);
  if (room == 0) return std::nullopt;
  return SharedCache{Tensor::view(DType::float32, first, from.data()),
                     Tensor::view(DType::float32, all, to.data()), room};
}

}  // namespace sdx::bindings
