// The session as Python sees it.
#pragma once

#include <pybind11/typing.h>

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bindings/convert.h"

namespace sdx::bindings {

using Arrays = py::typing::Dict<py::str, py::object>;
using Positional = py::typing::Tuple<py::object, py::ellipsis>;

class BoundSession {
 public:
  explicit BoundSession(Session session);

  // Inputs by position and by name; one output as itself, several as a tuple. `out` is None, an
  // array, or a sequence of arrays and Nones.
  py::object call(const Positional& args, const Arrays& named, const py::object& out);
  // The outputs of these names (None: all) as a list.
  py::typing::List<py::object> run(const py::object& outputs, const Arrays& feeds,
                                   const py::object& out);
  std::vector<StepProfile> profile(const Arrays& feeds);

  Session& session() { return session_; }

 private:
  struct Feeds {
    std::vector<Feed> feeds;
    std::vector<py::object> keep;  // what the feeds' memory and names belong to
  };

  void add(Feeds& feeds, std::string_view name, const Declared* declared, py::handle value);
  void add(Feeds& feeds, py::handle name, py::handle value);
  std::vector<py::object> run(const Feeds& feeds, std::span<const std::string> outputs,
                              const py::object& out);

  Session session_;
  std::vector<Declared> declared_;
  std::unordered_map<std::string_view, std::size_t> positions_;
};

}  // namespace sdx::bindings
