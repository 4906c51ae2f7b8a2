#include "kernels/tree.h"

#include "kernels/simd/lockstep.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

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

template <bool kNan, class T>
void rows_down(const TreeNodes<T>& trees, std::size_t tree, const T* x, std::size_t stride,
               std::size_t rows, uint32_t* ends) {
  const TreeNode<T>* nodes = trees.nodes;
  const uint32_t depth = trees.depths[tree];
  for (std::size_t i = 0; i < rows; ++i) ends[i] = trees.roots[tree];
  in_blocks(
      rows, [&]<std::size_t kCount>(std::size_t i) __attribute__((always_inline)) {
        walk_lockstep<kCount>(
            depth, ends + i, [=](uint32_t at, std::size_t l) __attribute__((always_inline)) {
              return advance<kNan>(nodes, at, x + (i + l) * stride);
            });
      });
}

template <bool kNan, class T>
void trees_down(const TreeNodes<T>& trees, std::size_t tree, std::size_t count, const T* x,
                uint32_t* ends) {
  const TreeNode<T>* nodes = trees.nodes;
  for (std::size_t i = 0; i < count; ++i) ends[i] = trees.roots[tree + i];
  in_blocks(
      count, [&]<std::size_t kCount>(std::size_t i) __attribute__((always_inline)) {
        walk_lockstep<kCount>(
            deepest(trees.depths + tree + i, kCount),
            ends + i, [=](uint32_t at, std::size_t) __attribute__((always_inline)) {
              return advance<kNan>(nodes, at, x);
            });
      });
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
