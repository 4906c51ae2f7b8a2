// Data to Python values: arrays share the tensors' memory.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "bindings/convert.h"
#include "bindings/signals.h"

namespace sdx::bindings {
namespace {

py::object text(const std::string& utf8) {
  PyObject* str =
      PyUnicode_DecodeUTF8(utf8.data(), static_cast<Py_ssize_t>(utf8.size()), "surrogateescape");
  if (!str) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(str);
}

[[noreturn]] void refuse(const Shape& shape) {
  fail(ErrorKind::unsupported, "NumPy has no arrays of shape ", shape);
}

// In bytes. pybind11 would not see what overflows: the sizes of a tensor without elements.
py::array::StridesContainer strides_of(const Shape& shape, py::ssize_t item) {
  py::array::StridesContainer strides(std::vector<py::ssize_t>(shape.size(), item));
  for (std::size_t i = shape.size(); i-- > 1;)
    if (__builtin_mul_overflow((*strides)[i], shape[i], &(*strides)[i - 1])) refuse(shape);
  return strides;
}

// Of the tensor's memory, which `base` owns, or new. NumPy bounds ranks, and what the sizes of a
// tensor without elements may be.
py::array new_array(const Tensor& tensor, const void* data = nullptr, py::handle base = {}) {
  const Shape& shape = tensor.shape();
  const py::dtype dtype = numpy_dtype(tensor.dtype());
  try {
    return py::array(dtype, py::array::ShapeContainer(shape.begin(), shape.end()),
                     strides_of(shape, dtype.itemsize()), data, base);
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_ValueError)) throw;
    refuse(shape);
  }
}

py::object strings(const Tensor& tensor) {
  py::array array = new_array(tensor);
  auto** items = static_cast<PyObject**>(array.mutable_data());
  Conversion conversion;
  for (int64_t i = 0; i < tensor.count(); ++i) {
    const std::string& utf8 = tensor.data<std::string>()[i];
    conversion.go_on(utf8.size());
    PyObject* old = items[i];
    items[i] = text(utf8).release().ptr();
    Py_XDECREF(old);
  }
  return array;
}

py::object item_of(const Tensor& tensor, int64_t i) {
  switch (tensor.dtype()) {
    case DType::float32:
      return py::float_(tensor.data<float>()[i]);
    case DType::int64:
      return py::int_(tensor.data<int64_t>()[i]);
    default:
      return text(tensor.data<std::string>()[i]);
  }
}

bool has_plain_items(const Tensor& tensor) {
  return tensor.dtype() == DType::float32 || tensor.dtype() == DType::int64 ||
         tensor.dtype() == DType::string;
}

// A vector's elements as Python numbers or strings.
py::list to_list(const Tensor& tensor) {
  if (!has_plain_items(tensor)) return to_array(tensor).attr("tolist")();
  py::list list(tensor.count());
  for (int64_t i = 0; i < tensor.count(); ++i)
    PyList_SET_ITEM(list.ptr(), i, item_of(tensor, i).release().ptr());
  return list;
}

// Maps of one sequence often share their keys: those are converted once.
struct Keys {
  Tensor tensor;
  py::list list;
  Conversion conversion;
};

py::object to_dict(const Map& map, Keys& keys) {
  if (!keys.tensor.raw() || keys.tensor.raw() != map.keys.raw())
    keys = {map.keys, to_list(map.keys), keys.conversion};
  const bool plain = has_plain_items(map.values);
  const py::list values = plain ? py::list() : to_list(map.values);
  py::dict dict;
  for (int64_t i = 0; i < map.values.count(); ++i) {
    keys.conversion.go_on();
    const py::object value = plain ? item_of(map.values, i) : py::object(values[i]);
    if (PyDict_SetItem(dict.ptr(), PyList_GET_ITEM(keys.list.ptr(), i), value.ptr()) != 0)
      throw py::error_already_set();
  }
  return dict;
}

// Piece by piece, as other values are converted.
Tensor copy_of(const Tensor& tensor) {
  constexpr std::size_t kPiece = 1 << 20;
  Tensor copy = Tensor::allocate(tensor.dtype(), tensor.shape());
  const std::size_t bytes = static_cast<std::size_t>(tensor.count()) * item_size(tensor.dtype());
  const auto* from = static_cast<const std::byte*>(tensor.raw());
  auto* to = static_cast<std::byte*>(copy.raw());
  Conversion conversion;
  for (std::size_t at = 0; at < bytes; at += kPiece) {
    const std::size_t size = std::min(kPiece, bytes - at);
    std::memcpy(to + at, from + at, size);
    conversion.go_on(size);
  }
  return copy;
}

}  // namespace

py::object to_array(Tensor tensor) {
  if (tensor.dtype() == DType::string) return strings(tensor);
  if (!tensor.owns() || tensor.owner().use_count() > 1) tensor = copy_of(tensor);
  if (is_signed_integer(tensor.dtype()) && file_bits(tensor.dtype()) < 8) {
    const auto mask = static_cast<uint8_t>((1u << file_bits(tensor.dtype())) - 1);
    auto* bytes = static_cast<uint8_t*>(tensor.raw());
    for (int64_t i = 0; i < tensor.count(); ++i) bytes[i] &= mask;  // as ml_dtypes keeps them
  }
  auto* owner = new std::shared_ptr<void>(tensor.owner());
  const py::capsule base(owner,
                         [](void* held) { delete static_cast<std::shared_ptr<void>*>(held); });
  return new_array(tensor, tensor.raw(), base);
}

py::object to_python(Datum datum) {
  if (datum.is_tensor()) return to_array(std::move(datum.tensor()));
  if (datum.is_sequence()) {
    py::list list;
    Keys keys;
    for (const Datum& item : datum.sequence().items) {
      keys.conversion.go_on();
      list.append(item.is_map() ? to_dict(item.map(), keys) : to_python(item));
    }
    return list;
  }
  if (datum.is_map()) {
    Keys keys;
    return to_dict(datum.map(), keys);
  }
  if (datum.is_sparse()) {
    const SparseTensor& sparse = datum.sparse();
    py::list shape;
    for (const int64_t dim : sparse.shape) shape.append(dim);
    return py::make_tuple(to_array(sparse.values), to_array(sparse.indices), py::tuple(shape));
  }
  return py::none();
}

}  // namespace sdx::bindings
