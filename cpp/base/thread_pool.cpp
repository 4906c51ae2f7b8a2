#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <map>
#include <system_error>

#include "base/error.h"
#include "base/fork.h"
#include "base/interrupt.h"

namespace sdx {
namespace {

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Where there are more threads than processors, what is waited for may wait for this one.
inline void wait_a_little(int& waits) {
  constexpr int kPatience = 4000;
  if (++waits < kPatience)
    pause();
  else
    sched_yield();
}

// How long a worker waits awake. Between the regions of a run the next one is microseconds away;
// waking up takes longer than many a run, so a worker waits for the next of a row of runs too, but
// no longer than it would take to wake up.
class Patience {
 public:
  bool lasts(bool inside_run) {
    if (inside_run) {
      idle_since_ = 0;
      return ++waits_ < 20000;
    }
    const uint64_t now = Interrupt::ticks();
    if (idle_since_ == 0) idle_since_ = now;
    return now - idle_since_ < Interrupt::few_milliseconds() / 64;
  }

 private:
  int waits_ = 0;
  uint64_t idle_since_ = 0;
};

thread_local bool inside_pool = false;

// Work of fewer chunks than this is short; see split_work.
constexpr int64_t kManyChunks = 256;

// Calls f with neighbouring chunks that take some milliseconds, so that between two calls it may
// see that the run is over.
void run_in_pieces(int64_t begin, int64_t end, FunctionRef<void(int64_t, int64_t)> f) {
  const uint64_t aim = Interrupt::few_milliseconds() / 2;
  for (int64_t count = 1; begin < end;) {
    const int64_t stop = std::min(begin + count, end);
    const uint64_t start = Interrupt::ticks();
    f(begin, stop);
    const uint64_t taken = Interrupt::ticks() - start;
    if (taken < aim / 2) count *= 4;
    if (taken > aim) count = std::max<int64_t>(count / 2, 1);
    begin = stop;
    Interrupt::due();
  }
}

constexpr uint64_t pack_share(uint64_t begin, uint64_t end) { return begin | end << 32; }

}  // namespace

ThreadPool::ThreadPool(int threads) : shares_(static_cast<std::size_t>(std::max(threads, 1))) {}

// Without them the caller does all of the work.
void ThreadPool::start_workers() {
  started_ = true;
  workers_.reserve(shares_.size() - 1);
  try {
    for (std::size_t i = 1; i < shares_.size(); ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error&) {
  }
}

std::shared_ptr<ThreadPool> ThreadPool::shared(int threads) {
  // Only a meeting point: a pool lives as long as the sessions that hold it. Never destroyed, since
  // threads may outlive the end of main.
  struct Pools {
    ForkMutex mutex;
    uint32_t generation = 0;
    std::map<int, std::weak_ptr<ThreadPool>> pools;
  };
  static Pools& meeting = *new Pools;
  constexpr int kMaxThreads = 1024;
  check_argument(threads >= 1 && threads <= kMaxThreads, "threads must be 1 to ", kMaxThreads,
                 ", not ", threads);
  const std::lock_guard lock(meeting.mutex);
  // A forked process has none of its parent's threads.
  if (meeting.generation != fork_generation()) meeting.pools.clear();
  meeting.generation = fork_generation();
  std::shared_ptr<ThreadPool> pool = meeting.pools[threads].lock();
  if (!pool) meeting.pools[threads] = pool = std::make_shared<ThreadPool>(threads);
  return pool;
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

// Owners take from the front and helpers one chunk from the back, so that the owner's stay
// together.
bool ThreadPool::take_from(Share& share, bool own) {
  uint64_t left = share.left.load(std::memory_order_relaxed);
  for (;;) {
    const uint64_t begin = left & 0xffffffff, end = left >> 32;
    if (begin >= end) return false;
    uint64_t count = 1;
    if (own && pieces_ == Pieces::halves) count = (end - begin + 1) / 2;
    const uint64_t rest = own ? pack_share(begin + count, end) : pack_share(begin, end - 1);
    if (!share.left.compare_exchange_weak(left, rest, std::memory_order_relaxed)) continue;
    const auto first = static_cast<int64_t>(own ? begin : end - 1);
    try {
      (*task_)(first, first + static_cast<int64_t>(count));
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
    return true;
  }
}

void ThreadPool::take_chunks(std::size_t thread) {
  while (take_from(shares_[thread], true)) continue;
  for (std::size_t i = 1; i < shares_.size(); ++i)
    while (take_from(shares_[(thread + i) % shares_.size()], false)) continue;
}

// `running_` counts workers that may touch the task: a worker announces itself, then looks whether
// the generation it saw is still the current, open one.
void ThreadPool::work(std::size_t thread) {
  inside_pool = true;
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = generation_.load(std::memory_order_acquire);
    if (now == seen) {
      Patience patience;
      while ((now = generation_.load(std::memory_order_acquire)) == seen) {
        if (patience.lasts(sessions_.load(std::memory_order_relaxed) > 0)) {
          pause();
          continue;
        }
        parked_.fetch_add(1);
        generation_.wait(seen);
        parked_.fetch_sub(1);
      }
    }
    if (stop_.load()) return;
    seen = now;
    running_.fetch_add(1);
    if (generation_.load() == now && (now & 1)) take_chunks(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::run(int64_t chunks, Pieces pieces, FunctionRef<void(int64_t, int64_t)> f) {
  const bool many = chunks >= kManyChunks && pieces == Pieces::halves;
  Interrupt* const interrupt = Interrupt::current();
  std::unique_lock busy(busy_, std::defer_lock);
  if (chunks <= 1 || shares_.size() == 1 || inside_pool || !busy.try_lock()) {
    if (many) return run_in_pieces(0, chunks, f);
    if (pieces == Pieces::halves && chunks > 0) return f(0, chunks);
    for (int64_t i = 0; i < chunks; ++i) {
      if (interrupt && !inside_pool) interrupt->check();
      f(i, i + 1);
    }
    return;
  }
  SDX_ASSERT(chunks < 0xffffffff);
  if (!started_) start_workers();
  inside_pool = true;
  const auto watched = [&](int64_t begin, int64_t end) {
    if (many) return run_in_pieces(begin, end, f);
    Interrupt::due();
    f(begin, end);
  };
  const FunctionRef<void(int64_t, int64_t)> task(watched);
  task_ = many || interrupt ? &task : &f;
  pieces_ = pieces;
  error_ = nullptr;
  const auto threads = static_cast<int64_t>(shares_.size());
  for (int64_t i = 0; i < threads; ++i)
    shares_[static_cast<std::size_t>(i)].left.store(
        pack_share(static_cast<uint64_t>(chunks * i / threads),
                   static_cast<uint64_t>(chunks * (i + 1) / threads)),
        std::memory_order_relaxed);
  generation_.fetch_add(1);  // odd: open
  if (parked_.load() > 0) generation_.notify_all();
  take_chunks(0);
  generation_.fetch_add(1);  // even: closed, latecomers stay out
  for (int waits = 0; running_.load(std::memory_order_acquire) > 0;) {
    wait_a_little(waits);
    if (interrupt && waits % 64 == 0) interrupt->check();
  }
  inside_pool = false;
  if (error_) std::rethrow_exception(error_);
}

}  // namespace sdx
