// For loops that work long on the thread that runs the step.
#pragma once

#include <cstdint>

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

}  // namespace sdx::ops
