// Lays buffers of floats one after the other into a step's scratch, and shares them out.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <thread>

#include "base/checked.h"
#include "ir/op.h"

namespace sdx::ops {

class ScratchPlan {
 public:
  // Where `count` floats (or as many bytes) will lie, counted in floats and aligned.
  int64_t add(int64_t count) {
    const int64_t at = end_;
    end_ = round_up(checked_add(end_, count), kAlignment / sizeof(float));
    return at;
  }
  void request(PrepareContext& ctx) const { ctx.request_scratch(checked_mul(end_, sizeof(float))); }

 private:
  int64_t end_ = 0;
};

// Floats that hold `count` items of another type.
template <class T>
int64_t floats_for(int64_t count) {
  return checked_mul(count, (sizeof(T) + sizeof(float) - 1) / sizeof(float));
}

// Buffers for the chunks under way, however many chunks there are: each takes the first that is
// free, so that few threads touch little memory and find it in their caches.
class ScratchLanes {
 public:
  // As many buffers as so many chunks ever want; more threads than that wait for each other.
  static int64_t count(int64_t chunks) { return std::min<int64_t>(chunks, 64); }

  explicit ScratchLanes(int64_t chunks)
      : free_(chunks < 64 ? (uint64_t{1} << chunks) - 1 : ~uint64_t{0}) {}
  ScratchLanes(const ScratchLanes&) = delete;
  ScratchLanes& operator=(const ScratchLanes&) = delete;

  // A buffer's number, taken while this lives.
  class Lane {
   public:
    explicit Lane(ScratchLanes& lanes) : lanes_(lanes), index_(lanes.take()) {}
    ~Lane() { lanes_.free_.fetch_or(uint64_t{1} << index_, std::memory_order_release); }
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    int64_t index() const { return index_; }

   private:
    ScratchLanes& lanes_;
    int64_t index_;
  };

 private:
  int64_t take() {
    uint64_t free = free_.load(std::memory_order_relaxed);
    while (free == 0 ||
           !free_.compare_exchange_weak(free, free & (free - 1), std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
      if (free != 0) continue;
      std::this_thread::yield();
      free = free_.load(std::memory_order_relaxed);
    }
    return std::countr_zero(free);
  }

  std::atomic<uint64_t> free_;
};

}  // namespace sdx::ops
