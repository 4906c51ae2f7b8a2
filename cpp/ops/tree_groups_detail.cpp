// Lays trees out for groups of rows and scores those.
#include <algorithm>
#include <cmath>

#include "kernels/transpose.h"
#include "ops/tree_groups.h"

namespace sdx::ops {
namespace {

using kernels::kGroupRows;
using kernels::kMaxSlots;
using kernels::kNanGoesLow;
using Node = kernels::TreeNode<float>;

constexpr int64_t kRows = kGroupRows;
constexpr std::size_t kMaxTestedLeaves = 64;  // more of them are found faster by walking
constexpr std::size_t kRunTests = 2048;       // of a run: those stay in the cache while groups pass

// The leaves below a node from low to high, and its branches with the leaves of their lower half.
struct Leaves {
  struct Branch {
    uint32_t at;
    std::size_t begin, end;
  };
  std::vector<uint32_t> leaves;
  std::vector<Branch> branches;

  // False where there are too many.
  bool visit(std::span<const Node> nodes, uint32_t at) {
    const Node& node = nodes[at];
    if (node.child == at - 1) {
      leaves.push_back(at);
      return leaves.size() <= kMaxTestedLeaves;
    }
    const std::size_t begin = leaves.size();
    if (!visit(nodes, node.child)) return false;
    branches.push_back({at, begin, leaves.size()});
    return visit(nodes, node.child + 1);
  }
};

// The bits of word `word` that stand for leaves [begin, end).
uint32_t bits_of(std::size_t begin, std::size_t end, std::size_t word) {
  uint32_t bits = 0;
  for (std::size_t leaf = begin; leaf < end; ++leaf)
    if (leaf / 32 == word) bits |= 1u << (leaf % 32);
  return bits;
}

bool nan_goes_low(const Node& node) { return (node.feature & kNanGoesLow) != 0; }

bool has_nan(const float* x, int64_t count) {
  bool found = false;
  for (int64_t i = 0; i < count; ++i) found |= x[i] != x[i];
  return found;
}

}  // namespace

bool TreeGroups::choose_slots(const Source& source) {
  slots_ = source.columns;
  if (slots_ <= static_cast<int64_t>(kMaxSlots)) return true;
  for (const Node& node : source.nodes) columns_.push_back(node.feature & ~kNanGoesLow);
  std::sort(columns_.begin(), columns_.end());
  columns_.erase(std::unique(columns_.begin(), columns_.end()), columns_.end());
  columns_.shrink_to_fit();
  slots_ = static_cast<int64_t>(columns_.size());
  return columns_.size() <= kMaxSlots;
}

uint32_t TreeGroups::slot_of(uint32_t feature) const {
  const uint32_t column = feature & ~kNanGoesLow;
  if (columns_.empty()) return column;
  return static_cast<uint32_t>(std::lower_bound(columns_.begin(), columns_.end(), column) -
                               columns_.begin());
}

uint32_t TreeGroups::first_test(uint32_t tree) const {
  return first_word_[tree] == 0 ? 0 : words_[first_word_[tree] - 1].nan_low_end;
}

// Turns a tree of few leaves into tests; false where it has many.
bool TreeGroups::add_tests(const Source& source, std::size_t tree) {
  Leaves found;
  if (source.depths[tree] >= kMaxTestedLeaves || !found.visit(source.nodes, source.roots[tree]))
    return false;
  for (const auto& branch : found.branches)
    if (std::isnan(source.nodes[branch.at].threshold) && nan_goes_low(source.nodes[branch.at]))
      return false;  // the one comparison that a number fails and NaN passes
  for (std::size_t word = (found.leaves.size() + 31) / 32; word-- > 0;) {
    const auto add = [&](bool nan_low) {
      for (const auto& [at, begin, end] : found.branches) {
        const Node& node = source.nodes[at];
        const uint32_t bits = bits_of(begin, end, word);
        if (bits == 0 || nan_goes_low(node) != nan_low) continue;
        tests_.push_back({node.threshold, slot_of(node.feature) * uint32_t{kGroupRows}, bits});
      }
      return static_cast<uint32_t>(tests_.size());
    };
    const uint32_t nan_high_end = add(false);
    words_.push_back({nan_high_end, add(true)});
  }
  for (const uint32_t leaf : found.leaves) {
    leaf_nodes_.push_back(leaf);
    weights_.push_back(source.weight_at[leaf]);
  }
  return true;
}

void TreeGroups::add_run(const Source& source, uint32_t tree, bool by_tests) {
  if (by_tests && source.targets[tree] >= 0 && !runs_.empty()) {
    Run& run = runs_.back();
    if (run.by_tests && run.target == source.targets[tree] &&
        tests_.size() - first_test(run.begin) <= kRunTests) {
      run.end = tree + 1;
      return;
    }
  }
  runs_.push_back({tree, tree + 1, by_tests, source.targets[tree]});
}

std::unique_ptr<TreeGroups> TreeGroups::make(const Source& source) {
  auto made = std::make_unique<TreeGroups>();
  TreeGroups& groups = *made;
  if (!groups.choose_slots(source)) return nullptr;
  groups.nodes_.reserve(source.nodes.size());
  groups.roots_.assign(source.roots.begin(), source.roots.end());
  groups.depths_.assign(source.depths.begin(), source.depths.end());
  std::size_t tested = 0;
  for (uint32_t tree = 0; tree < source.roots.size(); ++tree) {
    const uint32_t root = source.roots[tree];
    const std::size_t end =
        tree + 1 < source.roots.size() ? source.roots[tree + 1] : source.nodes.size();
    if (end - root > kernels::kMaxSlotNodes) return nullptr;
    for (std::size_t at = root; at < end; ++at) {
      const Node& node = source.nodes[at];
      const uint32_t slot = groups.slots_ == 0 ? 0 : groups.slot_of(node.feature);
      groups.nodes_.push_back(
          {node.threshold, static_cast<int32_t>((node.child - static_cast<uint32_t>(at)) << 16 |
                                                slot << 7 | node.feature >> 31)});
    }
    groups.first_word_.push_back(static_cast<uint32_t>(groups.words_.size()));
    groups.first_leaf_.push_back(static_cast<uint32_t>(groups.leaf_nodes_.size()));
    const std::size_t before = groups.tests_.size();
    const bool by_tests = groups.add_tests(source, tree);
    tested += by_tests;
    groups.row_cost_ += by_tests ? 1 + 0.04 * static_cast<double>(groups.tests_.size() - before)
                                 : 4 + 1.0 * source.depths[tree];
    groups.add_run(source, tree, by_tests);
  }
  groups.first_word_.push_back(static_cast<uint32_t>(groups.words_.size()));
  groups.few_rows_ = 2 * tested > source.roots.size() ? 5 : 8;
  return made;
}

// A group of up to kGroupRows rows, features side by side; lanes up to the next multiple of 16 are
// filled up.
void TreeGroups::fill(const float* x, int64_t columns, int64_t rows, float* to) const {
  constexpr int64_t kLaneStep = 16;
  if (rows == 1) {
    for (int64_t s = 0; s < slots_; ++s) to[s * kRows] = x[columns_.empty() ? s : columns_[s]];
    return;
  }
  if (columns_.empty()) {
    kernels::transpose_32.resolve()(rows, slots_, reinterpret_cast<const uint32_t*>(x), columns,
                                    reinterpret_cast<uint32_t*>(to), kRows);
  } else {
    for (int64_t s = 0; s < slots_; ++s)
      for (int64_t i = 0; i < rows; ++i) to[s * kRows + i] = x[i * columns + columns_[s]];
  }
  const int64_t padded = (rows + kLaneStep - 1) / kLaneStep * kLaneStep;
  if (rows < padded)
    for (int64_t s = 0; s < slots_; ++s)
      std::fill(to + s * kRows + rows, to + s * kRows + padded, 0.0f);
}

void TreeGroups::score_one(const kernels::SlotNodes& nodes, const float* x, float* scores,
                           Vote vote) const {
  constexpr int64_t kTrees = 256;
  const auto walk = kernels::walk_forest.resolve();
  const auto trees = static_cast<int64_t>(roots_.size());
  uint32_t ends[kTrees];
  for (int64_t first = 0; first < trees; first += kTrees) {
    const int64_t count = std::min(kTrees, trees - first);
    walk(nodes, first, count, x, ends);
    vote(first, count, ends, 1, scores);
  }
}

void TreeGroups::score_run(const Run& run, const kernels::SlotNodes& nodes, const float* x,
                           int64_t rows, int64_t targets, float* scores, Vote vote) const {
  const kernels::LeafTests tests{tests_.data(), words_.data(), first_word_.data(),
                                 first_leaf_.data()};
  if (run.by_tests && run.target >= 0) {
    alignas(64) float sums[kRows] = {};
    float* column = scores + run.target;
    for (int64_t i = 0; i < rows; ++i) sums[i] = column[i * targets];
    kernels::add_leaves.resolve()(tests, run.begin, run.end, x, rows, weights_.data(), sums);
    for (int64_t i = 0; i < rows; ++i) column[i * targets] = sums[i];
    return;
  }
  alignas(64) uint32_t ends[kRows];
  if (run.by_tests) {
    kernels::find_leaves.resolve()(tests, run.begin, x, rows, ends);
    for (int64_t i = 0; i < rows; ++i) ends[i] = leaf_nodes_[ends[i]];
  } else {
    kernels::walk_group.resolve()(nodes, run.begin, x, rows, ends);
  }
  vote(run.begin, 1, ends, rows, scores);
}

void TreeGroups::score(const float* x, int64_t columns, int64_t rows, bool any_nan_goes_low,
                       int64_t targets, float* scores, Vote vote) const {
  constexpr int64_t kMaxGroups = 8;
  kernels::SlotNodes nodes{nodes_.data(), roots_.data(), depths_.data(), false};
  alignas(64) float buffer[kMaxSlots * kGroupRows];
  const int64_t group_size = std::max<int64_t>(slots_, 1) * kRows;
  const int64_t groups = std::min(kMaxGroups, int64_t{kMaxSlots} * kRows / group_size);
  for (int64_t begin = 0; begin < rows; begin += groups * kRows) {
    const int64_t count = std::min(groups * kRows, rows - begin);
    nodes.any_nan_goes_low = any_nan_goes_low && has_nan(x + begin * columns, count * columns);
    if (count < few_rows_) {
      for (int64_t row = begin; row < begin + count; ++row) {
        fill(x + row * columns, columns, 1, buffer);
        score_one(nodes, buffer, scores + row * targets, vote);
      }
      continue;
    }
    for (int64_t i = 0; i < count; i += kRows)
      fill(x + (begin + i) * columns, columns, std::min(kRows, count - i),
           buffer + i / kRows * group_size);
    for (const Run& run : runs_)
      for (int64_t i = 0; i < count; i += kRows)
        score_run(run, nodes, buffer + i / kRows * group_size, std::min(kRows, count - i), targets,
                  scores + (begin + i) * targets, vote);
  }
}

}  // namespace sdx::ops
