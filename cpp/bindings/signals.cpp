#include "bindings/signals.h"

#include <thread>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace sdx::bindings {
namespace {

namespace py = pybind11;

// Taking the GIL may take as long as another thread likes to keep it, so it is taken seldom.
constexpr std::chrono::milliseconds kInterval(20);

// Python handles signals on its main thread only.
bool may_handle_signals() {
#if defined(__linux__)
  return syscall(SYS_gettid) == getpid();
#else
  return true;
#endif
}

bool python_ends() {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

}  // namespace

WithoutGil::~WithoutGil() noexcept(false) {
  while (python_ends()) std::this_thread::sleep_for(std::chrono::hours(1));
  PyEval_RestoreThread(state_);
}

bool Signals::pending() {
  const Clock::time_point now = Clock::now();
  if (now - last_ < kInterval || !may_handle_signals()) return false;
  const py::gil_scoped_acquire gil;
  last_ = now;
  if (PyErr_CheckSignals() == 0) return false;
  raised_ = std::make_exception_ptr(py::error_already_set());
  return true;
}

}  // namespace sdx::bindings
