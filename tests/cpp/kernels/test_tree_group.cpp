// Trees for groups of rows, on every tier, against a walk that takes a node at a time.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/tree_group.h"

namespace sdx::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Random trees of both layouts over 3 slots; every third split sends NaN low.
struct Forest {
  std::vector<SlotNode> nodes;
  std::vector<uint32_t> roots, depths;
  std::vector<LeafTest> tests;
  std::vector<LeafWord> words;
  std::vector<uint32_t> first_word{0}, first_leaf;
  std::vector<uint32_t> leaf_nodes;  // by leaf: its node
  uint32_t seed = 1;

  uint32_t random() { return (seed = seed * 1664525u + 1013904223u) >> 8; }

  void grow(std::size_t leaves) {
    const std::size_t root = nodes.size();
    roots.push_back(static_cast<uint32_t>(root));
    nodes.push_back({});
    std::vector<uint32_t> open{0}, level{0};
    uint32_t depth = 0;
    while (open.size() < leaves) {
      const std::size_t pick = random() % open.size();
      const uint32_t at = open[pick], child = static_cast<uint32_t>(nodes.size() - root);
      const float threshold = static_cast<float>(random() % 16) / 4 - 2;
      nodes[root + at] = {threshold, static_cast<int32_t>((child - at) << 16 | random() % 3 << 7 |
                                                          (random() % 3 == 0))};
      nodes.resize(nodes.size() + 2);
      level.resize(child + 2, level[at] + 1);
      depth = std::max(depth, level[child]);
      open[pick] = child;
      open.push_back(child + 1);
    }
    depths.push_back(depth);
    for (const uint32_t at : open) nodes[root + at] = {kNan, -0x10000};
    first_leaf.push_back(static_cast<uint32_t>(leaf_nodes.size()));
    struct Lower {
      uint32_t at;
      std::size_t begin, end;
    };
    std::vector<Lower> branches;
    visit(root, 0, branches);
    const std::size_t count = leaf_nodes.size() - first_leaf.back();
    for (std::size_t word = (count + 31) / 32; word-- > 0;) {
      LeafWord ends{};
      for (const uint32_t nan_low : {0u, 1u}) {
        for (const auto& [at, begin, end] : branches) {
          const SlotNode& node = nodes[root + at];
          uint32_t bits = 0;
          for (std::size_t leaf = begin; leaf < end; ++leaf)
            if ((leaf - first_leaf.back()) / 32 == word)
              bits |= 1u << ((leaf - first_leaf.back()) % 32);
          if (bits && (node.bits & 1) == static_cast<int32_t>(nan_low))
            tests.push_back({node.threshold, uint32_t(node.bits >> 7 & 511) * 32, bits});
        }
        (nan_low ? ends.nan_low_end : ends.nan_high_end) = static_cast<uint32_t>(tests.size());
      }
      words.push_back(ends);
    }
    first_word.push_back(static_cast<uint32_t>(words.size()));
  }

  template <class Branches>
  void visit(std::size_t root, uint32_t at, Branches& branches) {
    const SlotNode node = nodes[root + at];
    if (std::isnan(node.threshold)) {
      leaf_nodes.push_back(static_cast<uint32_t>(root) + at);
      return;
    }
    const std::size_t begin = leaf_nodes.size();
    const uint32_t child = at + (node.bits >> 16);
    visit(root, child, branches);
    branches.push_back({at, begin, leaf_nodes.size()});
    visit(root, child + 1, branches);
  }

  uint32_t walk(std::size_t tree, const float* x) const {
    uint32_t at = roots[tree];
    while (!std::isnan(nodes[at].threshold)) {
      const SlotNode& node = nodes[at];
      const float value = x[(node.bits >> 7 & 511) * kGroupRows];
      const bool low = std::isnan(value) ? (node.bits & 1) != 0 : value <= node.threshold;
      at += (node.bits >> 16) + (low ? 0 : 1);
    }
    return at;
  }

  SlotNodes slot_nodes() const { return {nodes.data(), roots.data(), depths.data(), true}; }
  LeafTests leaf_tests() const {
    return {tests.data(), words.data(), first_word.data(), first_leaf.data()};
  }
};

struct Fixture {
  Forest forest;
  std::vector<float> x;

  Fixture() : x(3 * kGroupRows) {
    for (const std::size_t leaves : {2, 3, 31, 32, 33, 40, 63, 64, 90, 7, 5, 64, 32, 2, 17, 4, 2})
      forest.grow(leaves);
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = i % 11 == 0 ? kNan : static_cast<float>(i * 7 % 17) / 4 - 2;
  }
};

template <class Fn, class Check>
void on_every_tier(const Kernel<Fn, kIsaCount>& kernel, const Check& check) {
  for (const auto& variant : kernel.variants) {
    if (variant.isa > host_isa()) continue;
    CAPTURE(isa_name(variant.isa));
    check(variant.run);
  }
}

}  // namespace

TEST_CASE("tests of leaves find where rows end") {
  const Fixture fixture;
  const Forest& forest = fixture.forest;
  on_every_tier(find_leaves, [&](FindLeaves* run) {
    for (std::size_t rows = 0; rows <= kGroupRows; ++rows)
      for (std::size_t tree = 0; tree < forest.roots.size(); ++tree) {
        std::vector<uint32_t> ends(kGroupRows);
        run(forest.leaf_tests(), tree, fixture.x.data(), rows, ends.data());
        for (std::size_t i = 0; i < rows; ++i)
          REQUIRE(forest.leaf_nodes[ends[i]] == forest.walk(tree, &fixture.x[i]));
      }
  });
}

TEST_CASE("weights of the leaves where rows end are summed in the order of trees") {
  const Fixture fixture;
  const Forest& forest = fixture.forest;
  std::vector<float> weights(forest.leaf_nodes.size());
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 1 / static_cast<float>(i + 3);
  on_every_tier(add_leaves, [&](AddLeaves* run) {
    for (std::size_t rows = 1; rows <= kGroupRows; ++rows) {
      std::vector<float> sums(kGroupRows, 0.5f);
      run(forest.leaf_tests(), 1, 12, fixture.x.data(), rows, weights.data(), sums.data());
      for (std::size_t i = 0; i < rows; ++i) {
        float expected = 0.5f;
        for (std::size_t tree = 1; tree < 12; ++tree) {
          std::size_t leaf = forest.first_leaf[tree];
          while (forest.leaf_nodes[leaf] != forest.walk(tree, &fixture.x[i])) ++leaf;
          expected += weights[leaf];
        }
        REQUIRE(sums[i] == expected);
      }
    }
  });
}

TEST_CASE("walks of groups and of forests end in the same leaves") {
  const Fixture fixture;
  const Forest& forest = fixture.forest;
  on_every_tier(walk_group, [&](WalkGroup* run) {
    for (std::size_t rows = 0; rows <= kGroupRows; ++rows)
      for (std::size_t tree = 0; tree < forest.roots.size(); ++tree) {
        std::vector<uint32_t> ends(rows + 1, 7);
        run(forest.slot_nodes(), tree, fixture.x.data(), rows, ends.data());
        for (std::size_t i = 0; i < rows; ++i) REQUIRE(ends[i] == forest.walk(tree, &fixture.x[i]));
        REQUIRE(ends[rows] == 7);
      }
  });
  on_every_tier(walk_forest, [&](WalkForest* run) {
    for (std::size_t count = 0; count < forest.roots.size(); ++count) {
      std::vector<uint32_t> ends(count + 1, 7);
      run(forest.slot_nodes(), 1, count, fixture.x.data(), ends.data());
      for (std::size_t i = 0; i < count; ++i)
        REQUIRE(ends[i] == forest.walk(1 + i, fixture.x.data()));
      REQUIRE(ends[count] == 7);
    }
  });
}

}  // namespace sdx::kernels
