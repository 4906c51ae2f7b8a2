#include "base/memory_budget.h"

#include <utility>

namespace sdx {
namespace {

thread_local std::shared_ptr<MemoryBudget> current_budget;

}  // namespace

bool MemoryBudget::take(std::size_t bytes) {
  std::size_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit_ || used > limit_ - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

const std::shared_ptr<MemoryBudget>& MemoryBudget::current() { return current_budget; }

MemoryBudget::Scope::Scope(std::shared_ptr<MemoryBudget> budget)
    : outer_(std::exchange(current_budget, std::move(budget))) {}
MemoryBudget::Scope::~Scope() { current_budget = std::move(outer_); }

}  // namespace sdx
