#include "base/interrupt.h"

#include <algorithm>

namespace sdx {
namespace {

thread_local Interrupt* current_interrupt = nullptr;

}  // namespace

uint64_t Interrupt::few_milliseconds() {
#if defined(__x86_64__)
  return 8'000'000;  // processors count two to five in a nanosecond
#elif defined(__aarch64__)
  uint64_t frequency;
  asm volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
  return frequency / 256;
#else
  return 4'000'000;
#endif
}

Interrupt::Interrupt(const std::atomic<bool>* cancel, std::optional<double> timeout,
                     const std::function<bool()>& poll, double elapsed)
    : cancel_(cancel),
      timeout_(timeout),
      poll_(poll),
      outer_(current_interrupt),
      next_look_(timeout_ || poll_ || outer_ ? ticks() + few_milliseconds() : UINT64_MAX) {
  if (timeout_) {
    check_argument(*timeout_ >= 0, "timeout: expected a number of seconds, got ", *timeout_);
    constexpr double kLongest = 1e9;  // decades
    deadline_ =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(
                           std::chrono::duration<double>(std::min(*timeout_, kLongest) - elapsed));
  }
  current_interrupt = this;
}

Interrupt::~Interrupt() { current_interrupt = outer_; }

Interrupt* Interrupt::current() { return current_interrupt; }

bool Interrupt::stop() {
  stop_.store(true, std::memory_order_relaxed);
  return true;
}

bool Interrupt::look() {
  next_look_ = ticks() + few_milliseconds();
  late_ = timeout_ && Clock::now() >= deadline_;
  if (late_ || (poll_ && poll_()) || (outer_ && outer_->check())) return stop();
  return false;
}

void Interrupt::finish() {
  raise_if_stopped();
  if (timeout_ && look()) raise();
}

void Interrupt::raise() const {
  if (late_) throw Interrupted::after(timeout_.value_or(0));
  throw Interrupted::by_wish();
}

}  // namespace sdx
