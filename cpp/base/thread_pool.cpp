#include "base/thread_pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>

#include "base/error.h"

namespace sdx {
namespace {

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Processors that a cgroup's CPU quota amounts to, rounded up; 0 without a quota.
int cgroup_quota() {
  if (std::ifstream file("/sys/fs/cgroup/cpu.max"); file) {  // version 2: "max 100000"
    std::string quota;
    double period = 0;
    if (file >> quota >> period && quota != "max" && period > 0)
      return std::max(1, static_cast<int>(std::stod(quota) / period + 0.999));
    return 0;
  }
  std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double quota = 0, period = 0;
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0)
    return std::max(1, static_cast<int>(quota / period + 0.999));
  return 0;
}

thread_local bool inside_pool = false;

}  // namespace

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;
  if (count <= 0) count = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (const int quota = cgroup_quota(); quota > 0) count = std::min(count, quota);
  return std::max(1, count);
}

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

std::shared_ptr<ThreadPool> ThreadPool::shared(int threads) {
  // Only a meeting point: a pool lives as long as the sessions that hold it.
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<ThreadPool>> pools;
  constexpr int kMaxThreads = 1024;
  check_argument(threads >= 1 && threads <= kMaxThreads, "threads must be 1 to ", kMaxThreads,
                 ", not ", threads);
  const std::lock_guard lock(mutex);
  std::shared_ptr<ThreadPool> pool = pools[threads].lock();
  if (!pool) pools[threads] = pool = std::make_shared<ThreadPool>(threads);
  return pool;
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::take_chunks() {
  for (;;) {
    const int64_t chunk = next_.fetch_add(1, std::memory_order_relaxed);
    if (chunk >= chunks_) return;
    try {
      (*task_)(chunk);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
}

// `running_` counts workers that may touch the task: a worker announces itself, then looks whether
// the generation it saw is still the current, open one.
void ThreadPool::work() {
  inside_pool = true;
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = generation_.load(std::memory_order_acquire);
    if (now == seen) {
      // Between the regions of a run the next one is microseconds away; outside, park.
      int spins = 0;
      while ((now = generation_.load(std::memory_order_acquire)) == seen) {
        if (sessions_.load(std::memory_order_relaxed) > 0 && ++spins < 20000) {
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
    if (generation_.load() == now && (now & 1)) take_chunks();
    running_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::run(int64_t chunks, FunctionRef<void(int64_t)> f) {
  std::unique_lock busy(busy_, std::defer_lock);
  if (chunks <= 1 || workers_.empty() || inside_pool || !busy.try_lock()) {
    for (int64_t i = 0; i < chunks; ++i) f(i);
    return;
  }
  inside_pool = true;
  task_ = &f;
  chunks_ = chunks;
  error_ = nullptr;
  next_.store(0, std::memory_order_relaxed);
  generation_.fetch_add(1);  // odd: open
  if (parked_.load() > 0) generation_.notify_all();
  take_chunks();
  generation_.fetch_add(1);  // even: closed, latecomers stay out
  while (running_.load(std::memory_order_acquire) > 0) pause();
  inside_pool = false;
  if (error_) std::rethrow_exception(error_);
}

}  // namespace sdx
