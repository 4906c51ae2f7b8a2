// What a process keeps when it forks: mutexes that no thread of the parent's holds in the child.
#pragma once

#include <cstdint>
#include <mutex>

namespace sdx {

// How often this process and those it comes from have forked since the first use of a ForkMutex.
uint32_t fork_generation();

// A mutex that a fork waits for, so that what it guards is whole in the child. Held for moments
// only, and never two at a time.
class ForkMutex {
 public:
  ForkMutex();
  ~ForkMutex();
  ForkMutex(const ForkMutex&) = delete;
  ForkMutex& operator=(const ForkMutex&) = delete;

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  friend struct ForkMutexes;

  std::mutex mutex_;
  ForkMutex* before_ = nullptr;
  ForkMutex* after_ = nullptr;
};

}  // namespace sdx
