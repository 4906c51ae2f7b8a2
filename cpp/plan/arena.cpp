#include "plan/arena.h"

#include <algorithm>

#include "base/checked.h"
#include "base/tensor.h"

namespace sdx::plan {

int64_t Arena::allocate(int64_t bytes) {
  bytes = round_up(bytes, kAlignment);
  if (bytes == 0) return 0;
  auto best = free_.end();
  for (auto it = free_.begin(); it != free_.end(); ++it)
    if (it->bytes >= bytes && (best == free_.end() || it->bytes < best->bytes)) best = it;
  if (best != free_.end()) {
    const int64_t offset = best->offset;
    best->offset += bytes;
    best->bytes -= bytes;
    if (best->bytes == 0) free_.erase(best);
    return offset;
  }
  // No block is large enough: grow the arena, from its last block if that one is free.
  int64_t offset = size_;
  if (!free_.empty() && free_.back().offset + free_.back().bytes == size_) {
    offset = free_.back().offset;
    free_.pop_back();
  }
  size_ = checked_add(offset, bytes);
  return offset;
}

void Arena::release(int64_t offset, int64_t bytes) {
  bytes = round_up(bytes, kAlignment);
  if (bytes == 0) return;
  auto next = std::lower_bound(free_.begin(), free_.end(), offset,
                               [](const Block& block, int64_t at) { return block.offset < at; });
  const bool joins_next = next != free_.end() && offset + bytes == next->offset;
  const auto previous = next != free_.begin() ? std::prev(next) : free_.end();
  if (previous != free_.end() && previous->offset + previous->bytes == offset) {
    previous->bytes += bytes;
    if (!joins_next) return;
    previous->bytes += next->bytes;
    free_.erase(next);
  } else if (joins_next) {
    next->offset = offset;
    next->bytes += bytes;
  } else {
    free_.insert(next, {offset, bytes});
  }
}

}  // namespace sdx::plan
