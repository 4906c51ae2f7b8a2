// Offsets for values whose lifetimes are known: best fit over the free blocks, in order of steps.
#pragma once

#include <cstdint>
#include <map>

namespace sdx::plan {

class Arena {
 public:
  // An offset, aligned to kAlignment, of `bytes` free bytes.
  int64_t allocate(int64_t bytes);
  void release(int64_t offset, int64_t bytes);
  // The size all allocations so far needed.
  int64_t size() const { return size_; }

 private:
  std::map<int64_t, int64_t> free_;  // offset -> bytes, never adjacent
  int64_t size_ = 0;
};

}  // namespace sdx::plan
