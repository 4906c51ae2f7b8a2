// Python beside a run: signals that it is to handle while its main thread runs a model, time
// limits.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <optional>

namespace sdx::bindings {

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

// What ends a call, its conversion of values as well: `timeout` seconds from here on, or `cancel`,
// which may be null.
class Deadline {
 public:
  Deadline(std::optional<double> timeout, const std::atomic<bool>* cancel);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  // Of the call that this thread is in, or null.
  static const Deadline* current();
  double elapsed() const;  // seconds
  // Throws Interrupted.
  void check() const;

 private:
  using Clock = std::chrono::steady_clock;

  const std::optional<double> timeout_;
  const std::atomic<bool>* const cancel_;
  const Deadline* const outer_;
  const Clock::time_point start_ = Clock::now();
};

// Of values that are converted one by one under the GIL.
class Conversion {
 public:
  // Called for each, a text of `size` bytes: now and then it handles signals, whose exceptions it
  // throws, and ends the call whose time is over.
  void go_on(std::size_t size = 0) {
    constexpr std::size_t kValues = 1024, kSize = 256;  // that take as long as a value
    done_ += 1 + size / kSize;
    if (done_ < kValues) return;
    done_ = 0;
    look();
  }

 private:
  static void look();

  std::size_t done_ = 0;
};

}  // namespace sdx::bindings
