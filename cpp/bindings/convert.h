// Python values to data and back. The GIL is held in all of these.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "api/session.h"
#include "base/datum.h"

namespace sdx::bindings {

namespace py = pybind11;

// The NumPy (or ml_dtypes) type of an element type; object for strings.
py::dtype numpy_dtype(DType dtype);
// The element type of an array, `undefined` where ONNX has none. Text of any kind is `string`.
DType dtype_of_array(const py::array& array);

// Of the flags of an array: NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE.
inline constexpr int kCContiguous = 0x1, kAligned = 0x100, kWriteable = 0x400;

inline Shape shape_of(const py::array& array) {
  return Shape(array.shape(), array.shape() + array.ndim());
}

// A declared type, read from ValueInfo::type.
struct Declared {
  enum class Kind { unknown, tensor, sparse_tensor, sequence, map };
  Kind kind = Kind::unknown;
  DType dtype = DType::undefined;  // of tensor elements; of a map's keys
  std::shared_ptr<const Declared> element;
};
Declared parse_declared(std::string_view type);

// The value as a datum that may view memory of Python objects; `keep` holds those. Values without
// an element type of their own (Python numbers, lists) take the declared one, arrays keep theirs.
// Throws `invalid_argument`.
Datum to_datum(py::handle value, const Declared& declared, std::vector<py::object>& keep);

// The same memory as an array that keeps it alive; memory that somebody else sees too is copied.
py::object to_array(Tensor tensor);
py::object to_python(Datum datum);

// A view of an array's memory where that is native, contiguous and writeable; else an empty tensor.
Tensor writeable_view(const py::array& array);

// A past and its present in one buffer, [..., rows, width] whose heads are `room` rows apart.
struct SharedCache {
  Tensor past, present;
  int64_t room = 0;
};
// Of arrays that are the first rows of every head of one buffer, as `cache[:, :, :n]` and
// `cache[:, :, :m]` are; nothing unless they are.
std::optional<SharedCache> shared_cache(py::handle past, py::handle present);

// An array over the memory of an object with __dlpack__.
py::array array_of_dlpack(py::handle value);

// The text of an exception in flight from Python.
std::string message_of(const py::error_already_set& error);

}  // namespace sdx::bindings
