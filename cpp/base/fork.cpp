#include "base/fork.h"

#include <pthread.h>

#include <atomic>

namespace sdx {

// All that there are, in a list. Never destroyed, since threads may outlive the end of main.
struct ForkMutexes {
  std::mutex mutex;
  ForkMutex* first = nullptr;
  std::atomic<uint32_t> generation{0};

  static ForkMutexes& all() {
    static ForkMutexes* const mutexes = [] {
      auto* made = new ForkMutexes;
      pthread_atfork([] { all().lock(); }, [] { all().unlock(); },
                     [] {
                       all().generation.fetch_add(1);
                       all().unlock();
                     });
      return made;
    }();
    return *mutexes;
  }

  void lock() {
    mutex.lock();
    for (ForkMutex* each = first; each; each = each->after_) each->mutex_.lock();
  }
  void unlock() {
    for (ForkMutex* each = first; each; each = each->after_) each->mutex_.unlock();
    mutex.unlock();
  }
  void add(ForkMutex* added) {
    const std::lock_guard lock(mutex);
    added->after_ = first;
    if (first) first->before_ = added;
    first = added;
  }
  void remove(ForkMutex* removed) {
    const std::lock_guard lock(mutex);
    if (removed->before_)
      removed->before_->after_ = removed->after_;
    else
      first = removed->after_;
    if (removed->after_) removed->after_->before_ = removed->before_;
  }
};

uint32_t fork_generation() { return ForkMutexes::all().generation.load(std::memory_order_relaxed); }

ForkMutex::ForkMutex() { ForkMutexes::all().add(this); }
ForkMutex::~ForkMutex() { ForkMutexes::all().remove(this); }

}  // namespace sdx
