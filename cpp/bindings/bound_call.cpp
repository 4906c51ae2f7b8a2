// Calls whose arrays are given once.
#include <algorithm>

#include "bindings/session.h"

namespace sdx::bindings {

BoundCall::BoundCall(std::vector<std::string> names, Arrays feeds, std::vector<py::object> arrays)
    : names_(std::move(names)), feeds_(std::move(feeds)), arrays_(std::move(arrays)) {
  check_argument(names_.size() == arrays_.size(), "out: expected ", names_.size(), " arrays, got ",
                 arrays_.size());
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    check_argument(py::isinstance<py::array>(arrays_[i]), "out[", i, "]: expected an array, got ",
                   Py_TYPE(arrays_[i].ptr())->tp_name);
    written_[py::str(names_[i])] = arrays_[i];
  }
}

py::typing::Dict<py::str, py::object> BoundCall::results() const {
  PyObject* copy = PyDict_Copy(written_.ptr());
  if (!copy) throw py::error_already_set();
  return py::reinterpret_steal<py::typing::Dict<py::str, py::object>>(copy);
}

BoundCall::Seen::Seen(const py::object& seen) : array(seen) {
  const auto* proxy = py::detail::array_proxy(seen.ptr());
  descr = py::reinterpret_borrow<py::object>(proxy->descr);
  data = proxy->data;
  flags = proxy->flags;
  sizes.assign(proxy->dimensions, proxy->dimensions + proxy->nd);
  sizes.insert(sizes.end(), proxy->strides, proxy->strides + proxy->nd);
}

bool BoundCall::Seen::still() const {
  const auto* proxy = py::detail::array_proxy(array.ptr());
  const auto rank = static_cast<std::size_t>(proxy->nd);
  return proxy->data == data && proxy->flags == flags && proxy->descr == descr.ptr() &&
         sizes.size() == 2 * rank &&
         std::equal(sizes.data(), sizes.data() + rank, proxy->dimensions) &&
         std::equal(sizes.data() + rank, sizes.data() + 2 * rank, proxy->strides);
}

std::shared_ptr<const BoundSession::Request> BoundCall::prepared() {
  const std::lock_guard lock(mutex_);
  for (const Seen& seen : seen_)
    if (!seen.still()) return nullptr;
  return request_;
}

void BoundCall::keep(std::shared_ptr<const BoundSession::Request> request) {
  std::vector<Seen> seen;
  std::vector<const void*> viewed;
  for (const auto& [name, value] : feeds_) {
    if (!py::isinstance<py::array>(value)) return;
    seen.emplace_back(py::reinterpret_borrow<py::object>(value));
    viewed.push_back(seen.back().data);
  }
  // What was converted must be converted again.
  for (const Feed& feed : request->feeds)
    if (!feed.value.is_tensor() ||
        std::find(viewed.begin(), viewed.end(), feed.value.tensor().raw()) == viewed.end())
      return;
  for (const py::object& array : arrays_) seen.emplace_back(array);
  const std::lock_guard lock(mutex_);
  seen_ = std::move(seen);
  request_ = std::move(request);
}

}  // namespace sdx::bindings
