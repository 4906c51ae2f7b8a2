// Tree walks of every tier against one that takes a node at a time.
#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>
#include "kernels/kernel.h"
#include "kernels/tree.h"

namespace sdx::kernels {
namespace {

// Complete trees over 3 features, thresholds from a small generator, every second split sending NaN
// low.
template <class T>
struct Forest {
  std::vector<TreeNode<T>> nodes;
  std::vector<uint32_t> roots, depths;

  void grow(uint32_t depth, uint32_t seed) {
    const auto base = static_cast<uint32_t>(nodes.size());
    const uint32_t branches = (1u << depth) - 1;
    roots.push_back(base);
    depths.push_back(depth);
    for (uint32_t i = 0; i < 2 * branches + 1; ++i) {
      seed = seed * 1664525u + 1013904223u;
      const T threshold = static_cast<T>(seed >> 28) / 4 - 2;
      const uint32_t nan_low = i % 2 ? kNanGoesLow : 0;
      if (i < branches) {
        nodes.push_back({threshold, (seed >> 8) % 3 | nan_low, base + 2 * i + 1});
      } else {
        nodes.push_back({std::numeric_limits<T>::quiet_NaN(), 0, base + i - 1});
      }
    }
  }

  uint32_t walk(std::size_t tree, const T* row) const {
    uint32_t at = roots[tree];
    while (!std::isnan(nodes[at].threshold)) {
      const T value = row[nodes[at].feature & ~kNanGoesLow];
      const bool low =
          std::isnan(value) ? (nodes[at].feature & kNanGoesLow) != 0 : value <= nodes[at].threshold;
      at = nodes[at].child + (low ? 0 : 1);
    }
    return at;
  }
};

template <class T, class Rows, class Trees>
void compare(const Rows& walk_rows, const Trees& walk_trees) {
  Forest<T> forest;
  for (uint32_t t = 0; t < 21; ++t) forest.grow(t % 7, t + 1);
  constexpr std::size_t kRows = 37, kStride = 4;
  std::vector<T> x(kRows * kStride);
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = i % 11 == 0 ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(i * 7 % 17) / 4 - 2;
  const TreeNodes<T> trees{forest.nodes.data(), forest.roots.data(), forest.depths.data(), true};
  for (std::size_t v = 0; v < kIsaCount; ++v) {
    if (walk_rows.variants[v].isa > host_isa()) continue;
    CAPTURE(isa_name(walk_rows.variants[v].isa));
    for (std::size_t rows = 0; rows <= kRows; ++rows)
      for (std::size_t tree = 0; tree < forest.roots.size(); ++tree) {
        std::vector<uint32_t> ends(rows + 1, 7);
        walk_rows.variants[v].run(trees, tree, x.data(), kStride, rows, ends.data());
        for (std::size_t row = 0; row < rows; ++row)
          REQUIRE(ends[row] == forest.walk(tree, &x[row * kStride]));
        REQUIRE(ends[rows] == 7);
      }
    for (std::size_t count = 0; count + 1 < forest.roots.size(); ++count) {
      std::vector<uint32_t> ends(count + 1, 7);
      walk_trees.variants[v].run(trees, 1, count, x.data(), ends.data());
      for (std::size_t i = 0; i < count; ++i) REQUIRE(ends[i] == forest.walk(1 + i, x.data()));
      REQUIRE(ends[count] == 7);
    }
  }
}

}  // namespace

TEST_CASE("rows and trees end in the same leaves on every tier") {
  compare<float>(walk_rows_f32, walk_trees_f32);
  compare<double>(walk_rows_f64, walk_trees_f64);
}

}  // namespace sdx::kernels
