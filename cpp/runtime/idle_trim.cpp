#include "runtime/idle_trim.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/fork.h"

namespace sdx::runtime {
namespace {

using Clock = std::chrono::steady_clock;

// The host's signals are for the host's threads.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_ = {};
};

}  // namespace

struct IdleTrim::Entry {
  std::function<void()> trim;
  Clock::duration after;
  std::atomic<Clock::rep> last_use = 0;
  // One more than the fork generation of the process whose watch has it in its list; 0: none.
  std::atomic<uint64_t> watched = 0;
  // The watch says what it is doing and looks whether it still should, in this order; who closes
  // does the same.
  std::atomic<bool> closed = false;
  std::atomic<uint64_t> busy = 0;  // as `watched`, while `trim` runs

  Clock::time_point due() const {
    return Clock::time_point(Clock::duration(last_use.load())) + after;
  }
};

namespace {

uint64_t process_number() { return uint64_t{fork_generation()} + 1; }

}  // namespace

class IdleTrim::Watch {
 public:
  // This process's; may throw. Lives as long as the process: its thread may be asleep when that
  // ends.
  static Watch& here() {
    static ForkMutex& mutex = *new ForkMutex;
    static Watch* watch = nullptr;
    static uint64_t number = 0;
    const uint64_t now = process_number();
    const std::lock_guard lock(mutex);
    if (number != now) {
      watch = new Watch;  // a parent's is left as the fork found it
      number = now;
    }
    return *watch;
  }

  // May throw, and has done nothing then.
  void add(std::shared_ptr<Entry> entry) {
    {
      const std::lock_guard lock(mutex_);
      if (!started_) {
        const SignalsBlocked blocked;
        std::thread([this] { work(); }).detach();
        started_ = true;
      }
      entries_.push_back(std::move(entry));
    }
    changed_.notify_one();
  }

 private:
  [[noreturn]] void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      const auto next =
          std::min_element(entries_.begin(), entries_.end(),
                           [](const auto& a, const auto& b) { return a->due() < b->due(); });
      if (next == entries_.end()) {
        changed_.wait(lock);
      } else if (const auto due = (*next)->due(); due > Clock::now()) {
        changed_.wait_until(lock, due);
      } else {
        const std::shared_ptr<Entry> entry = std::move(*next);
        entries_.erase(next);
        lock.unlock();
        trim(*entry);
        lock.lock();
      }
    }
  }

  static void trim(Entry& entry) {
    entry.watched.store(0);  // a use from here on is watched again
    entry.busy.store(process_number());
    try {
      if (!entry.closed.load()) entry.trim();
    } catch (const std::exception&) {  // there is memory that could not be given back
    }
    entry.busy.store(0);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Entry>> entries_;
  bool started_ = false;
};

IdleTrim::IdleTrim(double seconds, std::function<void()> trim) : entry_(std::make_shared<Entry>()) {
  constexpr double kLongest = 1e9;
  entry_->trim = std::move(trim);
  entry_->after = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(std::min(seconds, kLongest)));
}

IdleTrim::~IdleTrim() {
  entry_->closed.store(true);
  while (entry_->busy.load() == process_number()) std::this_thread::yield();
}

void IdleTrim::used() noexcept {
  entry_->last_use.store(Clock::now().time_since_epoch().count());
  const uint64_t number = process_number();
  if (entry_->watched.exchange(number) == number) return;
  try {
    Watch::here().add(entry_);
  } catch (const std::exception&) {  // no memory, or no thread
    entry_->watched.store(0);
  }
}

}  // namespace sdx::runtime
