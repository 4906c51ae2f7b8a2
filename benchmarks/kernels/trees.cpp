// Walks through forests of complete trees.
#include <limits>

#include "bench.h"
#include "kernels/tree.h"

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

}  // namespace

void bench_trees(const Bench& bench) {
  walks<float>(bench, kernels::walk_rows_f32, kernels::walk_trees_f32);
  walks<double>(bench, kernels::walk_rows_f64, kernels::walk_trees_f64);
}

}  // namespace sdx::bench
