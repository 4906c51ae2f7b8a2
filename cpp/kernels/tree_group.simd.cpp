#include "kernels/tree_group.h"

#include "kernels/simd/lockstep.h"
#include "kernels/simd/threshold.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Lanes of a group that are filled: rows up to a multiple of this.
constexpr std::size_t kLaneStep = 16;

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

template <bool kNan>
void rows_down(const SlotNodes& trees, std::size_t tree, const float* x, std::size_t rows,
               uint32_t* ends) {
  for (std::size_t i = 0; i < rows; ++i) ends[i] = trees.roots[tree];
  in_blocks(
      rows, [&]<std::size_t kCount>(std::size_t i) __attribute__((always_inline)) {
        walk_lockstep<kCount>(
            trees.depths[tree], ends + i,
            [ nodes = trees.nodes, x = x + i ](uint32_t at, std::size_t l)
                __attribute__((always_inline)) { return advance<kNan>(nodes, at, x, l); });
      });
}

template <bool kNan>
void trees_down(const SlotNodes& trees, std::size_t tree, std::size_t count, const float* x,
                uint32_t* ends) {
  for (std::size_t i = 0; i < count; ++i) ends[i] = trees.roots[tree + i];
  in_blocks(
      count, [&]<std::size_t kCount>(std::size_t i) __attribute__((always_inline)) {
        walk_lockstep<kCount>(
            deepest(trees.depths + tree + i, kCount), ends + i,
            [ =, nodes = trees.nodes ](uint32_t at, std::size_t)
                __attribute__((always_inline)) { return advance<kNan>(nodes, at, x, 0); });
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
