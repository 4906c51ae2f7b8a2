// Element types on both sides, and the memory of the types narrower than a byte.
#include <pybind11/gil_safe_call_once.h>

#include <array>
#include <utility>

#include "base/error.h"
#include "bindings/convert.h"

namespace sdx::bindings {
namespace {

constexpr int kBuiltinTypes = 24;  // NPY_BOOL .. NPY_HALF

struct Types {
  std::array<py::object, kDTypeCount> numpy;
  std::array<DType, kBuiltinTypes> of_builtin{};
};

// The types that NumPy lacks: importing ml_dtypes takes longer than most models do to load.
struct NarrowTypes {
  std::array<py::object, kDTypeCount> numpy;
  std::vector<std::pair<int, DType>> of_registered;  // ml_dtypes registers its own numbers
};

DType dtype_of_kind(char kind, py::ssize_t bytes) {
  switch (kind) {
    case 'b':
      return DType::boolean;
    case 'i':
      return bytes == 1   ? DType::int8
             : bytes == 2 ? DType::int16
             : bytes == 4 ? DType::int32
                          : DType::int64;
    case 'u':
      return bytes == 1   ? DType::uint8
             : bytes == 2 ? DType::uint16
             : bytes == 4 ? DType::uint32
                          : DType::uint64;
    case 'f':
      return bytes == 2   ? DType::float16
             : bytes == 4 ? DType::float32
             : bytes == 8 ? DType::float64
                          : DType::undefined;
    case 'c':
      return bytes == 8 ? DType::complex64 : bytes == 16 ? DType::complex128 : DType::undefined;
    case 'O':
    case 'S':
    case 'U':
      return DType::string;
    default:
      return DType::undefined;
  }
}

Types make_types() {
  Types types;
  for (int number = 0; number < kBuiltinTypes; ++number) {
    const py::dtype dtype(number);
    const DType made = dtype_of_kind(dtype.kind(), dtype.itemsize());
    types.of_builtin[number] = made;
    py::object& numpy = types.numpy[static_cast<int>(made)];
    if (!numpy) numpy = dtype;  // objects come before other text, long before long long
  }
  return types;
}

NarrowTypes make_narrow_types() {
  NarrowTypes types;
  const py::module_ ml_dtypes = py::module_::import("ml_dtypes");
  const py::object make_dtype = py::module_::import("numpy").attr("dtype");
  for (int code = 1; code < kDTypeCount; ++code) {
    const auto dtype = static_cast<DType>(code);
    const std::string name(dtype_name(dtype));
    if (!py::hasattr(ml_dtypes, name.c_str())) continue;
    types.numpy[code] = make_dtype(ml_dtypes.attr(name.c_str()));
    types.of_registered.emplace_back(types.numpy[code].attr("num").cast<int>(), dtype);
  }
  return types;
}

const Types& types() {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<Types> storage;
  return storage.call_once_and_store_result(make_types).get_stored();
}

const NarrowTypes& narrow_types() {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<NarrowTypes> storage;
  return storage.call_once_and_store_result(make_narrow_types).get_stored();
}

}  // namespace

py::dtype numpy_dtype(DType dtype) {
  const int code = static_cast<int>(dtype);
  const py::object& numpy = types().numpy[code] ? types().numpy[code] : narrow_types().numpy[code];
  if (!numpy) fail(ErrorKind::unsupported, "the installed ml_dtypes has no type ", dtype);
  return py::reinterpret_borrow<py::dtype>(numpy);
}

DType dtype_of_array(const py::array& array) {
  const py::dtype dtype = array.dtype();
  const int number = dtype.num();
  if (number >= 0 && number < kBuiltinTypes) return types().of_builtin[number];
  if (dtype.kind() == 'T') return DType::string;  // NumPy's StringDType
  for (const auto& [registered, known] : narrow_types().of_registered) {
    if (registered == number) return known;
  }
  return DType::undefined;
}

Declared parse_declared(std::string_view type) {
  constexpr std::string_view kSparse = "sparse ";
  if (type.starts_with(kSparse)) {
    Declared declared = parse_declared(type.substr(kSparse.size()));
    declared.kind = Declared::Kind::sparse_tensor;
    return declared;
  }
  const std::string_view word = type.substr(0, type.find_first_of("([,)"));
  const auto inside = [&] {
    const std::size_t begin = word.size() + 1;
    return type.size() > begin ? type.substr(begin, type.size() - begin - 1) : std::string_view();
  };
  Declared declared;
  if (word == "optional") return parse_declared(inside());
  if (word == "sequence") {
    declared.kind = Declared::Kind::sequence;
    declared.element = std::make_shared<Declared>(parse_declared(inside()));
  } else if (word == "map") {
    const std::size_t comma = inside().find(", ");
    declared.kind = Declared::Kind::map;
    declared.dtype = dtype_from_name(inside().substr(0, comma));
    declared.element = std::make_shared<Declared>(parse_declared(inside().substr(comma + 2)));
  } else if (word != "?" && !word.empty()) {
    declared.kind = Declared::Kind::tensor;
    declared.dtype = dtype_from_name(word);
  }
  return declared;
}

std::string message_of(const py::error_already_set& error) {
  return py::str(error.value()).cast<std::string>();
}

}  // namespace sdx::bindings
