// Runs plans: binds memory, walks the steps, keeps time when asked.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/fork.h"
#include "plan/plan.h"
#include "runtime/output_pool.h"

namespace sdx::runtime {

// By step of a plan: seconds since the run began, and seconds taken.
struct StepTimes {
  std::vector<double> begin, seconds;
};

// Bytes that runs take, and that are kept for later ones.
struct RunMemory {
  int64_t running = 0, idle = 0, kept_results = 0;
};

// Memory for runs, reused from one to the next. Safe to share between threads: every run takes a
// context of its own.
class Executor {
 public:
  Executor();
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Runs `plan`. Inputs lie as the plan was made for. Result i is written into `into[i]` where that
  // is a tensor (of exactly the planned type and shape), else into new memory. Where the input of
  // `plan.caches` begins there too, heads of both are `rooms[i]` rows apart (0: as planned).
  std::vector<Datum> run(const plan::Plan& plan, std::span<const Datum> inputs,
                         std::span<const Tensor> into, const RunState& state,
                         std::span<const int64_t> rooms = {}, StepTimes* times = nullptr);

  // Frees what no run and no result is using.
  void release_memory();
  RunMemory memory();

 private:
  struct Context;
  class Lease;
  Tensor new_result(const Layout& layout);
  // Keeps so much memory of results for every run that there can be at once.
  void keep_results(std::size_t bytes);

  ForkMutex mutex_;
  std::vector<std::unique_ptr<Context>> idle_;
  std::size_t contexts_ = 0;  // idle and in use
  int64_t arena_bytes_ = 0;   // of them
  std::shared_ptr<OutputPool> outputs_ = std::make_shared<OutputPool>();
};

}  // namespace sdx::runtime
