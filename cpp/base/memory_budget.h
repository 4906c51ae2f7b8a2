// What one run may allocate.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace sdx {

class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t limit) : limit_(limit) {}

  // Counts so many bytes, unless that is more than the limit; then returns false.
  bool take(std::size_t bytes);
  void give_back(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::size_t limit() const { return limit_; }
  std::size_t used() const { return used_.load(std::memory_order_relaxed); }

  // Of the run that this thread is in; null where there is no limit.
  static const std::shared_ptr<MemoryBudget>& current();

  // While it lives, what this thread allocates counts.
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
  std::atomic<std::size_t> used_{0};
};

}  // namespace sdx
