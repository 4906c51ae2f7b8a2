// The session as Python sees it.
#pragma once

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bindings/convert.h"

namespace sdx::bindings {

class BoundSession {
 public:
  explicit BoundSession(Session session);

  // Inputs by position and by name; one output as itself, several as a tuple. `out` is None, an
  // array, or a sequence of arrays and Nones.
  py::object call(const py::tuple& args, const py::dict& named, const py::object& out);
  // The outputs of these names (None: all) as a list.
  py::list run(const py::object& outputs, const py::dict& feeds, const py::object& out);
  std::vector<StepProfile> profile(const py::dict& feeds);

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
