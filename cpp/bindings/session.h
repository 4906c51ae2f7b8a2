// The session as Python sees it.
#pragma once

#include <pybind11/typing.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bindings/convert.h"

namespace sdx::bindings {

using Arrays = py::typing::Dict<py::str, py::object>;
using Positional = py::typing::Tuple<py::object, py::ellipsis>;

// Ends the runs it is given to when somebody sets it, from any thread.
class CancelFlag {
 public:
  void set(bool value) { set_.store(value, std::memory_order_relaxed); }
  bool is_set() const { return set_.load(std::memory_order_relaxed); }
  const std::atomic<bool>& flag() const { return set_; }

 private:
  std::atomic<bool> set_ = false;
};

class BoundCall;

class BoundSession {
 public:
  // What one run reads and writes.
  struct Request {
    std::vector<Feed> feeds;
    std::vector<py::object> keep;      // what the feeds' memory and names belong to
    std::vector<std::string> outputs;  // names; empty: all
    std::vector<py::object> wanted;    // what results go into, or None; empty: new arrays
    std::vector<Tensor> into;          // their memory where it can be written to during the run
    std::vector<int64_t> rooms;        // of caches among them
    RunControl control;
  };

  explicit BoundSession(Session session);

  // Inputs by position and by name; one output as itself, several as a tuple. `out` is None, an
  // array, or a sequence of arrays and Nones.
  py::object call(const Positional& args, const Arrays& named, const py::object& out);
  // The outputs of these names (None: all) as a list.
  // With `in_place`, arrays of `out` that cannot be written to during the run are refused.
  py::typing::List<py::object> run(const py::object& outputs, const Arrays& feeds,
                                   const py::object& out, bool in_place,
                                   std::optional<double> timeout, const CancelFlag* cancel,
                                   int64_t memory_limit, std::optional<py::list> profile);
  // As `run` with in_place; what it returns are the call's arrays by name.
  py::typing::Dict<py::str, py::object> run_bound(BoundCall& call);
  std::vector<StepProfile> profile(const Arrays& feeds);

  Session& session() { return session_; }

 private:
  Request request(std::vector<std::string> outputs, const py::object& out) const;
  void add(Request& request, std::string_view name, const Declared* declared, py::handle value);
  void add(Request& request, py::handle name, py::handle value);
  bool add_cache(Request& request, std::string_view name, py::handle value) const;
  static void place(Request& request, bool in_place);
  std::vector<Datum> execute(const Request& request, std::span<Tensor> into, RunControl& control);
  std::vector<py::object> run(Request& request, bool in_place);
  std::shared_ptr<const Request> prepare(const BoundCall& call);

  Session session_;
  std::vector<Declared> declared_;
  std::unordered_map<std::string_view, std::size_t> positions_;
};

// What a call without arguments reads and writes. The request made of it serves again for as long
// as its arrays lie where they lay.
class BoundCall {
 public:
  BoundCall(std::vector<std::string> names, Arrays feeds, std::vector<py::object> arrays);

  const std::vector<std::string>& names() const { return names_; }
  const Arrays& feeds() const { return feeds_; }
  const std::vector<py::object>& arrays() const { return arrays_; }
  py::typing::Dict<py::str, py::object> results() const;

  // Null where there is none, or where an array has changed since.
  std::shared_ptr<const BoundSession::Request> prepared();
  // Keeps the request where it does nothing but view the arrays.
  void keep(std::shared_ptr<const BoundSession::Request> request);

 private:
  // An array's attributes.
  struct Seen {
    py::object array, descr;
    const void* data;
    int flags;
    std::vector<py::ssize_t> sizes;  // and strides

    explicit Seen(const py::object& array);
    bool still() const;
  };

  std::vector<std::string> names_;
  Arrays feeds_;
  std::vector<py::object> arrays_;
  py::dict written_;  // the arrays by name
  std::mutex mutex_;  // of what follows, where threads run without the GIL
  std::shared_ptr<const BoundSession::Request> request_;
  std::vector<Seen> seen_;
};

}  // namespace sdx::bindings
