// The session as Python sees it.
#pragma once

#include <pybind11/typing.h>

#include <atomic>
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

class BoundSession {
 public:
  explicit BoundSession(Session session);

  // Inputs by position and by name; one output as itself, several as a tuple. `out` is None, an
  // array, or a sequence of arrays and Nones.
  py::object call(const Positional& args, const Arrays& named, const py::object& out);
  // The outputs of these names (None: all) as a list.
  // With `in_place`, arrays of `out` that cannot be written to during the run are refused.
  py::typing::List<py::object> run(const py::object& outputs, const Arrays& feeds,
                                   const py::object& out, bool in_place,
                                   std::optional<double> timeout, const CancelFlag* cancel,
                                   int64_t memory_limit);
  std::vector<StepProfile> profile(const Arrays& feeds);

  Session& session() { return session_; }

 private:
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

  Request request(std::vector<std::string> outputs, const py::object& out) const;
  void add(Request& request, std::string_view name, const Declared* declared, py::handle value);
  void add(Request& request, py::handle name, py::handle value);
  bool add_cache(Request& request, std::string_view name, py::handle value) const;
  std::vector<py::object> run(Request& request, bool in_place);

  Session session_;
  std::vector<Declared> declared_;
  std::unordered_map<std::string_view, std::size_t> positions_;
};

}  // namespace sdx::bindings
