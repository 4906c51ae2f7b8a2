// Data to Python values: arrays share the tensors' memory.
#include "base/error.h"
#include "bindings/convert.h"

namespace sdx::bindings {
namespace {

py::object text(const std::string& utf8) {
  PyObject* str =
      PyUnicode_DecodeUTF8(utf8.data(), static_cast<Py_ssize_t>(utf8.size()), "surrogateescape");
  if (!str) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(str);
}

py::object strings(const Tensor& tensor) {
  const std::vector<py::ssize_t> shape(tensor.shape().begin(), tensor.shape().end());
  py::array array(numpy_dtype(DType::string), shape);
  auto** items = static_cast<PyObject**>(array.mutable_data());
  for (int64_t i = 0; i < tensor.count(); ++i) {
    PyObject* old = items[i];
    items[i] = text(tensor.data<std::string>()[i]).release().ptr();
    Py_XDECREF(old);
  }
  return array;
}

py::object to_dict(const Map& map) {
  const py::object keys = to_array(map.keys).attr("tolist")();
  const py::object values = to_array(map.values).attr("tolist")();
  return py::dict(py::module_::import("builtins").attr("zip")(keys, values));
}

}  // namespace

py::object to_array(Tensor tensor) {
  if (tensor.dtype() == DType::string) return strings(tensor);
  if (!tensor.owns() || tensor.owner().use_count() > 1) tensor = tensor.clone();
  if (is_signed_integer(tensor.dtype()) && file_bits(tensor.dtype()) < 8) {
    const auto mask = static_cast<uint8_t>((1u << file_bits(tensor.dtype())) - 1);
    auto* bytes = static_cast<uint8_t*>(tensor.raw());
    for (int64_t i = 0; i < tensor.count(); ++i) bytes[i] &= mask;  // as ml_dtypes keeps them
  }
  auto* owner = new std::shared_ptr<void>(tensor.owner());
  const py::capsule base(owner,
                         [](void* held) { delete static_cast<std::shared_ptr<void>*>(held); });
  const Shape& shape = tensor.shape();
  return py::array(numpy_dtype(tensor.dtype()),
                   py::array::ShapeContainer(shape.begin(), shape.end()), tensor.raw(), base);
}

py::object to_python(Datum datum) {
  if (datum.is_tensor()) return to_array(std::move(datum.tensor()));
  if (datum.is_sequence()) {
    py::list list;
    for (const Datum& item : datum.sequence().items) list.append(to_python(item));
    return list;
  }
  if (datum.is_map()) return to_dict(datum.map());
  if (datum.is_sparse()) {
    const SparseTensor& sparse = datum.sparse();
    py::list shape;
    for (const int64_t dim : sparse.shape) shape.append(dim);
    return py::make_tuple(to_array(sparse.values), to_array(sparse.indices), py::tuple(shape));
  }
  return py::none();
}

}  // namespace sdx::bindings
