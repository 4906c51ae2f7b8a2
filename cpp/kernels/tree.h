// Decision trees: many rows down one tree, one row down many trees.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel.h"

namespace sdx::kernels {

// A row goes to `child` where x[feature] <= threshold, else to `child + 1`. Where the top bit of
// `feature` is set, NaN counts as lower. A leaf at position p has a NaN threshold, no top bit and
// child p - 1: whatever comes stays there.
template <class T>
struct alignas(16) TreeNode {
  T threshold;
  uint32_t feature;
  uint32_t child;
};
inline constexpr uint32_t kNanGoesLow = 0x80000000;

// Trees laid one after another: tree t has its root at roots[t] and no path longer than depths[t].
template <class T>
struct TreeNodes {
  const TreeNode<T>* nodes;
  const uint32_t* roots;
  const uint32_t* depths;
  bool any_nan_goes_low;
};

// Writes to ends[i] where row i (at x + i * stride) ends in tree `tree`.
template <class T>
using WalkRows = void(const TreeNodes<T>& trees, std::size_t tree, const T* x, std::size_t stride,
                      std::size_t rows, uint32_t* ends);
// Writes to ends[i] where the one row x ends in tree `tree + i`.
template <class T>
using WalkTrees = void(const TreeNodes<T>& trees, std::size_t tree, std::size_t count, const T* x,
                       uint32_t* ends);

extern const Kernel<WalkRows<float>, kIsaCount> walk_rows_f32;
extern const Kernel<WalkRows<double>, kIsaCount> walk_rows_f64;
extern const Kernel<WalkTrees<float>, kIsaCount> walk_trees_f32;
extern const Kernel<WalkTrees<double>, kIsaCount> walk_trees_f64;

}  // namespace sdx::kernels
