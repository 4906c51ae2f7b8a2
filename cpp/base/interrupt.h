// What ends a run before it is done: somebody's wish, a deadline, the host that is asked.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"

namespace sdx {

// How a run that was ended fails.
class Interrupted final : public Error {
 public:
  enum class Reason { cancelled, timeout };
  Interrupted(Reason reason, const std::string& what)
      : Error(ErrorKind::invalid_argument, what), reason_(reason) {}
  static Interrupted after(double seconds) {
    std::ostringstream text;
    text << "the run took longer than " << seconds << " seconds";
    return Interrupted(Reason::timeout, text.str());
  }
  static Interrupted by_wish() { return Interrupted(Reason::cancelled, "the run was cancelled"); }
  Reason reason() const noexcept { return reason_; }

 private:
  Reason reason_;
};

// One run's, on the stack of the thread that runs it. While it lives, that thread looks at the
// clock and asks the host every few milliseconds of work.
class Interrupt {
 public:
  // Ends the run when somebody sets `cancel` (may be null), when it has taken `timeout` seconds,
  // of which `elapsed` are over, or when `poll` (may be empty) says so.
  Interrupt(const std::atomic<bool>* cancel, std::optional<double> timeout,
            const std::function<bool()>& poll, double elapsed = 0);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // Of the run that this thread is in; null without one, and in the workers of a pool.
  static Interrupt* current();
  // Asks the current one. For steps that work long without a parallel_for.
  static bool due() {
    Interrupt* const interrupt = current();
    return interrupt && interrupt->check();
  }

  // Set when the run should end, by `check`.
  const std::atomic<bool>* flag() const { return &stop_; }

  // Whether the run should end. Costs little more than reading a counter.
  bool check() {
    return stop_.load(std::memory_order_relaxed) ||
           (cancel_ && cancel_->load(std::memory_order_relaxed) && stop()) ||
           (ticks() >= next_look_ && look());
  }
  // Throws Interrupted if the run should end.
  void raise_if_stopped() {
    if (check()) raise();
  }
  // The same after the work, to the moment: what is done too late is not done.
  void finish();

  // A counter that is cheaper than the clock, and how far it gets in a few milliseconds.
  static uint64_t ticks() {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t count;
    asm volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#else
    return static_cast<uint64_t>(Clock::now().time_since_epoch().count());
#endif
  }
  static uint64_t few_milliseconds();

 private:
  using Clock = std::chrono::steady_clock;

  bool stop();
  bool look();
  [[noreturn]] void raise() const;

  const std::atomic<bool>* const cancel_;
  const std::optional<double> timeout_;
  const std::function<bool()>& poll_;
  Interrupt* const outer_;  // of a run that this one is part of
  std::atomic<bool> stop_{false};
  bool late_ = false;
  uint64_t next_look_;
  Clock::time_point deadline_;
};

}  // namespace sdx
