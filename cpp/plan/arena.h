// Offsets for values whose lifetimes are known: best fit over the free blocks, in order of steps.
#pragma once

#include <cstdint>
#include <vector>

namespace sdx::plan {

class Arena {
 public:
  // An offset, aligned to kAlignment, of `bytes` free bytes.
  int64_t allocate(int64_t bytes);
  void release(int64_t offset, int64_t bytes);
  // The size all allocations so far needed.
  int64_t size() const { return size_; }

 private:
  struct Block {
    int64_t offset, bytes;
  };
  std::vector<Block> free_;  // by offset, never adjacent; few
  int64_t size_ = 0;
};

}  // namespace sdx::plan
