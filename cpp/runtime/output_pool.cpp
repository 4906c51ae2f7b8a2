#include "runtime/output_pool.h"

#include <bit>
#include <new>

#include "base/large_memory.h"
#include "base/tensor.h"

namespace sdx::runtime {
namespace {

// Smaller blocks come as fast from the general allocator.
constexpr std::size_t kSmallestKept = 16 << 10;
// In front of the caller's bytes lies the reference count, so that handing out allocates nothing.
constexpr std::size_t kHeaderBytes = 2 * kAlignment;

}  // namespace

// An allocator of one object, in the header of a block. The object's end gives the block back.
template <class T>
struct OutputPool::InBlock {
  using value_type = T;

  std::weak_ptr<OutputPool> pool;
  Block block;

  InBlock(std::weak_ptr<OutputPool> to, Block of) : pool(std::move(to)), block(std::move(of)) {}
  template <class U>
  InBlock(const InBlock<U>& other) : pool(other.pool), block(other.block) {}

  T* allocate(std::size_t) {
    static_assert(sizeof(T) <= kHeaderBytes && alignof(T) <= kAlignment);
    return static_cast<T*>(block.memory.get());
  }
  void deallocate(T*, std::size_t) noexcept {
    if (const auto alive = pool.lock()) alive->take_back(std::move(block));
  }
  template <class U>
  bool operator==(const InBlock<U>& other) const {
    return block.memory == other.block.memory;
  }
};

// Quarters of a power of two: results that grow a little from run to run find their old blocks, and
// what a block has too much is never touched.
std::size_t OutputPool::capacity_for(std::size_t bytes) {
  if (bytes < kSmallestKept || bytes > SIZE_MAX / 4) return 0;
  const std::size_t step = std::bit_floor(bytes) / 4;
  return (bytes + step - 1) / step * step;
}

std::shared_ptr<void> OutputPool::allocate(std::size_t bytes) {
  const std::size_t wanted = capacity_for(bytes);
  if (wanted == 0) return allocate_bytes(bytes);
  Block block;
  {
    const std::lock_guard lock(mutex_);
    // The latest of the smallest that fit, and waste little.
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (it->capacity >= wanted && it->capacity <= wanted + wanted / 4 &&
          (best == free_.end() || it->capacity <= best->capacity))
        best = it;
    if (best != free_.end()) {
      block = std::move(*best);
      free_.erase(best);
      free_bytes_ -= block.capacity;
    }
  }
  if (!block.memory) block = {allocate_large(kHeaderBytes + wanted), wanted};
  void* const data = static_cast<std::byte*>(block.memory.get()) + kHeaderBytes;
  return {data, [](void*) {}, InBlock<std::byte>(weak_from_this(), std::move(block))};
}

void OutputPool::keep_at_most(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
  shrink();
}

std::size_t OutputPool::kept() {
  const std::lock_guard lock(mutex_);
  return free_bytes_;
}

void OutputPool::take_back(Block block) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    free_.push_back(block);
  } catch (const std::bad_alloc&) {
    return;  // it is freed
  }
  free_bytes_ += block.capacity;
  shrink();
}

void OutputPool::shrink() {
  auto kept = free_.begin();
  for (; free_bytes_ > limit_; ++kept) free_bytes_ -= kept->capacity;
  free_.erase(free_.begin(), kept);
}

}  // namespace sdx::runtime
