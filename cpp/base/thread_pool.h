// The threads of a process: shared by sessions, spinning inside a run and for some 50 us after it,
// else parked.
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
  // `threads` counts the caller; 1 makes a pool without workers. They start with the first work
  // that can be shared, so that a process of many small models has no threads that wait for
  // nothing.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // The pool of that size that other sessions already use, or a new one.
  static std::shared_ptr<ThreadPool> shared(int threads);

  int threads() const { return static_cast<int>(shares_.size()); }

  // How many neighbouring chunks a call of the task gets.
  enum class Pieces {
    single,  // one
    halves,  // half of those left in a thread's share, or all where one thread works alone
  };

  // Calls f(begin, end) until every chunk of [0, chunks) is done once, on the caller and whichever
  // workers are free, and returns when all have ended. A thread walks through a share of its own,
  // the same in every call, so that what it brought into its cache is used again; then it helps the
  // others. The first exception is rethrown here. A call from inside f, or while another thread
  // uses the pool, runs on the caller alone.
  void run(int64_t chunks, Pieces pieces, FunctionRef<void(int64_t, int64_t)> f);

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
  // Chunks [begin, end) of a thread that nobody has taken yet: begin in the low half, end above.
  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};
  };

  void start_workers();
  void work(std::size_t thread);
  void take_chunks(std::size_t thread);
  bool take_from(Share& share, bool own);

  std::mutex busy_;
  bool started_ = false;              // with workers_, of whoever holds busy_
  std::vector<std::thread> workers_;  // fewer than asked for where the system has no more
  std::vector<Share> shares_;         // the caller's is the first
  const FunctionRef<void(int64_t, int64_t)>* task_ = nullptr;
  Pieces pieces_ = Pieces::single;
  std::exception_ptr error_;
  std::mutex error_mutex_;
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<int> running_{0};
  alignas(64) std::atomic<int> parked_{0};
  std::atomic<int> sessions_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace sdx
