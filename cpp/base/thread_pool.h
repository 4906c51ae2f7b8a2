// The threads of a process: shared by sessions, spinning only inside a run, parked outside it.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace sdx {

// Processors this process may use: the smaller of its affinity mask and its cgroup CPU quota.
int available_processors();

class ThreadPool {
 public:
  // `threads` counts the caller; 1 makes a pool without workers.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The pool of that size that other sessions already use, or a new one.
  static std::shared_ptr<ThreadPool> shared(int threads);

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls f(0) .. f(chunks - 1), each once, on the caller and whichever workers are free, and
  // returns when all have ended. The first exception is rethrown here. A call from inside f, or
  // while another thread uses the pool, runs on the caller alone.
  void run(int64_t chunks, FunctionRef<void(int64_t)> f);

  // While one of these lives, workers wait for work by spinning.
  class Session {
   public:
    explicit Session(ThreadPool* pool) : pool_(pool) {
      if (pool_) pool_->sessions_.fetch_add(1, std::memory_order_relaxed);
    }
    ~Session() {
      if (pool_) pool_->sessions_.fetch_sub(1, std::memory_order_relaxed);
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

   private:
    ThreadPool* pool_;
  };

 private:
  void work();
  void take_chunks();

  std::vector<std::thread> workers_;
  std::mutex busy_;
  const FunctionRef<void(int64_t)>* task_ = nullptr;
  int64_t chunks_ = 0;
  std::exception_ptr error_;
  std::mutex error_mutex_;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<int> running_{0};
  alignas(64) std::atomic<int> parked_{0};
  std::atomic<int> sessions_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace sdx
