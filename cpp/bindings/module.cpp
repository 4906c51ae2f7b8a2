// The module sardonyx._core: the session, what it tells about itself, and the errors.
#include <pybind11/gil_safe_call_once.h>
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "api/peaks.h"
#include "base/interrupt.h"
#include "base/thread_pool.h"
#include "bindings/gil.h"
#include "bindings/host_operators.h"
#include "bindings/session.h"

namespace sdx::bindings {
namespace {

using Dim = py::typing::Union<py::int_, py::str, py::none>;
using Dims = py::typing::Tuple<Dim, py::ellipsis>;
// The library's: only it may make and end one.
struct BoundPool {
  std::shared_ptr<ThreadPool> pool;
};
using Threads = std::variant<int, BoundPool>;
// Those of host_operators, and bytes: models whose functions may be called.
using Operators = py::typing::List<py::object>;
using Cancel = std::optional<std::reference_wrapper<const CancelFlag>>;
using Log = py::typing::Optional<py::typing::Callable<py::object(py::str)>>;
using Profile = std::optional<py::typing::List<StepProfile>>;

using Codec = py::typing::Optional<py::typing::Callable<py::object(py::bytes, py::str)>>;

struct Errors {
  py::object error, invalid_model, invalid_argument, unsupported, cancelled, timeout;
};
PYBIND11_CONSTINIT py::gil_safe_call_once_and_store<Errors> errors;

py::object new_error(const char* name, const char* doc, const py::object& bases) {
  PyObject* type = PyErr_NewExceptionWithDoc(name, doc, bases.ptr(), nullptr);
  if (!type) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(type);
}

Errors make_errors() {
  const py::handle runtime_error(PyExc_RuntimeError);
  const py::handle value_error(PyExc_ValueError);
  const py::handle not_implemented(PyExc_NotImplementedError);
  Errors made;
  made.error = new_error("sardonyx.Error", "What Sardonyx raises; the base of the others.",
                         py::make_tuple(runtime_error));
  made.invalid_model = new_error("sardonyx.InvalidModel", "The model breaks the ONNX standard.",
                                 py::make_tuple(made.error));
  made.invalid_argument =
      new_error("sardonyx.InvalidArgument", "What the caller passed does not fit the model.",
                py::make_tuple(made.error, value_error));
  made.unsupported = new_error("sardonyx.Unsupported", "Legal ONNX that Sardonyx does not run.",
                               py::make_tuple(made.error, not_implemented));
  made.cancelled = new_error("sardonyx.Cancelled",
                             "The run was ended before it was done; the model is as before.",
                             py::make_tuple(made.error));
  made.timeout = new_error("sardonyx.Timeout", "The run took longer than its timeout.",
                           py::make_tuple(made.cancelled, py::handle(PyExc_TimeoutError)));
  return made;
}

// Names in files are checked to be UTF-8; texts of attributes that a message repeats need not be.
void set_error(const py::object& type, const char* what) {
  const auto size = static_cast<Py_ssize_t>(std::strlen(what));
  PyObject* text = PyUnicode_DecodeUTF8(what, size, "replace");
  if (!text) return;  // Python says why
  PyErr_SetObject(type.ptr(), text);
  Py_DECREF(text);
}

void translate(std::exception_ptr exception) {
  try {
    if (exception) std::rethrow_exception(exception);
  } catch (const Interrupted& end) {
    const Errors& types = errors.get_stored();
    set_error(end.reason() == Interrupted::Reason::timeout ? types.timeout : types.cancelled,
              end.what());
  } catch (const Error& error) {
    const Errors& types = errors.get_stored();
    switch (error.kind()) {
      case ErrorKind::invalid_model:
        return set_error(types.invalid_model, error.what());
      case ErrorKind::invalid_argument:
        return set_error(types.invalid_argument, error.what());
      case ErrorKind::unsupported:
        return set_error(types.unsupported, error.what());
      case ErrorKind::out_of_memory:
        return set_error(py::reinterpret_borrow<py::object>(PyExc_MemoryError), error.what());
      case ErrorKind::internal:
        return set_error(types.error, error.what());
    }
  }
}

// What threads without the GIL may copy.
std::shared_ptr<py::object> shared(const py::object& object) {
  return {new py::object(object), DeleteWithGil()};
}

// The pixels that a Python function makes of a file's bytes; it takes the GIL itself.
std::function<Tensor(std::span<const std::byte>, std::string_view)> codec_of(const Codec& codec) {
  return [decode = shared(codec)](std::span<const std::byte> encoded,
                                  std::string_view pixel_format) -> Tensor {
    const WithGil gil;
    try {
      const py::object given =
          (*decode)(py::bytes(reinterpret_cast<const char*>(encoded.data()), encoded.size()),
                    py::str(pixel_format));
      if (given.is_none()) return {};
      const auto pixels = py::array_t<uint8_t, py::array::c_style>::ensure(given);
      check_argument(pixels && pixels.ndim() == 3, "the image codec gave no uint8 array of rank 3");
      Tensor image =
          Tensor::allocate(DType::uint8, {pixels.shape(0), pixels.shape(1), pixels.shape(2)});
      std::copy_n(pixels.data(), image.count(), image.data<uint8_t>());
      return image;
    } catch (const py::error_already_set& error) {
      fail(ErrorKind::unsupported, message_of(error));
    }
  };
}

using Dimensions = std::map<std::string, int64_t, std::less<>>;

Options options_from(const Threads& given, const Operators& operators, int64_t memory_limit,
                     double trim_after, const std::string& precision, int level,
                     const std::string& passes, const Log& log, const Codec& image_codec,
                     const Dimensions& dims, const Dimensions& denoted_dims,
                     const Arrays& initializers) {
  Options options;
  const int threads = std::holds_alternative<int>(given) ? std::get<int>(given) : 0;
  if (const auto* pool = std::get_if<BoundPool>(&given)) options.pool = pool->pool;
  options.threads = threads;
  py::list functional;
  for (const py::handle each : operators) {
    if (!PyBytes_Check(each.ptr())) {
      functional.append(each);
      continue;
    }
    const auto model = std::as_bytes(std::span(py::cast<std::string_view>(each)));
    options.functions.emplace_back(model.begin(), model.end());
  }
  options.operators = host_operators(functional);
  options.memory_limit = memory_limit;
  options.trim_after = trim_after;
  check_argument(memory_limit >= 0, "memory_limit: expected a positive number, got ", memory_limit);
  options.level = level;
  options.passes = passes;
  check_argument(threads >= 0, "threads: expected a positive number, got ", threads);
  check_argument(level >= 0 && level <= 2, "level: expected 0, 1 or 2, got ", level);
  if (precision == "strict") {
    options.precision = Precision::strict;
  } else if (precision == "fast") {
    options.precision = Precision::fast;
  } else {
    check_argument(precision == "float32",
                   "precision: expected 'strict', 'float32' or 'fast', got '", precision, "'");
  }
  if (!log.is_none()) {
    options.log = [function = shared(log)](std::string_view text) {
      const WithGil gil;
      (*function)(py::str(text.data(), text.size()));
    };
  }
  if (!image_codec.is_none()) options.image_codec = codec_of(image_codec);
  options.dims = dims;
  options.denoted_dims = denoted_dims;
  for (const auto& [name, value] : initializers) {
    std::vector<py::object> keep;
    const Declared tensor{Declared::Kind::tensor, DType::undefined, nullptr};
    const Datum datum = to_datum(value, tensor, keep);
    options.initializers.emplace(py::str(name), datum.tensor().owned());
  }
  return options;
}

BoundPool new_pool(int threads) {
  check_argument(threads >= 1 && threads <= 1024, "threads: expected 1 to 1024, got ", threads);
  return {make_pool(threads)};
}

Dims dims_of(const ValueInfo& value) {
  py::list dims;
  for (const std::string& dim : value.shape) {
    int64_t number = 0;
    const char* end = dim.data() + dim.size();
    const auto [stop, error] = std::from_chars(dim.data(), end, number);
    if (error == std::errc() && stop == end) {
      dims.append(number);
    } else if (dim == "?") {
      dims.append(py::none());
    } else {
      dims.append(dim);
    }
  }
  return py::tuple(dims);
}

void bind_descriptions(py::module_& module) {
  py::class_<ValueInfo>(module, "Value", "An input or output as the model declares it.")
      .def_readonly("name", &ValueInfo::name)
      .def_readonly("kind", &ValueInfo::kind,
                    "'tensor', 'sparse_tensor', 'sequence', 'map' or 'optional'.")
      .def_readonly("type", &ValueInfo::type, "The whole type: 'float32[batch, 3]'.")
      .def_property_readonly(
          "dtype",
          [](const ValueInfo& value) -> py::typing::Optional<py::dtype> {
            if (value.dtype == DType::undefined) return py::none();
            return numpy_dtype(value.dtype);
          },
          "The NumPy type of a tensor's elements (object for text).")
      .def_property_readonly(
          "shape",
          [](const ValueInfo& value) -> py::typing::Optional<Dims> {
            if (!value.has_shape) return py::none();
            return dims_of(value);
          },
          "Numbers, names of symbolic dimensions, and None where nothing is known; None where not "
          "even the rank is.")
      .def_readonly(
          "dim_names", &ValueInfo::dim_names,
          "By dimension of `shape`, the name the file gives it; empty where it gives none.")
      .def_readonly("optional", &ValueInfo::optional, "Whether it has a default value.")
      .def("__repr__", [](const ValueInfo& v) { return "<" + v.name + ": " + v.type + ">"; });

  py::class_<StepProfile>(module, "StepProfile", "What one step of a profiled run took.")
      .def_readonly("node", &StepProfile::node)
      .def_readonly("nodes", &StepProfile::nodes,
                    "The names of the file's nodes that the step stands for.")
      .def_readonly("op", &StepProfile::op)
      .def_readonly("shapes", &StepProfile::shapes)
      .def_readonly("calls", &StepProfile::calls)
      .def_readonly("begin", &StepProfile::begin, "Seconds since the run began.")
      .def_readonly("seconds", &StepProfile::seconds, "Of all calls together.")
      .def_readonly("flops", &StepProfile::flops, "Of one call.")
      .def_readonly("value_bytes", &StepProfile::value_bytes,
                    "Of computed and given values that one call reads and writes.")
      .def_readonly("constant_bytes", &StepProfile::constant_bytes,
                    "Of constants that one call reads, as they are packed.");

  py::class_<Peaks>(module, "Peaks", "What the machine can do at most, as measured.")
      .def_readonly("gflops", &Peaks::gflops, "Float32 multiply-adds, each counted as two.")
      .def_readonly("gbytes", &Peaks::gbytes, "Reading memory, in GB/s.")
      .def("gbytes_at", &Peaks::gbytes_at, py::arg("bytes"),
           "Reading so many bytes again and again, in GB/s: from a cache where they fit.");

  py::class_<NodeCount>(module, "NodeCount", "An operator and how many nodes have it.")
      .def_readonly("op", &NodeCount::op)
      .def_readonly("count", &NodeCount::count);

  py::class_<ModelSummary>(module, "ModelSummary", "What a model consists of.")
      .def_readonly("operators", &ModelSummary::operators)
      .def_readonly("optimized_operators", &ModelSummary::optimized_operators)
      .def_readonly("parameters", &ModelSummary::parameters)
      .def_readonly("parameter_bytes", &ModelSummary::parameter_bytes);

  py::class_<MemoryUse>(module, "MemoryUse", "What a model holds, in bytes; `str` explains it.")
      .def_readonly("mapped_weights", &MemoryUse::mapped_weights)
      .def_readonly("own_weights", &MemoryUse::own_weights)
      .def_readonly("packed_weights", &MemoryUse::packed_weights)
      .def_readonly("running", &MemoryUse::running)
      .def_readonly("idle", &MemoryUse::idle)
      .def_readonly("kept_results", &MemoryUse::kept_results)
      .def_readonly("plans", &MemoryUse::plans)
      .def_property_readonly("total", &MemoryUse::total)
      .def("__str__", &to_text);

  py::class_<PlanSummary>(module, "PlanSummary", "The plan for one set of input shapes.")
      .def_readonly("arena_bytes", &PlanSummary::arena_bytes)
      .def_readonly("value_bytes", &PlanSummary::value_bytes)
      .def_readonly("flops", &PlanSummary::flops)
      .def_readonly("steps", &PlanSummary::steps)
      .def_readonly("dynamic_steps", &PlanSummary::dynamic_steps)
      .def_readonly("text", &PlanSummary::text);
}

void bind_session(py::module_& module) {
  py::class_<BoundPool>(module, "ThreadPool",
                        "So many threads, the caller's among them, for models that share them.")
      .def(py::init(&new_pool), py::arg("threads"))
      .def_property_readonly("threads",
                             [](const BoundPool& bound) { return bound.pool->threads(); })
      .def("__reduce__", [](const py::object& pool) -> py::object {
        return py::make_tuple(py::type::of(pool), py::make_tuple(pool.attr("threads")));
      });

  py::class_<CancelFlag>(module, "CancelFlag", "Ends the runs it is given to when it is set.")
      .def(py::init<>())
      .def("cancel", [](CancelFlag& flag) { flag.set(true); })
      .def_property("is_set", &CancelFlag::is_set, &CancelFlag::set);

  py::class_<BoundCall>(module, "BoundCall", "What a call reads and writes.")
      .def(py::init<std::vector<std::string>, Arrays, std::vector<py::object>>(), py::arg("names"),
           py::arg("feeds"), py::arg("arrays"), py::call_guard<Call>());

  py::class_<BoundSession>(module, "Session", "A loaded model. Safe to run from many threads.")
      .def_static(
          "load_file",
          [](const std::string& path, const Threads& threads, const std::string& precision,
             int level, const std::string& passes, const Log& log, const Codec& image_codec,
             const Dimensions& dims, const Dimensions& denoted_dims, const Arrays& initializers,
             const Operators& operators, int64_t memory_limit, double trim_after) {
            const Options options =
                options_from(threads, operators, memory_limit, trim_after, precision, level, passes,
                             log, image_codec, dims, denoted_dims, initializers);
            const WithoutGil release;
            return std::make_unique<BoundSession>(Session::load_file(path, options));
          },
          py::arg("path"), py::kw_only(), py::arg("threads") = Threads(0),
          py::arg("precision") = "float32", py::arg("level") = 2, py::arg("passes") = "",
          py::arg("log") = py::none(), py::arg("image_codec") = py::none(),
          py::arg("dims") = Dimensions(), py::arg("denoted_dims") = Dimensions(),
          py::arg("initializers") = Arrays(), py::arg("operators") = Operators(),
          py::arg("memory_limit") = 0, py::arg("trim_after") = 0.0, py::call_guard<Call>())
      .def_static(
          "load_bytes",
          [](const py::bytes& bytes, const std::string& directory, const Threads& threads,
             const std::string& precision, int level, const std::string& passes, const Log& log,
             const Codec& image_codec, const Dimensions& dims, const Dimensions& denoted_dims,
             const Arrays& initializers, const Operators& operators, int64_t memory_limit,
             double trim_after) {
            const Options options =
                options_from(threads, operators, memory_limit, trim_after, precision, level, passes,
                             log, image_codec, dims, denoted_dims, initializers);
            const std::string_view view = bytes;
            const WithoutGil release;
            return std::make_unique<BoundSession>(Session::load_bytes(
                std::as_bytes(std::span(view.data(), view.size())), options, directory));
          },
          py::arg("bytes"), py::arg("directory") = "", py::kw_only(),
          py::arg("threads") = Threads(0), py::arg("precision") = "float32", py::arg("level") = 2,
          py::arg("passes") = "", py::arg("log") = py::none(), py::arg("image_codec") = py::none(),
          py::arg("dims") = Dimensions(), py::arg("denoted_dims") = Dimensions(),
          py::arg("initializers") = Arrays(), py::arg("operators") = Operators(),
          py::arg("memory_limit") = 0, py::arg("trim_after") = 0.0, py::call_guard<Call>())
      .def_property_readonly("inputs", [](BoundSession& s) { return s.session().inputs(); })
      .def_property_readonly("outputs", [](BoundSession& s) { return s.session().outputs(); })
      .def_property_readonly("caches",
                             [](BoundSession& s) {
                               std::map<std::string, std::string> caches;
                               for (std::size_t i = 0; i < s.session().outputs().size(); ++i)
                                 if (const std::string& input = s.session().caches()[i];
                                     !input.empty())
                                   caches[s.session().outputs()[i].name] = input;
                               return caches;
                             })
      .def_property_readonly("metadata", [](BoundSession& s) { return s.session().metadata(); })
      .def_property_readonly("custom_metadata",
                             [](BoundSession& s) { return s.session().custom_metadata(); })
      .def_property_readonly("threads", [](BoundSession& s) { return s.session().threads(); })
      .def("call", &BoundSession::call, py::arg("args"), py::arg("named"),
           py::arg("out") = py::none(), py::call_guard<Call>(),
           "Inputs by position and by name; one output as itself, several as a tuple.")
      .def(
          "run",
          [](BoundSession& s, const py::object& outputs, const Arrays& feeds, const py::object& out,
             bool in_place, std::optional<double> timeout, Cancel cancel, int64_t memory_limit,
             const Profile& profile) {
            return s.run(outputs, feeds, out, in_place, timeout, cancel ? &cancel->get() : nullptr,
                         memory_limit, profile);
          },
          py::arg("outputs"), py::arg("feeds"), py::arg("out") = py::none(),
          py::arg("in_place") = false, py::arg("timeout") = py::none(),
          py::arg("cancel") = py::none(), py::arg("memory_limit") = 0,
          py::arg("profile") = py::none(), py::call_guard<Call>(),
          "The outputs of these names (None: all) as a list. A list given as `profile` gets what "
          "each step took.")
      .def("run_bound", &BoundSession::run_bound, py::arg("call"), py::call_guard<Call>(),
           "Runs into the arrays of the call and returns them by name.")
      .def("profile", &BoundSession::profile, py::arg("feeds"), py::call_guard<Call>())
      .def(
          "trim", [](BoundSession& s) { s.session().trim(); }, py::call_guard<Call, WithoutGil>())
      .def("memory", [](BoundSession& s) { return s.session().memory(); })
      .def("summary", [](BoundSession& s) { return s.session().summary(); })
      .def(
          "plan_summary",
          [](BoundSession& s, const std::map<std::string, std::vector<int64_t>>& shapes) {
            return s.session().plan_summary(shapes);
          },
          py::arg("shapes"), py::call_guard<Call, WithoutGil>())
      .def("graph_text", [](BoundSession& s) { return s.session().graph_text(); });
}

}  // namespace
}  // namespace sdx::bindings

// Sessions do not change once they are made, and what else is shared guards itself.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  using namespace sdx::bindings;
  module.doc() = "The runtime behind the package sardonyx.";
  const Errors& types = errors.call_once_and_store_result(make_errors).get_stored();
  module.attr("Error") = types.error;
  module.attr("InvalidModel") = types.invalid_model;
  module.attr("InvalidArgument") = types.invalid_argument;
  module.attr("Unsupported") = types.unsupported;
  module.attr("Cancelled") = types.cancelled;
  module.attr("Timeout") = types.timeout;
  py::register_exception_translator(&translate);
  wait_for_calls_at_exit();
  // Now, since threads that wait for each other there may be unwound at the end.
  numpy_dtype(sdx::DType::float32);
  bind_descriptions(module);
  bind_session(module);
  module.def(
      "load_operators",
      [](const std::string& path) -> Operators { return library_operators(path); }, py::arg("path"),
      py::call_guard<Call>());
  module.def("version", &sdx::version);
  module.def("measure_peaks", &sdx::measure_peaks, py::arg("threads") = 1,
             py::call_guard<Call, WithoutGil>(),
             "Measures what so many threads can do; takes about half a second.");
  module.def("instruction_set", &sdx::instruction_set, "The tier in use: 'avx512'.");
}
