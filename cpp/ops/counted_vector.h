// Vectors whose size depends on the data: what they take counts as values of the run do.
#pragma once

#include <memory>
#include <vector>

#include "base/error.h"
#include "base/memory_budget.h"
#include "base/tensor.h"

namespace sdx::ops {

// Counts in the budget of the thread that makes it, for as long as what it allocates lives.
template <class T>
class CountedAllocator {
 public:
  using value_type = T;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;

  CountedAllocator() : budget_(MemoryBudget::current()) {}
  template <class U>
  CountedAllocator(const CountedAllocator<U>& other) : budget_(other.budget()) {}

  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);  // a vector asks for no more than there may be
    if (budget_ && !budget_->take(bytes))
      fail(ErrorKind::out_of_memory, "a list of ", budget_->refusal(bytes));
    try {
      return std::allocator<T>().allocate(count);
    } catch (...) {
      if (budget_) budget_->give_back(bytes);
      throw;
    }
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    std::allocator<T>().deallocate(memory, count);
    if (budget_) budget_->give_back(count * sizeof(T));
  }

  const std::shared_ptr<MemoryBudget>& budget() const { return budget_; }
  friend bool operator==(const CountedAllocator& a, const CountedAllocator& b) {
    return a.budget_ == b.budget_;
  }

 private:
  std::shared_ptr<MemoryBudget> budget_;
};

template <class T>
using CountedVector = std::vector<T, CountedAllocator<T>>;

template <class T>
Tensor tensor_of(const CountedVector<T>& items) {
  return Tensor::of(std::span<const T>(items), Shape{static_cast<int64_t>(items.size())});
}

}  // namespace sdx::ops
