// For loops that work long: on the thread that runs the step, or inside of a parallel_for.
#pragma once

#include <cstdint>

#include "base/frame.h"
#include "base/interrupt.h"

namespace sdx::ops {

// Called at every turn, it asks about every millisecond whether the run should end.
class Checkpoint {
 public:
  // `work` took about so many nanoseconds since the last call. Throws Interrupted.
  void operator()(int64_t work) {
    constexpr int64_t kPeriod = 1 << 20;
    done_ += work;
    if (done_ < kPeriod) return;
    done_ = 0;
    if (Interrupt* const interrupt = Interrupt::current()) interrupt->raise_if_stopped();
  }

 private:
  int64_t done_ = 0;
};

// The same for any thread: it says so, and the loop ends, since nobody will read what it makes.
class Watch {
 public:
  explicit Watch(const Frame& frame) : frame_(frame) {}

  // Once true, always true.
  bool over(int64_t work) {
    constexpr int64_t kPeriod = 1 << 20;
    done_ += work;
    if (done_ < kPeriod || over_) return over_;
    done_ = 0;
    return over_ = Interrupt::due() || frame_.cancelled();
  }

 private:
  const Frame& frame_;
  int64_t done_ = 0;
  bool over_ = false;
};

}  // namespace sdx::ops
