// Walks through forests of complete trees.
#include <limits>

#include "bench.h"
#include "kernels/tree.h"
#include "kernels/tree_group.h"

namespace sdx::bench {
namespace {

constexpr std::size_t kTrees = 100, kDepth = 8, kFeatures = 32;
constexpr std::size_t kNodes = (std::size_t{2} << kDepth) - 1;

// Every tree complete, level by level, so that the children of the i-th node are 2 i + 1 and 2 i
// + 2.
template <class T>
struct Forest {
  std::vector<kernels::TreeNode<T>> nodes = std::vector<kernels::TreeNode<T>>(kTrees * kNodes);
  std::vector<uint32_t> roots, depths;

  Forest() {
    auto thresholds = random_floats(nodes.size());
    for (std::size_t tree = 0; tree < kTrees; ++tree) {
      const std::size_t root = tree * kNodes;
      roots.push_back(static_cast<uint32_t>(root));
      depths.push_back(kDepth);
      for (std::size_t i = 0; i < kNodes; ++i) {
        const std::size_t at = root + i;
        const bool leaf = 2 * i + 1 >= kNodes;
        nodes[at].threshold = leaf ? std::numeric_limits<T>::quiet_NaN() : T(thresholds.data()[at]);
        nodes[at].feature = leaf ? 0 : static_cast<uint32_t>(at * 7 % kFeatures);
        nodes[at].child = static_cast<uint32_t>(leaf ? at - 1 : root + 2 * i + 1);
      }
    }
  }
  kernels::TreeNodes<T> view() const { return {nodes.data(), roots.data(), depths.data(), false}; }
};

template <class T>
void walks(const Bench& bench,
           const kernels::Kernel<kernels::WalkRows<T>, kernels::kIsaCount>& rows_kernel,
           const kernels::Kernel<kernels::WalkTrees<T>, kernels::kIsaCount>& trees_kernel) {
  constexpr std::size_t kRows = 1000;
  const Forest<T> forest;
  auto floats = random_floats(kRows * kFeatures);
  std::vector<T> x(floats.data(), floats.data() + kRows * kFeatures);
  std::vector<uint32_t> ends(kRows);
  const auto work = [](std::size_t rows) {
    const double visits = static_cast<double>(rows * kTrees * kDepth);
    return Work{visits, visits * (sizeof(kernels::TreeNode<T>) + sizeof(T)), true};
  };
  for (const auto& [isa, run] : rows_kernel.variants)
    bench.time(rows_kernel.name, isa, "1000 rows, 100 trees", work(kRows), [&, run = run] {
      for (std::size_t tree = 0; tree < kTrees; ++tree)
        run(forest.view(), tree, x.data(), kFeatures, kRows, ends.data());
    });
  for (const auto& [isa, run] : trees_kernel.variants)
    bench.time(trees_kernel.name, isa, "1 row, 100 trees", work(1),
               [&, run = run] { run(forest.view(), 0, kTrees, x.data(), ends.data()); });
}

// The same trees in the layout for groups of rows.
struct SlotForest {
  std::vector<kernels::SlotNode> nodes = std::vector<kernels::SlotNode>(kTrees * kNodes);
  std::vector<uint32_t> roots, depths;

  SlotForest() {
    auto thresholds = random_floats(nodes.size());
    for (std::size_t tree = 0; tree < kTrees; ++tree) {
      roots.push_back(static_cast<uint32_t>(tree * kNodes));
      depths.push_back(kDepth);
      for (std::size_t i = 0; i < kNodes; ++i) {
        const std::size_t at = tree * kNodes + i;
        const auto distance = static_cast<int32_t>(i + 1),
                   slot = static_cast<int32_t>(at * 7 % kFeatures);
        const bool leaf = 2 * i + 1 >= kNodes;
        nodes[at] = leaf ? kernels::SlotNode{std::numeric_limits<float>::quiet_NaN(), -0x10000}
                         : kernels::SlotNode{thresholds.data()[at], distance << 16 | slot << 7};
      }
    }
  }
  kernels::SlotNodes view() const { return {nodes.data(), roots.data(), depths.data(), false}; }
};

// Complete trees of 32 leaves as tests of their leaves.
struct LeafForest {
  static constexpr std::size_t kLeaves = 32;
  std::vector<kernels::LeafTest> tests;
  std::vector<kernels::LeafWord> words;
  std::vector<uint32_t> first_word{0}, first_leaf;

  LeafForest() {
    auto thresholds = random_floats(kTrees * kLeaves);
    for (std::size_t tree = 0; tree < kTrees; ++tree) {
      for (std::size_t below = kLeaves / 2; below > 0; below /= 2)
        for (std::size_t first = 0; first < kLeaves; first += 2 * below)
          tests.push_back(
              {thresholds.data()[tests.size()],
               static_cast<uint32_t>(tests.size() * 7 % kFeatures * kernels::kGroupRows),
               ((uint32_t{1} << below) - 1) << first});
      const auto end = static_cast<uint32_t>(tests.size());
      words.push_back({end, end});
      first_word.push_back(static_cast<uint32_t>(words.size()));
      first_leaf.push_back(static_cast<uint32_t>(tree * kLeaves));
    }
  }
  kernels::LeafTests view() const {
    return {tests.data(), words.data(), first_word.data(), first_leaf.data()};
  }
};

void groups(const Bench& bench) {
  constexpr std::size_t kRows = kernels::kGroupRows;
  const LeafForest leaves;
  const SlotForest forest;
  auto x = random_floats(kFeatures * kRows);
  auto weights = random_floats(kTrees * LeafForest::kLeaves);
  Buffer<float> sums(kRows);
  std::vector<uint32_t> ends(kTrees > kRows ? kTrees : kRows);
  const auto walked = [](std::size_t rows) {
    const double visits = static_cast<double>(rows * kTrees * kDepth);
    return Work{visits, visits * (sizeof(kernels::SlotNode) + sizeof(float)), true};
  };
  const double tested = static_cast<double>(leaves.tests.size());
  const Work tests{tested * kRows, tested * (sizeof(kernels::LeafTest) + kRows * sizeof(float)),
                   true};
  for (const auto& [isa, run] : kernels::find_leaves.variants)
    bench.time("find_leaves", isa, "32 rows, 100 trees", tests, [&, run = run] {
      for (std::size_t tree = 0; tree < kTrees; ++tree)
        run(leaves.view(), tree, x.data(), kRows, ends.data());
    });
  for (const auto& [isa, run] : kernels::add_leaves.variants)
    bench.time("add_leaves", isa, "32 rows, 100 trees", tests, [&, run = run] {
      run(leaves.view(), 0, kTrees, x.data(), kRows, weights.data(), sums.data());
    });
  for (const auto& [isa, run] : kernels::walk_group.variants)
    bench.time("walk_group", isa, "32 rows, 100 trees", walked(kRows), [&, run = run] {
      for (std::size_t tree = 0; tree < kTrees; ++tree)
        run(forest.view(), tree, x.data(), kRows, ends.data());
    });
  for (const auto& [isa, run] : kernels::walk_forest.variants)
    bench.time("walk_forest", isa, "1 row, 100 trees", walked(1),
               [&, run = run] { run(forest.view(), 0, kTrees, x.data(), ends.data()); });
}

}  // namespace

void bench_trees(const Bench& bench) {
  groups(bench);
  walks<float>(bench, kernels::walk_rows_f32, kernels::walk_trees_f32);
  walks<double>(bench, kernels::walk_rows_f64, kernels::walk_trees_f64);
}

}  // namespace sdx::bench
