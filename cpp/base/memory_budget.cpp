#include "base/memory_budget.h"

#include <sstream>
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
  if (!whole_ || left_.load() || whole_->take(bytes)) return true;
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

void MemoryBudget::give_back(std::size_t bytes) {
  used_.fetch_sub(bytes, std::memory_order_relaxed);
  if (whole_ && !left_.load()) whole_->give_back(bytes);
}

void MemoryBudget::leave_whole() {
  if (whole_ && !left_.exchange(true)) whole_->give_back(used_.load());
}

std::string MemoryBudget::refusal(std::size_t bytes) const {
  const std::size_t used = used_.load();
  if (whole_ && bytes <= limit_ && used <= limit_ - bytes) return whole_->refusal(bytes);
  std::ostringstream text;
  text << bytes << " bytes beside " << used << " in use, more than the " << owner_
       << "'s memory limit of " << limit_;
  return text.str();
}

const std::shared_ptr<MemoryBudget>& MemoryBudget::current() { return current_budget; }

MemoryBudget::Scope::Scope(std::shared_ptr<MemoryBudget> budget) : outer_(current_budget) {
  if (budget) current_budget = std::move(budget);
}
MemoryBudget::Scope::~Scope() { current_budget = std::move(outer_); }

}  // namespace sdx
