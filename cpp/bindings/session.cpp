// Runs: Python feeds in, Python results out, the GIL released between.
#include "bindings/session.h"

#include "base/interrupt.h"
#include "bindings/gil.h"
#include "bindings/host_operators.h"
#include "bindings/signals.h"

namespace sdx::bindings {
namespace {

std::string_view view_of(py::handle name) {
  Py_ssize_t size = 0;
  check_argument(PyUnicode_Check(name.ptr()), "names are text, got ", Py_TYPE(name.ptr())->tp_name);
  const char* utf8 = PyUnicode_AsUTF8AndSize(name.ptr(), &size);
  if (!utf8) throw py::error_already_set();
  return {utf8, static_cast<std::size_t>(size)};
}

// What nobody else changes while it is gone through.
Arrays of_ones_own(const Arrays& feeds) {
#ifdef Py_GIL_DISABLED
  return py::reinterpret_steal<Arrays>(PyDict_Copy(feeds.ptr()));
#else
  return feeds;
#endif
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

// Steps may write an output before they have read every input, so memory that is fed is written to
// after the run; but for caches.
bool is_fed(const Tensor& tensor, std::span<const Feed> feeds) {
  for (const Feed& feed : feeds) {
    if (!feed.value.is_tensor() && !feed.value.empty()) return true;  // not looked into
    if (feed.value.is_tensor() && overlap(tensor, feed.value.tensor())) return true;
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

BoundSession::Request BoundSession::request(std::vector<std::string> outputs,
                                            const py::object& out) const {
  Request request;
  request.outputs = std::move(outputs);
  request.wanted = destinations(out);
  const std::size_t expected =
      request.outputs.empty() ? session_.outputs().size() : request.outputs.size();
  check_argument(request.wanted.empty() || request.wanted.size() == expected, "out: expected ",
                 expected, " arrays, got ", request.wanted.size());
  request.into.resize(request.wanted.size());
  request.rooms.resize(request.wanted.size());
  return request;
}

// Feeds the past of a cache that lies at the beginning of the array its present goes into.
bool BoundSession::add_cache(Request& request, std::string_view name, py::handle value) const {
  for (std::size_t i = 0; i < request.wanted.size(); ++i) {
    if (request.wanted[i].is_none()) continue;
    const auto& all = session_.outputs();
    std::size_t output = i;
    if (!request.outputs.empty())
      for (output = 0; output < all.size() && all[output].name != request.outputs[i]; ++output) {
      }
    if (output >= all.size() || session_.caches()[output] != name) continue;
    const auto cache = shared_cache(value, request.wanted[i]);
    if (!cache) return false;
    request.feeds.push_back({name, cache->past});
    request.keep.push_back(py::reinterpret_borrow<py::object>(value));
    request.into[i] = cache->present;
    request.rooms[i] = cache->room;
    return true;
  }
  return false;
}

void BoundSession::add(Request& request, std::string_view name, const Declared* declared,
                       py::handle value) {
  if (!declared) {  // the session refuses it and lists the names it knows
    request.feeds.push_back({name, Datum()});
    return;
  }
  if (add_cache(request, name, value)) return;
  try {
    request.feeds.push_back({name, to_datum(value, *declared, request.keep)});
  } catch (const Error&) {
    rethrow_at("input '" + std::string(name) + "'");
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_Exception) || error.matches(PyExc_MemoryError)) throw;
    fail(ErrorKind::invalid_argument, "input '", name, "': ", message_of(error));
  }
}

void BoundSession::add(Request& request, py::handle name, py::handle value) {
  const std::string_view text = view_of(name);
  request.keep.push_back(py::reinterpret_borrow<py::object>(name));
  const auto found = positions_.find(text);
  add(request, text, found == positions_.end() ? nullptr : &declared_[found->second], value);
}

void BoundSession::place(Request& request, bool in_place) {
  const auto& wanted = request.wanted;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].is_none()) continue;
    const auto array = py::reinterpret_borrow<py::array>(wanted[i]);
    check_argument(array.writeable(), "out[", i, "]: the array is read-only");
    if (request.into[i].raw()) continue;  // a cache
    Tensor memory = writeable_view(array);
    const bool fed = is_fed(memory, request.feeds);
    check_argument(!in_place || (memory.raw() && !fed), "out[", i, "]: the array ",
                   fed ? "is fed, and the output cannot be written over that input"
                       : "is not contiguous, or of another byte order");
    if (!fed) request.into[i] = std::move(memory);
  }
}

std::vector<Datum> BoundSession::execute(const Request& request, std::span<Tensor> into,
                                         RunControl& control) {
  Signals signals;
  OperatorErrors errors;
  control.poll = [&signals] { return signals.pending(); };
  try {
    const WithoutGil release;
    return session_.run(request.feeds, request.outputs, into, control, request.rooms);
  } catch (const Interrupted&) {
    signals.raise();
    throw;
  } catch (const Error& error) {
    errors.raise(error);
    throw;
  }
}

std::vector<py::object> BoundSession::run(Request& request, bool in_place) {
  place(request, in_place);
  const auto& wanted = request.wanted;
  std::vector<Datum> results = execute(request, request.into, request.control);
  std::vector<py::object> values;
  values.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    values.push_back(wanted.empty() ? to_python(std::move(results[i]))
                                    : finish(std::move(results[i]), wanted[i], request.into[i], i));
  }
  return values;
}

py::object BoundSession::call(const Positional& args, const Arrays& named, const py::object& out) {
  const std::vector<ValueInfo>& inputs = session_.inputs();
  check_argument(args.size() <= inputs.size(), "the model has ", inputs.size(), " inputs, got ",
                 args.size(), " by position");
  Request request = this->request({}, out);
  request.feeds.reserve(inputs.size());
  request.keep.reserve(inputs.size() + named.size());
  for (std::size_t i = 0; i < args.size(); ++i) {
    add(request, inputs[i].name, &declared_[i], PyTuple_GET_ITEM(args.ptr(), i));
  }
  for (const auto& [name, value] : named) {
    const auto found = positions_.find(view_of(name));
    check_argument(found == positions_.end() || found->second >= args.size(), "input '",
                   view_of(name), "' is given by position and by name");
    add(request, name, value);
  }
  std::vector<py::object> values = run(request, false);
  if (values.size() == 1) return std::move(values[0]);
  py::tuple tuple(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) tuple[i] = std::move(values[i]);
  return tuple;
}

py::typing::List<py::object> BoundSession::run(const py::object& outputs, const Arrays& feeds,
                                               const py::object& out, bool in_place,
                                               std::optional<double> timeout,
                                               const CancelFlag* cancel, int64_t memory_limit,
                                               std::optional<py::list> profile) {
  std::vector<std::string> names;
  py::typing::List<py::object> list;
  if (!outputs.is_none()) {
    check_argument(PyList_Check(outputs.ptr()) || PyTuple_Check(outputs.ptr()),
                   "outputs: expected a list of names, got ", Py_TYPE(outputs.ptr())->tp_name);
    for (const py::handle name : outputs) names.emplace_back(view_of(name));
    if (names.empty()) return list;
  }
  check_argument(memory_limit >= 0, "memory_limit: expected a positive number, got ", memory_limit);
  const Deadline deadline(timeout, cancel ? &cancel->flag() : nullptr);
  Request request = this->request(std::move(names), out);
  for (const auto& [name, value] : of_ones_own(feeds)) add(request, name, value);
  request.control.timeout = timeout;
  request.control.elapsed = timeout ? deadline.elapsed() : 0;
  request.control.memory_limit = memory_limit;
  if (cancel) request.control.cancel = &cancel->flag();
  std::vector<StepProfile> steps;
  if (profile) request.control.profile = &steps;
  for (py::object& value : run(request, in_place)) list.append(std::move(value));
  for (StepProfile& step : steps) profile->append(std::move(step));
  deadline.check();
  return list;
}

std::shared_ptr<const BoundSession::Request> BoundSession::prepare(const BoundCall& call) {
  const auto& all = session_.outputs();
  const bool everything = std::equal(
      all.begin(), all.end(), call.names().begin(), call.names().end(),
      [](const ValueInfo& output, const std::string& name) { return output.name == name; });
  auto prepared = std::make_shared<Request>();
  if (!everything) prepared->outputs = call.names();
  prepared->wanted = call.arrays();
  prepared->into.resize(prepared->wanted.size());
  prepared->rooms.resize(prepared->wanted.size());
  for (const auto& [name, value] : of_ones_own(call.feeds())) add(*prepared, name, value);
  place(*prepared, true);
  return prepared;
}

py::typing::Dict<py::str, py::object> BoundSession::run_bound(BoundCall& call) {
  if (call.names().empty()) return call.results();
  std::shared_ptr<const Request> request = call.prepared();
  if (!request) {
    request = prepare(call);
    call.keep(request);
  }
  std::vector<Tensor> into = request->into;
  RunControl control;
  std::vector<Datum> results = execute(*request, into, control);
  for (std::size_t i = 0; i < results.size(); ++i)
    finish(std::move(results[i]), request->wanted[i], request->into[i], i);
  return call.results();
}

std::vector<StepProfile> BoundSession::profile(const Arrays& feeds) {
  Request request;
  for (const auto& [name, value] : of_ones_own(feeds)) add(request, name, value);
  const WithoutGil release;
  return session_.profile(request.feeds);
}

}  // namespace sdx::bindings
