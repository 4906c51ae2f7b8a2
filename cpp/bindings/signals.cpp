#include "bindings/signals.h"

#include <cxxabi.h>

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

[[noreturn]] void stay_forever() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

}  // namespace

WithoutGil::~WithoutGil() noexcept(false) {
  // Python that has come to its end ends the thread that asks, by unwinding it.
  try {
    PyEval_RestoreThread(state_);
  } catch (abi::__forced_unwind&) {
    stay_forever();
  }
}

WithGil::WithGil() {
  try {
    acquire_.emplace();
  } catch (abi::__forced_unwind&) {
    stay_forever();
  }
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
