#include "bindings/host_operators.h"

#include "api/operator_library.h"
#include "base/error.h"
#include "bindings/gil.h"

namespace sdx::bindings {
namespace {

using SharedOperator = std::shared_ptr<const HostOperator>;
constexpr const char* kCapsule = "sardonyx.operator";

thread_local OperatorErrors* current_errors = nullptr;

py::dict keywords(const HostAttributes& attributes) {
  py::dict dict;
  for (const auto& [name, value] : attributes) {
    dict[py::str(name)] = std::visit(
        [](const auto& item) -> py::object {
          using Item = std::decay_t<decltype(item)>;
          if constexpr (std::is_same_v<Item, Tensor>) {
            return to_python(Datum(item).owned());
          } else if constexpr (std::is_arithmetic_v<Item> || std::is_same_v<Item, std::string>) {
            return py::cast(item);
          } else {
            py::list list;
            for (const auto& each : item) list.append(py::cast(each));
            return list;
          }
        },
        value);
  }
  return dict;
}

// Several outputs come as a tuple or list, one as itself too.
std::vector<py::object> several(const py::object& given, int outputs) {
  if (outputs == 1 && !PyTuple_Check(given.ptr())) return {given};
  check_argument(PyTuple_Check(given.ptr()) || PyList_Check(given.ptr()), "expected a tuple of ",
                 outputs, " outputs, got ", Py_TYPE(given.ptr())->tp_name);
  std::vector<py::object> items;
  for (const py::handle item : given) items.push_back(py::reinterpret_borrow<py::object>(item));
  return items;
}

// Calls Python and makes its exceptions ours.
template <class F>
auto guarded(F&& f) {
  const WithGil gil;
  try {
    return f();
  } catch (const py::error_already_set& error) {
    const std::string kind = py::str(error.type().attr("__name__"));
    const std::string text = kind + ": " + message_of(error);
    OperatorErrors::keep(std::current_exception());
    throw Error(ErrorKind::internal, text);
  }
}

py::object described(const HostType& type) {
  if (type.dtype == DType::undefined) return py::none();
  py::object shape = py::none();
  if (type.has_shape) {
    py::list dims;
    for (const std::string& dim : type.shape) {
      if (dim == "?")
        dims.append(py::none());
      else if (dim.find_first_not_of("0123456789") == std::string::npos)
        dims.append(py::int_(py::str(dim)));
      else
        dims.append(py::str(dim));
    }
    shape = py::tuple(dims);
  }
  return py::make_tuple(numpy_dtype(type.dtype), shape);
}

// Of (dtype, shape) or a dtype alone.
HostType host_type(const py::object& given) {
  HostType type;
  const bool pair = PyTuple_Check(given.ptr()) && py::len(given) == 2;
  const py::object dtype = pair ? py::object(given[py::int_(0)]) : given;
  type.dtype = dtype_of_array(py::array(py::dtype::from_args(dtype), py::array::ShapeContainer{0}));
  check_argument(type.dtype != DType::undefined, "ONNX has no type for ",
                 py::str(dtype).cast<std::string>());
  if (!pair || given[py::int_(1)].is_none()) return type;
  type.has_shape = true;
  for (const py::handle dim : given[py::int_(1)])
    type.shape.push_back(dim.is_none() ? "?" : py::str(dim).cast<std::string>());
  return type;
}

struct PythonOperator {
  py::object function, infer;

  std::vector<HostType> types(std::span<const HostType> inputs, const HostAttributes& attributes,
                              int outputs) const {
    return guarded([&] {
      py::tuple args(inputs.size());
      for (std::size_t i = 0; i < inputs.size(); ++i) args[i] = described(inputs[i]);
      const py::object given = infer(*args, **keywords(attributes));
      std::vector<HostType> types;
      if (outputs == 1 && !PyList_Check(given.ptr())) return std::vector{host_type(given)};
      for (const py::object& item : several(given, outputs)) types.push_back(host_type(item));
      return types;
    });
  }

  std::vector<Datum> run(std::span<const Datum> inputs, const HostAttributes& attributes,
                         int outputs) const {
    return guarded([&] {
      py::tuple args(inputs.size());
      for (std::size_t i = 0; i < inputs.size(); ++i)
        args[i] = inputs[i].empty() ? py::none() : to_python(inputs[i]);
      const py::object given = function(*args, **keywords(attributes));
      std::vector<Datum> results;
      Declared declared;
      declared.kind = Declared::Kind::tensor;
      for (const py::object& item : several(given, outputs)) {
        std::vector<py::object> keep;
        const py::object array = py::module_::import("numpy").attr("asarray")(item);
        results.push_back(to_datum(array, declared, keep).owned());
      }
      return results;
    });
  }
};

}  // namespace

py::list library_operators(const std::string& path) {
  HostOperators loaded;
  {
    const WithoutGil release;  // a library may do anything when it is loaded
    loaded = load_operator_library(path);
  }
  py::list operators;
  for (const SharedOperator& each : loaded) {
    const py::capsule held(new SharedOperator(each), kCapsule, [](PyObject* capsule) {
      delete static_cast<SharedOperator*>(PyCapsule_GetPointer(capsule, kCapsule));
    });
    operators.append(py::make_tuple(each->domain, each->name, held));
  }
  return operators;
}

HostOperators host_operators(const py::list& described) {
  HostOperators operators;
  for (const py::handle item : described) {
    if (PyCapsule_IsValid(item.ptr(), kCapsule)) {
      operators.push_back(*py::reinterpret_borrow<py::capsule>(item).get_pointer<SharedOperator>());
      continue;
    }
    const auto tuple = py::cast<py::tuple>(item);
    // Given back with the GIL, by whichever thread.
    const std::shared_ptr<PythonOperator> python(new PythonOperator{tuple[2], tuple[3]},
                                                 DeleteWithGil());
    auto made = std::make_shared<HostOperator>();
    made->domain = py::cast<std::string>(tuple[0]);
    made->name = py::cast<std::string>(tuple[1]);
    if (!python->infer.is_none())
      made->infer = [python](auto&&... args) { return python->types(args...); };
    made->run = [python](auto&&... args) { return python->run(args...); };
    made->pure = py::cast<bool>(tuple[4]);
    operators.push_back(std::move(made));
  }
  return operators;
}

OperatorErrors::OperatorErrors() : outer_(current_errors) { current_errors = this; }
OperatorErrors::~OperatorErrors() { current_errors = outer_; }

void OperatorErrors::keep(std::exception_ptr raised) {
  if (current_errors) current_errors->raised_ = std::move(raised);
}

void OperatorErrors::raise(const std::exception& error) {
  if (!raised_) return;
  try {
    std::rethrow_exception(std::exchange(raised_, nullptr));
  } catch (py::error_already_set& raised) {
    if (!raised.matches(PyExc_Exception)) throw;
    const py::object kind = py::module_::import("sardonyx").attr("Error");
    py::raise_from(raised, kind.ptr(), error.what());
    throw py::error_already_set();
  }
}

}  // namespace sdx::bindings
