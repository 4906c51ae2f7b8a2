#include "kernels/tree_group.h"

#include "kernels/simd/threshold.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Lanes of a group that are filled: rows up to a multiple of this.
constexpr std::size_t kLaneStep = 16;
// Walks in lockstep, so that one waits for memory while others step.
constexpr std::size_t kWalks = 16;
// Steps between two looks whether all walks stand on leaves.
constexpr uint32_t kStride = 4;

// The leaves where the rows of kVectors vectors end in one tree, counted from its first.
template <std::size_t kVectors>
SDX_INLINE void leaves_of(const LeafTests& trees, std::size_t tree, const float* x,
                          VecI (&leaf)[kVectors]) {
  const uint32_t first = trees.first_word[tree], last = trees.first_word[tree + 1];
  const LeafTest* test = trees.tests + (first == 0 ? 0 : trees.words[first - 1].nan_low_end);
  for (uint32_t w = first; w < last; ++w) {
    VecI gone[kVectors] = {};
    for (const LeafTest* end = trees.tests + trees.words[w].nan_high_end; test < end; ++test) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v)
        gone[v] = set_unless_low(gone[v], load(x + test->offset + v * kF32), test->threshold,
                                 test->unreachable);
    }
    for (const LeafTest* end = trees.tests + trees.words[w].nan_low_end; test < end; ++test) {
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v)
        gone[v] = set_if_high(gone[v], load(x + test->offset + v * kF32), test->threshold,
                              test->unreachable);
    }
    const auto base = static_cast<int32_t>(32 * (last - 1 - w));
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) {
      const VecI found = lowest_clear(gone[v]) + base;
      leaf[v] = w == first ? found : (gone[v] == -1 ? leaf[v] : found);
    }
  }
}

template <std::size_t kVectors>
SDX_INLINE void write_leaves(const LeafTests& trees, std::size_t tree, const float* x,
                             uint32_t* ends) {
  VecI leaf[kVectors] = {};
  leaves_of<kVectors>(trees, tree, x, leaf);
  for (std::size_t v = 0; v < kVectors; ++v)
    store(reinterpret_cast<int32_t*>(ends) + v * kF32,
          leaf[v] + static_cast<int32_t>(trees.first_leaf[tree]));
}

template <std::size_t kVectors>
SDX_INLINE void sum_leaves(const LeafTests& trees, std::size_t begin, std::size_t end,
                           const float* x, const float* weights, float* sums) {
  VecF sum[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) sum[v] = load(sums + v * kF32);
  for (std::size_t tree = begin; tree < end; ++tree) {
    VecI leaf[kVectors] = {};
    leaves_of<kVectors>(trees, tree, x, leaf);
    const float* table = weights + trees.first_leaf[tree];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < kVectors; ++v) sum[v] += look_up(table, leaf[v]);
  }
  for (std::size_t v = 0; v < kVectors; ++v) store(sums + v * kF32, sum[v]);
}

struct Lanes {
  float of[kGroupRows];
};

template <bool kNan>
SDX_INLINE uint32_t advance(const SlotNode* nodes, uint32_t at, const float* x, std::size_t lane) {
  const SlotNode& node = nodes[at];
  const int32_t bits = node.bits;
  // Lanes are displacements from one pointer: one for each would not fit the registers.
  const auto* lanes =
      reinterpret_cast<const Lanes*>(reinterpret_cast<const char*>(x) + (bits & 0xff80));
  const float value = lanes->of[lane];
  uint32_t high = !(value <= node.threshold);
  if constexpr (kNan) {
    // Kept in registers: a branch here would be mispredicted half of the time.
    uint32_t number = value == value;
    asm("" : "+r"(high), "+r"(number));
    high &= number | (~static_cast<uint32_t>(bits) & 1);
  }
  return at + static_cast<uint32_t>(bits >> 16) + high;
}

// Walk l starts at ends[l] and reads lane l, or the first where kOneRow.
template <bool kNan, bool kOneRow, std::size_t kCount>
SDX_INLINE void walk(const SlotNode* nodes, const float* x, uint32_t depth, uint32_t* ends) {
  uint32_t at[kCount];
  for (std::size_t l = 0; l < kCount; ++l) at[l] = ends[l];
  uint32_t step = 0;
  for (; step + kStride <= depth; step += kStride) {
    for (uint32_t s = 0; s + 1 < kStride; ++s) {
#pragma GCC unroll 16
      for (std::size_t l = 0; l < kCount; ++l)
        at[l] = advance<kNan>(nodes, at[l], x, kOneRow ? 0 : l);
    }
    uint32_t moved = 0;
#pragma GCC unroll 16
    for (std::size_t l = 0; l < kCount; ++l) {
      const uint32_t next = advance<kNan>(nodes, at[l], x, kOneRow ? 0 : l);
      moved |= next ^ at[l];
      at[l] = next;
    }
    if (!moved) break;
  }
  if (step + kStride > depth)
    for (; step < depth; ++step) {
#pragma GCC unroll 16
      for (std::size_t l = 0; l < kCount; ++l)
        at[l] = advance<kNan>(nodes, at[l], x, kOneRow ? 0 : l);
    }
  for (std::size_t l = 0; l < kCount; ++l) ends[l] = at[l];
}

// Calls f, as often as it fits, with numbers of walks that add up to `count`.
template <class F>
SDX_INLINE void in_blocks(std::size_t count, F f) {
  std::size_t i = 0;
  for (; i + kWalks <= count; i += kWalks) f.template operator()<kWalks>(i);
  for (; i + 4 <= count; i += 4) f.template operator()<4>(i);
  for (; i < count; ++i) f.template operator()<1>(i);
}

template <bool kNan>
void rows_down(const SlotNodes& trees, std::size_t tree, const float* x, std::size_t rows,
               uint32_t* ends) {
  for (std::size_t i = 0; i < rows; ++i) ends[i] = trees.roots[tree];
  in_blocks(
      rows, [&]<std::size_t kCount>(std::size_t i) __attribute__((always_inline)) {
        walk<kNan, false, kCount>(trees.nodes, x + i, trees.depths[tree], ends + i);
      });
}

template <bool kNan>
void trees_down(const SlotNodes& trees, std::size_t tree, std::size_t count, const float* x,
                uint32_t* ends) {
  for (std::size_t i = 0; i < count; ++i) ends[i] = trees.roots[tree + i];
  in_blocks(
      count, [&]<std::size_t kCount>(std::size_t i) __attribute__((always_inline)) {
        const uint32_t* depths = trees.depths + tree + i;
        uint32_t depth = 0;
        for (std::size_t l = 0; l < kCount; ++l) depth = depths[l] > depth ? depths[l] : depth;
        walk<kNan, true, kCount>(trees.nodes, x, depth, ends + i);
      });
}

}  // namespace

void find_leaves(const LeafTests& trees, std::size_t tree, const float* x, std::size_t rows,
                 uint32_t* ends) {
  if (rows <= kLaneStep)
    write_leaves<kLaneStep / kF32>(trees, tree, x, ends);
  else
    write_leaves<kGroupRows / kF32>(trees, tree, x, ends);
}

void add_leaves(const LeafTests& trees, std::size_t begin, std::size_t end, const float* x,
                std::size_t rows, const float* weights, float* sums) {
  if (rows <= kLaneStep)
    sum_leaves<kLaneStep / kF32>(trees, begin, end, x, weights, sums);
  else
    sum_leaves<kGroupRows / kF32>(trees, begin, end, x, weights, sums);
}

void walk_group(const SlotNodes& trees, std::size_t tree, const float* x, std::size_t rows,
                uint32_t* ends) {
  (trees.any_nan_goes_low ? rows_down<true> : rows_down<false>)(trees, tree, x, rows, ends);
}

void walk_forest(const SlotNodes& trees, std::size_t tree, std::size_t count, const float* x,
                 uint32_t* ends) {
  (trees.any_nan_goes_low ? trees_down<true> : trees_down<false>)(trees, tree, count, x, ends);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(find_leaves, FindLeaves)
SDX_DEFINE_KERNEL(add_leaves, AddLeaves)
SDX_DEFINE_KERNEL(walk_group, WalkGroup)
SDX_DEFINE_KERNEL(walk_forest, WalkForest)
}  // namespace sdx::kernels
