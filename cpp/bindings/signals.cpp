#include "bindings/signals.h"

#include <exception>

#include "base/interrupt.h"
#include "bindings/gil.h"

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

thread_local const Deadline* current_deadline = nullptr;

}  // namespace

bool Signals::pending() {
  const Clock::time_point now = Clock::now();
  if (now - last_ < kInterval || !may_handle_signals()) return false;
  const WithGil gil;
  last_ = now;
  if (PyErr_CheckSignals() == 0) return false;
  raised_ = std::make_exception_ptr(py::error_already_set());
  return true;
}

Deadline::Deadline(std::optional<double> timeout, const std::atomic<bool>* cancel)
    : timeout_(timeout), cancel_(cancel), outer_(current_deadline) {
  current_deadline = this;
}

Deadline::~Deadline() { current_deadline = outer_; }

const Deadline* Deadline::current() { return current_deadline; }

double Deadline::elapsed() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Deadline::check() const {
  if (cancel_ && cancel_->load(std::memory_order_relaxed)) throw Interrupted::by_wish();
  if (timeout_ && *timeout_ >= 0 && elapsed() >= *timeout_) throw Interrupted::after(*timeout_);
}

void Conversion::look() {
  Call::look();
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  if (const Deadline* const deadline = Deadline::current()) deadline->check();
}

}  // namespace sdx::bindings
