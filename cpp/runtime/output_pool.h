// Memory of results: a block whose last owner is gone serves a later run, so that results need no
// fresh pages.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/fork.h"

namespace sdx::runtime {

class OutputPool : public std::enable_shared_from_this<OutputPool> {
 public:
  // What a block of so many bytes counts for; 0 for small ones, which are not kept.
  static std::size_t capacity_for(std::size_t bytes);

  // Uninitialised memory, aligned to kAlignment; the pool must be held by a shared_ptr. The block
  // comes back when its last owner goes, in any thread; after the pool has gone it is freed.
  // Throws `out_of_memory`.
  std::shared_ptr<void> allocate(std::size_t bytes);
  // Bounds what is kept for later, now and whenever a block comes back.
  void keep_at_most(std::size_t bytes);
  // Bytes that are kept now.
  std::size_t kept();

 private:
  template <class T>
  struct InBlock;

  struct Block {
    std::shared_ptr<void> memory;
    std::size_t capacity = 0;
  };

  void take_back(Block block) noexcept;
  void shrink();

  ForkMutex mutex_;
  std::vector<Block> free_;  // the one that came back last is last
  std::size_t free_bytes_ = 0;
  std::size_t limit_ = 0;
};

}  // namespace sdx::runtime
