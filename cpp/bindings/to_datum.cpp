// Python values to data: views where the memory fits, copies where it does not.
#include <cstring>

#include "base/error.h"
#include "bindings/convert.h"
#include "bindings/signals.h"

namespace sdx::bindings {
namespace {

py::module_ numpy() { return py::module_::import("numpy"); }

const char* type_name(py::handle value) { return Py_TYPE(value.ptr())->tp_name; }

bool is_plain(const py::array& array) {
  constexpr int kNeeded = kCContiguous | kAligned;
  return (array.flags() & kNeeded) == kNeeded && array.dtype().byteorder() != '>';
}

std::string text_of(py::handle value) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_Check(value.ptr())) {
    if (PyBytes_AsStringAndSize(value.ptr(), &data, &size) != 0) throw py::error_already_set();
    return std::string(data, static_cast<std::size_t>(size));
  }
  check_argument(PyUnicode_Check(value.ptr()), "expected text, got ", type_name(value));
  if (const char* utf8 = PyUnicode_AsUTF8AndSize(value.ptr(), &size)) {
    return std::string(utf8, static_cast<std::size_t>(size));
  }
  PyErr_Clear();  // bytes that were no UTF-8 travel through Python as lone surrogates
  const auto bytes = py::reinterpret_steal<py::object>(
      PyUnicode_AsEncodedString(value.ptr(), "utf-8", "surrogateescape"));
  if (!bytes) throw py::error_already_set();
  return text_of(bytes);
}

// Of code points as UTF-8; false where one is none, such as a lone surrogate.
bool encode(const char32_t* codes, std::size_t size, std::string& text) {
  char32_t all = 0;
  for (std::size_t i = 0; i < size; ++i) all |= codes[i];
  text.resize(size);
  if (all < 0x80) {
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(codes[i]);
    return true;
  }
  text.clear();
  const auto add = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  for (std::size_t i = 0; i < size; ++i) {
    const char32_t code = codes[i];
    if ((code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return false;
    if (code < 0x80) {
      add(code);
      continue;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // bytes of six bits that follow
    add((0xf00u >> (more + 1) & 0xffu) | code >> 6 * more);
    for (int rest = more; rest-- > 0;) add(0x80 | (code >> 6 * rest & 0x3f));
  }
  return true;
}

// NumPy's fixed-width texts, where they lie one after another: no Python object is made of them.
bool copy_texts(const py::array& array, Tensor& to) {
  if (array.dtype().kind() != 'U' || !is_plain(array)) return false;
  const auto* codes = static_cast<const char32_t*>(array.data());
  const auto width = static_cast<std::size_t>(array.itemsize()) / sizeof(char32_t);
  Conversion conversion;
  for (int64_t i = 0; i < to.count(); ++i, codes += width) {
    conversion.go_on(width);
    std::size_t size = width;
    while (size > 0 && codes[size - 1] == 0) --size;
    if (!encode(codes, size, to.data<std::string>()[i])) return false;
  }
  return true;
}

Tensor strings_from(const py::array& array) {
  Tensor texts = Tensor::allocate(DType::string, shape_of(array));
  if (copy_texts(array, texts)) return texts;
  const py::array objects = numpy().attr("require")(array, "O", "C");
  const auto* items = static_cast<PyObject* const*>(objects.data());
  Conversion conversion;
  for (int64_t i = 0; i < texts.count(); ++i) {
    std::string& text = texts.data<std::string>()[i];
    text = text_of(items[i]);
    conversion.go_on(text.size());
  }
  return texts;
}

// Masks are large, and their bytes nearly always 0 or 1: many at a time see that there is nothing
// to do.
bool any_beyond_one(const uint8_t* bytes, int64_t count) {
  typedef uint64_t Words __attribute__((vector_size(16)));
  Words all{}, some[4];
  int64_t i = 0;
  for (; i + int64_t{sizeof(some)} <= count; i += sizeof(some)) {
    std::memcpy(some, bytes + i, sizeof(some));
    all |= (some[0] | some[1]) | (some[2] | some[3]);
  }
  uint64_t rest = 0;
  for (; i < count; ++i) rest |= bytes[i];
  return ((all[0] | all[1] | rest) & 0xfefefefefefefefe) != 0;
}

// Arrays keep narrow types in the low bits of a byte and may hold anything above them: integers are
// extended to the byte here, floats and booleans cut to their code. Nothing where there is nothing
// to do.
bool narrow_to_byte(DType dtype, const uint8_t* from, int64_t count, uint8_t* to) {
  const bool is_bool = dtype == DType::boolean;
  if (is_bool && !to) return any_beyond_one(from, count);
  const int bits = is_bool ? 1 : file_bits(dtype);
  const auto mask = static_cast<uint8_t>((1u << bits) - 1);
  const auto sign = static_cast<uint8_t>(is_signed_integer(dtype) ? 1u << (bits - 1) : 0);
  bool changed = false;
  for (int64_t i = 0; i < count; ++i) {
    const auto low = static_cast<uint8_t>(is_bool ? from[i] != 0 : from[i] & mask);
    const auto extended = static_cast<uint8_t>((low ^ sign) - sign);
    changed |= extended != from[i];
    if (to) to[i] = extended;
  }
  return changed;
}

Tensor tensor_from_array(const py::array& given, std::vector<py::object>& keep) {
  const DType dtype = dtype_of_array(given);
  if (dtype == DType::undefined) {
    fail(ErrorKind::invalid_argument, "arrays of type ", text_of(py::str(given.dtype())),
         " have no ONNX type");
  }
  if (dtype == DType::string) return strings_from(given);
  py::array array = given;
  if (!is_plain(array)) {
    array = numpy().attr("require")(given, given.dtype().attr("newbyteorder")("="),
                                    py::make_tuple("C", "A"));
  }
  Tensor view = Tensor::view(dtype, shape_of(array), array.data());
  if (dtype == DType::boolean || (file_bits(dtype) > 0 && file_bits(dtype) < 8)) {
    const auto* bytes = static_cast<const uint8_t*>(array.data());
    if (narrow_to_byte(dtype, bytes, view.count(), nullptr)) {
      Tensor extended = Tensor::allocate(dtype, view.shape());
      narrow_to_byte(dtype, bytes, view.count(), static_cast<uint8_t*>(extended.raw()));
      return extended;
    }
  }
  keep.push_back(std::move(array));
  return view;
}

// Python numbers and lists have no element type of their own: they take the declared one where
// every value survives it.
Tensor tensor_from_items(py::handle value, DType wanted, std::vector<py::object>& keep) {
  const py::array natural = numpy().attr("asarray")(value);
  const char kind = natural.dtype().kind();
  const bool text = kind == 'O' || kind == 'U' || kind == 'S' || kind == 'T';
  if (wanted == DType::undefined || (text && wanted == DType::string)) {
    return tensor_from_array(natural, keep);
  }
  const py::dtype dtype = numpy_dtype(wanted);
  const bool integer = kind == 'i' || kind == 'u';
  const bool fits = natural.size() == 0 || (wanted == DType::boolean && kind == 'b') ||
                    (is_integer(wanted) && integer) ||
                    (!is_integer(wanted) && wanted != DType::boolean && wanted != DType::string &&
                     !text && kind != 'c' && kind != 'b') ||
                    ((wanted == DType::complex64 || wanted == DType::complex128) && kind == 'c');
  if (!fits) {
    fail(ErrorKind::invalid_argument, "expected ", wanted, ", got ", type_name(value), " of ",
         text_of(py::str(natural.dtype())));
  }
  const py::array converted = natural.attr("astype")(dtype);
  if (is_integer(wanted) && natural.size() > 0) {
    const py::object back = converted.attr("astype")(natural.dtype());
    check_argument(numpy().attr("array_equal")(back, natural).cast<bool>(), "a value of ",
                   type_name(value), " does not fit ", wanted);
  }
  return tensor_from_array(converted, keep);
}

// A matrix or array of scipy.sparse.
bool is_scipy_sparse(py::handle value) {
  return py::hasattr(value, "nnz") && py::hasattr(value, "tocoo") && py::hasattr(value, "toarray");
}

Tensor to_tensor(py::handle value, DType wanted, std::vector<py::object>& keep) {
  if (py::isinstance<py::array>(value)) {
    return tensor_from_array(py::reinterpret_borrow<py::array>(value), keep);
  }
  PyObject* object = value.ptr();
  if (py::hasattr(value, "dtype") && py::hasattr(value, "__array_interface__")) {  // np.float32(1)
    return tensor_from_array(numpy().attr("asarray")(value), keep);
  }
  if (PyFloat_Check(object) || PyLong_Check(object) || PyComplex_Check(object) ||
      PyUnicode_Check(object) || PyBytes_Check(object) || PyList_Check(object) ||
      PyTuple_Check(object)) {
    return tensor_from_items(value, wanted, keep);
  }
  if (is_scipy_sparse(value)) return tensor_from_array(value.attr("toarray")(), keep);
  if (py::hasattr(value, "__dlpack__")) return tensor_from_array(array_of_dlpack(value), keep);
  check_argument(py::hasattr(value, "__array__") || PyObject_CheckBuffer(object),
                 "expected an array, got ", type_name(value));
  return tensor_from_array(numpy().attr("asarray")(value), keep);
}

Datum map_from(const py::dict& dict, const Declared& declared, std::vector<py::object>& keep) {
  const py::list keys(dict.attr("keys")());
  const py::list values(dict.attr("values")());
  const DType wanted = declared.element ? declared.element->dtype : DType::undefined;
  return Map{to_tensor(keys, declared.dtype, keep).owned(),
             to_tensor(values, wanted, keep).owned()};
}

Datum sparse_from(py::handle value, DType wanted, std::vector<py::object>& keep) {
  if (is_scipy_sparse(value)) {
    // Through CSR, which sorts the items by row and column and adds up those that stand twice.
    const py::object rows = value.attr("tocsr")(py::arg("copy") = true);
    rows.attr("sum_duplicates")();
    const py::object items = rows.attr("tocoo")();
    const py::object places =
        numpy().attr("stack")(py::make_tuple(items.attr("row"), items.attr("col")), 1);
    return sparse_from(
        py::make_tuple(items.attr("data"), places.attr("astype")("int64"), items.attr("shape")),
        wanted, keep);
  }
  check_argument(py::isinstance<py::tuple>(value) && py::len(value) == 3,
                 "expected (values, indices, shape) or a matrix of scipy.sparse, got ",
                 type_name(value));
  const auto parts = py::reinterpret_borrow<py::tuple>(value);
  Tensor values = to_tensor(parts[0], wanted, keep);
  Tensor indices = to_tensor(parts[1], DType::int64, keep);
  const std::vector<int64_t> shape = to_tensor(parts[2], DType::int64, keep).to_int64s();
  return SparseTensor{std::move(values), std::move(indices), Shape(shape.begin(), shape.end())};
}

}  // namespace

Datum to_datum(py::handle value, const Declared& declared, std::vector<py::object>& keep) {
  if (value.is_none()) return Datum();
  if (declared.kind == Declared::Kind::sequence) {
    check_argument(PyList_Check(value.ptr()) || PyTuple_Check(value.ptr()), "expected a list, got ",
                   type_name(value));
    Sequence sequence{declared.element->dtype, {}};
    Conversion conversion;
    for (const py::handle item : value) {
      conversion.go_on();
      sequence.items.push_back(to_datum(item, *declared.element, keep));
    }
    return sequence;
  }
  if (declared.kind == Declared::Kind::map) {
    check_argument(PyDict_Check(value.ptr()), "expected a dict, got ", type_name(value));
    return map_from(py::reinterpret_borrow<py::dict>(value), declared, keep);
  }
  if (declared.kind == Declared::Kind::sparse_tensor) {
    return sparse_from(value, declared.dtype, keep);
  }
  return to_tensor(value, declared.dtype, keep);
}

Tensor writeable_view(const py::array& array) {
  const DType dtype = dtype_of_array(array);
  const bool whole_bytes = file_bits(dtype) >= 8;  // strings have 0
  if (!whole_bytes || !is_plain(array) || !(array.flags() & kWriteable)) return Tensor();
  return Tensor::view(dtype, shape_of(array), array.data());
}

}  // namespace sdx::bindings
