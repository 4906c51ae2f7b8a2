// What a session and one of its runs may allocate.
#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>

namespace sdx {

class MemoryBudget {
 public:
  static constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

  // What counts here counts in `whole` too, where there is one. `owner` is for messages: "run".
  MemoryBudget(std::size_t limit, const char* owner, std::shared_ptr<MemoryBudget> whole = nullptr)
      : limit_(limit), owner_(owner), whole_(std::move(whole)) {}

  // Counts so many bytes, unless that is more than a limit; then returns false.
  bool take(std::size_t bytes);
  void give_back(std::size_t bytes);
  // What is counted here no longer counts in the whole: it belongs to somebody else now.
  void leave_whole();
  // Why `take` returned false: "12 bytes beside 3 in use, more than the run's memory limit of 14".
  std::string refusal(std::size_t bytes) const;

  // Of what this thread loads or runs; null where there is no limit.
  static const std::shared_ptr<MemoryBudget>& current();

  // While it lives, what this thread allocates counts there; with null, where it did before.
  class Scope {
   public:
    explicit Scope(std::shared_ptr<MemoryBudget> budget);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::shared_ptr<MemoryBudget> outer_;
  };

 private:
  const std::size_t limit_;
  const char* const owner_;
  const std::shared_ptr<MemoryBudget> whole_;
  std::atomic<bool> left_ = false;
  std::atomic<std::size_t> used_ = 0;
};

}  // namespace sdx
