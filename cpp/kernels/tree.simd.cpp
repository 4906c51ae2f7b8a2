#include "kernels/tree.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Walks of this many rows or trees run in lockstep, so that one waits for memory while others step.
constexpr std::size_t kLanes = 16;
// Steps between two looks whether all lanes stand on leaves.
constexpr uint32_t kStride = 4;

template <bool kNan, class T>
inline __attribute__((always_inline)) uint32_t advance(const TreeNode<T>* nodes, uint32_t at,
                                                       const T* row) {
  const TreeNode<T>& node = nodes[at];
  if constexpr (kNan) {
    const T value = row[node.feature & ~kNanGoesLow];
    // Kept in registers: a branch here would be mispredicted half of the time.
    uint32_t high = !(value <= node.threshold), number = value == value;
    asm("" : "+r"(high), "+r"(number));
    return node.child + (high & (number | (node.feature >> 31 ^ 1)));
  } else {
    return node.child + !(row[node.feature & ~kNanGoesLow] <= node.threshold);
  }
}

// Lane l starts at ends[l] and reads row(l).
template <bool kNan, std::size_t kCount, class T, class Row>
inline __attribute__((always_inline)) void walk_lanes(const TreeNode<T>* nodes, uint32_t depth,
                                                      Row row, uint32_t* ends) {
  uint32_t at[kCount];
  for (std::size_t l = 0; l < kCount; ++l) at[l] = ends[l];
  uint32_t step = 0;
  for (; step + kStride <= depth; step += kStride) {
    for (uint32_t s = 0; s + 1 < kStride; ++s) {
#pragma GCC unroll 16
      for (std::size_t l = 0; l < kCount; ++l) at[l] = advance<kNan>(nodes, at[l], row(l));
    }
    uint32_t moved = 0;
#pragma GCC unroll 16
    for (std::size_t l = 0; l < kCount; ++l) {
      const uint32_t next = advance<kNan>(nodes, at[l], row(l));
      moved |= next ^ at[l];
      at[l] = next;
    }
    if (!moved) break;
  }
  if (step + kStride > depth)
    for (; step < depth; ++step) {
#pragma GCC unroll 16
      for (std::size_t l = 0; l < kCount; ++l) at[l] = advance<kNan>(nodes, at[l], row(l));
    }
  for (std::size_t l = 0; l < kCount; ++l) ends[l] = at[l];
}

template <bool kNan, class T>
void rows_down(const TreeNodes<T>& trees, std::size_t tree, const T* x, std::size_t stride,
               std::size_t rows, uint32_t* ends) {
  const TreeNode<T>* nodes = trees.nodes;
  const uint32_t depth = trees.depths[tree];
  for (std::size_t i = 0; i < rows; ++i) ends[i] = trees.roots[tree];
  std::size_t i = 0;
  for (; i + kLanes <= rows; i += kLanes)
    walk_lanes<kNan, kLanes>(
        nodes, depth, [=](std::size_t l) { return x + (i + l) * stride; }, ends + i);
  for (; i + 4 <= rows; i += 4)
    walk_lanes<kNan, 4>(
        nodes, depth, [=](std::size_t l) { return x + (i + l) * stride; }, ends + i);
  for (; i < rows; ++i)
    walk_lanes<kNan, 1>(
        nodes, depth, [=](std::size_t) { return x + i * stride; }, ends + i);
}

template <bool kNan, class T>
void trees_down(const TreeNodes<T>& trees, std::size_t tree, std::size_t count, const T* x,
                uint32_t* ends) {
  const auto row = [=](std::size_t) { return x; };
  const auto deepest = [&](std::size_t first, std::size_t lanes) {
    uint32_t depth = 0;
    for (std::size_t l = 0; l < lanes; ++l)
      depth = trees.depths[first + l] > depth ? trees.depths[first + l] : depth;
    return depth;
  };
  for (std::size_t i = 0; i < count; ++i) ends[i] = trees.roots[tree + i];
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    walk_lanes<kNan, kLanes>(trees.nodes, deepest(tree + i, kLanes), row, ends + i);
  for (; i + 4 <= count; i += 4)
    walk_lanes<kNan, 4>(trees.nodes, deepest(tree + i, 4), row, ends + i);
  for (; i < count; ++i) walk_lanes<kNan, 1>(trees.nodes, trees.depths[tree + i], row, ends + i);
}

}  // namespace

void walk_rows_f32(const TreeNodes<float>& trees, std::size_t tree, const float* x,
                   std::size_t stride, std::size_t rows, uint32_t* ends) {
  (trees.any_nan_goes_low ? rows_down<true, float> : rows_down<false, float>)(trees, tree, x,
                                                                              stride, rows, ends);
}

void walk_rows_f64(const TreeNodes<double>& trees, std::size_t tree, const double* x,
                   std::size_t stride, std::size_t rows, uint32_t* ends) {
  (trees.any_nan_goes_low ? rows_down<true, double> : rows_down<false, double>)(trees, tree, x,
                                                                                stride, rows, ends);
}

void walk_trees_f32(const TreeNodes<float>& trees, std::size_t tree, std::size_t count,
                    const float* x, uint32_t* ends) {
  (trees.any_nan_goes_low ? trees_down<true, float> : trees_down<false, float>)(trees, tree, count,
                                                                                x, ends);
}

void walk_trees_f64(const TreeNodes<double>& trees, std::size_t tree, std::size_t count,
                    const double* x, uint32_t* ends) {
  (trees.any_nan_goes_low ? trees_down<true, double> : trees_down<false, double>)(trees, tree,
                                                                                  count, x, ends);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(walk_rows_f32, WalkRows<float>)
SDX_DEFINE_KERNEL(walk_rows_f64, WalkRows<double>)
SDX_DEFINE_KERNEL(walk_trees_f32, WalkTrees<float>)
SDX_DEFINE_KERNEL(walk_trees_f64, WalkTrees<double>)
}  // namespace sdx::kernels
