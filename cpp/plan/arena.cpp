#include "plan/arena.h"

#include "base/checked.h"
#include "base/tensor.h"

namespace sdx::plan {

int64_t Arena::allocate(int64_t bytes) {
  bytes = round_up(bytes, kAlignment);
  if (bytes == 0) return 0;
  auto best = free_.end();
  for (auto it = free_.begin(); it != free_.end(); ++it)
    if (it->second >= bytes && (best == free_.end() || it->second < best->second)) best = it;
  if (best != free_.end()) {
    const auto [offset, size] = *best;
    free_.erase(best);
    if (size > bytes) free_.emplace(offset + bytes, size - bytes);
    return offset;
  }
  // No block is large enough: grow the arena, from its last block if that one is free.
  int64_t offset = size_;
  if (!free_.empty()) {
    const auto last = std::prev(free_.end());
    if (last->first + last->second == size_) {
      offset = last->first;
      free_.erase(last);
    }
  }
  size_ = checked_add(offset, bytes);
  return offset;
}

void Arena::release(int64_t offset, int64_t bytes) {
  bytes = round_up(bytes, kAlignment);
  if (bytes == 0) return;
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && offset + bytes == next->first) {
    bytes += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first + previous->second == offset) {
      previous->second += bytes;
      return;
    }
  }
  free_.emplace(offset, bytes);
}

}  // namespace sdx::plan
