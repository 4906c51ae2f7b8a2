// Python beside a run: signals that it is to handle while its main thread runs a model, its end.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <exception>
#include <optional>

namespace sdx::bindings {

// Lets other threads of Python run while this lives. Where Python has come to its end meanwhile the
// thread stays here, as it may not go on, nor unwind through C++.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() noexcept(false);
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// The GIL again, in the midst of a run.
class WithGil {
 public:
  WithGil();

 private:
  std::optional<pybind11::gil_scoped_acquire> acquire_;
};

// Of one run, which asks it every few milliseconds.
class Signals {
 public:
  // Whether a handler that ran now raised an exception; called without the GIL.
  bool pending();
  // Throws that exception, if there is one.
  void raise() const {
    if (raised_) std::rethrow_exception(raised_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point last_ = Clock::now();
  std::exception_ptr raised_;
};

}  // namespace sdx::bindings
