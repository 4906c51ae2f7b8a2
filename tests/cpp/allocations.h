// Counts what a thread takes from the heap, and lets an allocation fail at will.
#pragma once

#include <cstdint>

namespace sdx::test {

// Calls of operator new and aligned_alloc in this thread, since it began.
int64_t allocations();

// While it lives, the `at`th allocation of this thread fails, counted from 1; with `lasting` all
// behind it too.
class FailingAllocation {
 public:
  explicit FailingAllocation(int64_t at, bool lasting = false);
  ~FailingAllocation();
  FailingAllocation(const FailingAllocation&) = delete;
  FailingAllocation& operator=(const FailingAllocation&) = delete;
  // Whether it has come to that.
  bool failed() const;
};

}  // namespace sdx::test
