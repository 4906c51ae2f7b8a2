// Runs: Python feeds in, Python results out, the GIL released between.
#include "bindings/session.h"

#include "base/error.h"

namespace sdx::bindings {
namespace {

std::string_view view_of(py::handle name) {
  Py_ssize_t size = 0;
  check_argument(PyUnicode_Check(name.ptr()), "names are text, got ", Py_TYPE(name.ptr())->tp_name);
  const char* utf8 = PyUnicode_AsUTF8AndSize(name.ptr(), &size);
  if (!utf8) throw py::error_already_set();
  return {utf8, static_cast<std::size_t>(size)};
}

std::vector<py::object> destinations(const py::object& out) {
  if (out.is_none()) return {};
  if (py::isinstance<py::array>(out)) return {out};
  check_argument(PyList_Check(out.ptr()) || PyTuple_Check(out.ptr()),
                 "out: expected an array or a list of them, got ", Py_TYPE(out.ptr())->tp_name);
  std::vector<py::object> found;
  for (const py::handle item : out) {
    check_argument(item.is_none() || py::isinstance<py::array>(item), "out[", found.size(),
                   "]: expected an array or None, got ", Py_TYPE(item.ptr())->tp_name);
    found.push_back(py::reinterpret_borrow<py::object>(item));
  }
  return found;
}

bool overlaps(const Tensor& a, const Tensor& b) {
  const auto* a_begin = static_cast<const std::byte*>(a.raw());
  const auto* b_begin = static_cast<const std::byte*>(b.raw());
  return std::less<>{}(a_begin, b_begin + b.bytes()) && std::less<>{}(b_begin, a_begin + a.bytes());
}

// Steps may write an output before they have read every input, so memory that is fed is written to
// after the run.
bool is_fed(const Tensor& tensor, std::span<const Feed> feeds) {
  for (const Feed& feed : feeds) {
    if (!feed.value.is_tensor() && !feed.value.empty()) return true;  // not looked into
    if (feed.value.is_tensor() && overlaps(tensor, feed.value.tensor())) return true;
  }
  return false;
}

py::object finish(Datum result, const py::object& destination, const Tensor& into,
                  std::size_t position) {
  if (!destination || destination.is_none()) return to_python(std::move(result));
  if (into.raw() && result.is_tensor() && result.tensor().raw() == into.raw()) return destination;
  const py::object value = to_python(std::move(result));
  check_argument(py::isinstance<py::array>(value), "out[", position, "]: the output is no tensor");
  const bool fits = value.attr("dtype").equal(destination.attr("dtype")) &&
                    value.attr("shape").equal(destination.attr("shape"));
  const auto describe = [](const py::object& array) {
    return py::str("{0.dtype} {0.shape}").format(array).cast<std::string>();
  };
  check_argument(fits, "out[", position, "]: expected ", describe(value), ", got ",
                 describe(destination));
  py::module_::import("numpy").attr("copyto")(destination, value);
  return destination;
}

}  // namespace

BoundSession::BoundSession(Session session) : session_(std::move(session)) {
  for (const ValueInfo& input : session_.inputs()) {
    positions_.emplace(input.name, declared_.size());
    declared_.push_back(parse_declared(input.type));
  }
}

void BoundSession::add(Feeds& feeds, std::string_view name, const Declared* declared,
                       py::handle value) {
  if (!declared) {  // the session refuses it and lists the names it knows
    feeds.feeds.push_back({name, Datum()});
    return;
  }
  try {
    feeds.feeds.push_back({name, to_datum(value, *declared, feeds.keep)});
  } catch (const Error&) {
    rethrow_at("input '" + std::string(name) + "'");
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_Exception) || error.matches(PyExc_MemoryError)) throw;
    fail(ErrorKind::invalid_argument, "input '", name, "': ", message_of(error));
  }
}

void BoundSession::add(Feeds& feeds, py::handle name, py::handle value) {
  const std::string_view text = view_of(name);
  feeds.keep.push_back(py::reinterpret_borrow<py::object>(name));
  const auto found = positions_.find(text);
  add(feeds, text, found == positions_.end() ? nullptr : &declared_[found->second], value);
}

std::vector<py::object> BoundSession::run(const Feeds& feeds, std::span<const std::string> outputs,
                                          const py::object& out) {
  const std::vector<py::object> wanted = destinations(out);
  const std::size_t expected = outputs.empty() ? session_.outputs().size() : outputs.size();
  check_argument(wanted.empty() || wanted.size() == expected, "out: expected ", expected,
                 " arrays, got ", wanted.size());
  std::vector<Tensor> into(wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].is_none()) continue;
    const auto array = py::reinterpret_borrow<py::array>(wanted[i]);
    check_argument(array.writeable(), "out[", i, "]: the array is read-only");
    into[i] = writeable_view(array);
    if (is_fed(into[i], feeds.feeds)) into[i] = Tensor();
  }
  std::vector<Datum> results;
  {
    const py::gil_scoped_release release;
    results = session_.run(feeds.feeds, outputs, into);
  }
  std::vector<py::object> values;
  values.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    values.push_back(wanted.empty() ? to_python(std::move(results[i]))
                                    : finish(std::move(results[i]), wanted[i], into[i], i));
  }
  return values;
}

py::object BoundSession::call(const Positional& args, const Arrays& named, const py::object& out) {
  const std::vector<ValueInfo>& inputs = session_.inputs();
  check_argument(args.size() <= inputs.size(), "the model has ", inputs.size(), " inputs, got ",
                 args.size(), " by position");
  Feeds feeds;
  feeds.feeds.reserve(inputs.size());
  feeds.keep.reserve(inputs.size() + named.size());
  for (std::size_t i = 0; i < args.size(); ++i) {
    add(feeds, inputs[i].name, &declared_[i], PyTuple_GET_ITEM(args.ptr(), i));
  }
  for (const auto& [name, value] : named) {
    const auto found = positions_.find(view_of(name));
    check_argument(found == positions_.end() || found->second >= args.size(), "input '",
                   view_of(name), "' is given by position and by name");
    add(feeds, name, value);
  }
  std::vector<py::object> values = run(feeds, {}, out);
  if (values.size() == 1) return std::move(values[0]);
  py::tuple tuple(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) tuple[i] = std::move(values[i]);
  return tuple;
}

py::typing::List<py::object> BoundSession::run(const py::object& outputs, const Arrays& feeds,
                                               const py::object& out) {
  std::vector<std::string> names;
  py::typing::List<py::object> list;
  if (!outputs.is_none()) {
    check_argument(PyList_Check(outputs.ptr()) || PyTuple_Check(outputs.ptr()),
                   "outputs: expected a list of names, got ", Py_TYPE(outputs.ptr())->tp_name);
    for (const py::handle name : outputs) names.emplace_back(view_of(name));
    if (names.empty()) return list;
  }
  Feeds gathered;
  for (const auto& [name, value] : feeds) add(gathered, name, value);
  for (py::object& value : run(gathered, names, out)) list.append(std::move(value));
  return list;
}

std::vector<StepProfile> BoundSession::profile(const Arrays& feeds) {
  Feeds gathered;
  for (const auto& [name, value] : feeds) add(gathered, name, value);
  const py::gil_scoped_release release;
  return session_.profile(gathered.feeds);
}

}  // namespace sdx::bindings
