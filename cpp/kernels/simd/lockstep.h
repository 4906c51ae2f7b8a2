// Walks down trees in lockstep, so that one waits for memory while others step.
#pragma once

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

inline constexpr std::size_t kWalks = 16;
// Steps between two looks whether all walks stand on leaves.
inline constexpr uint32_t kStride = 4;

// Walk l starts at ends[l] and goes to advance(at, l), which stays where it is on a leaf, at most
// `depth` times.
template <std::size_t kCount, class Advance>
SDX_INLINE void walk_lockstep(uint32_t depth, uint32_t* ends, Advance advance) {
  uint32_t at[kCount];
  for (std::size_t l = 0; l < kCount; ++l) at[l] = ends[l];
  uint32_t step = 0;
  for (; step + kStride <= depth; step += kStride) {
    for (uint32_t s = 0; s + 1 < kStride; ++s) {
#pragma GCC unroll 16
      for (std::size_t l = 0; l < kCount; ++l) at[l] = advance(at[l], l);
    }
    uint32_t moved = 0;
#pragma GCC unroll 16
    for (std::size_t l = 0; l < kCount; ++l) {
      const uint32_t next = advance(at[l], l);
      moved |= next ^ at[l];
      at[l] = next;
    }
    if (!moved) break;
  }
  if (step + kStride > depth)
    for (; step < depth; ++step) {
#pragma GCC unroll 16
      for (std::size_t l = 0; l < kCount; ++l) at[l] = advance(at[l], l);
    }
  for (std::size_t l = 0; l < kCount; ++l) ends[l] = at[l];
}

// Calls f<n>(first), as often as it fits, with numbers n of walks that add up to `count`.
template <class F>
SDX_INLINE void in_blocks(std::size_t count, F f) {
  std::size_t i = 0;
  for (; i + kWalks <= count; i += kWalks) f.template operator()<kWalks>(i);
  for (; i + 4 <= count; i += 4) f.template operator()<4>(i);
  for (; i < count; ++i) f.template operator()<1>(i);
}

SDX_INLINE uint32_t deepest(const uint32_t* depths, std::size_t count) {
  uint32_t depth = 0;
  for (std::size_t i = 0; i < count; ++i) depth = depths[i] > depth ? depths[i] : depth;
  return depth;
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
