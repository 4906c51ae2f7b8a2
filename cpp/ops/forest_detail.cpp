// Lays trees out for walking and counts their votes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "ops/tree_model.h"

namespace sdx::ops {
namespace {

using kernels::kNanGoesLow;

// A comparison x <= threshold: what all kinds of splits come down to.
template <class T>
struct Comparison {
  T threshold;
  uint32_t feature;
  int64_t low, high;  // comparisons, or ~leaf
};

template <class T>
T next_below(T value) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  // Nothing is below minus infinity: NaN compares false with everything.
  if (value == -kInfinity) return std::numeric_limits<T>::quiet_NaN();
  return std::nextafter(value, -kInfinity);
}

// Turns splits into comparisons; comparison i stands for split i, helpers come after them.
template <class T>
class Comparisons {
 public:
  explicit Comparisons(const TreeModel& model) : items(model.splits.size()) {
    for (std::size_t i = 0; i < model.splits.size(); ++i) {
      const Split& split = model.splits[i];
      const T threshold = static_cast<T>(split.threshold);
      const uint32_t nan_low = split.nan_goes_true ? kNanGoesLow : 0;
      const bool exclusive = split.mode == SplitMode::lt || split.mode == SplitMode::gte;
      const T limit = exclusive ? next_below(threshold) : threshold;
      switch (split.mode) {
        case SplitMode::leq:
        case SplitMode::lt:
          items[i] = {limit, split.feature | nan_low, split.when_true, split.when_false};
          break;
        case SplitMode::gte:
        case SplitMode::gt:
          // NaN as a threshold is never reached, not even from above.
          items[i] = {std::isnan(threshold) ? std::numeric_limits<T>::infinity() : limit,
                      split.feature | (nan_low ^ kNanGoesLow), split.when_false, split.when_true};
          break;
        case SplitMode::eq:
          find_in({threshold}, split, split.when_true, split.when_false, i);
          break;
        case SplitMode::neq:
          find_in({threshold}, split, split.when_false, split.when_true, i);
          break;
        case SplitMode::member: {
          const auto first = model.members.begin() + split.first_member;
          find_in({first, first + split.member_count}, split, split.when_true, split.when_false, i);
          break;
        }
      }
    }
  }

  std::vector<Comparison<T>> items;

 private:
  struct Interval {
    T upper;
    int64_t target;
  };

  // A balanced search for x among `members`, starting at comparison `at`.
  void find_in(std::vector<T> members, const Split& split, int64_t found, int64_t other,
               std::size_t at) {
    std::erase_if(members, [](T member) { return std::isnan(member); });
    std::sort(members.begin(), members.end());
    std::vector<Interval> intervals;
    for (const T member : members) {
      const T below = next_below(member);
      if (!std::isnan(below) && (intervals.empty() || intervals.back().upper < below))
        intervals.push_back({below, other});
      intervals.push_back({member, found});
    }
    const uint32_t feature = split.feature;
    const int64_t search = search_tree(intervals, 0, intervals.size(), other, feature);
    // NaN is above everything here, with `other`; where it must not be, one comparison sorts it
    // out.
    const int64_t nan_target = split.nan_goes_true ? split.when_true : other;
    items[at] = {std::numeric_limits<T>::infinity(), feature, search,
                 split.mode == SplitMode::neq ? split.when_true : nan_target};
  }

  int64_t search_tree(const std::vector<Interval>& intervals, std::size_t begin, std::size_t end,
                      int64_t last, uint32_t feature) {
    if (begin == end) return begin == intervals.size() ? last : intervals[begin].target;
    const std::size_t middle = begin + (end - begin) / 2;
    const int64_t low = search_tree(intervals, begin, middle, last, feature);
    const int64_t high = search_tree(intervals, middle + 1, end, last, feature);
    items.push_back({intervals[middle].upper, feature, low, high});
    return static_cast<int64_t>(items.size()) - 1;
  }
};

// Longest paths from every comparison; throws where trees loop.
template <class T>
std::vector<uint32_t> path_lengths(const std::vector<Comparison<T>>& items) {
  constexpr uint32_t kNew = 0xffffffff, kOpen = 0xfffffffe;
  std::vector<uint32_t> lengths(items.size(), kNew);
  std::vector<int64_t> stack;
  for (std::size_t start = 0; start < items.size(); ++start) {
    if (lengths[start] != kNew) continue;
    stack.push_back(static_cast<int64_t>(start));
    while (!stack.empty()) {
      const int64_t at = stack.back();
      const int64_t children[] = {items[at].low, items[at].high};
      if (lengths[at] == kNew) {
        lengths[at] = kOpen;
        for (const int64_t child : children) {
          if (child < 0) continue;
          check(lengths[child] != kOpen, "the branches of a tree form a cycle");
          if (lengths[child] == kNew) stack.push_back(child);
        }
        continue;
      }
      stack.pop_back();
      if (lengths[at] != kOpen) continue;
      uint32_t longest = 0;
      for (const int64_t child : children)
        if (child >= 0) longest = std::max(longest, lengths[child]);
      lengths[at] = longest + 1;
    }
  }
  return lengths;
}

template <class T>
bool has_nan(const T* x, int64_t count) {
  bool found = false;
  for (int64_t i = 0; i < count; ++i) found |= x[i] != x[i];
  return found;
}

}  // namespace

template <class T>
Forest<T>::Forest(TreeModel model)
    : sets_(model), aggregate_(model.aggregate), targets_(model.targets) {
  if constexpr (std::is_same_v<T, float>) {
    walk_rows_ = kernels::walk_rows_f32.resolve();
    walk_trees_ = kernels::walk_trees_f32.resolve();
  } else {
    walk_rows_ = kernels::walk_rows_f64.resolve();
    walk_trees_ = kernels::walk_trees_f64.resolve();
  }
  lay_out(model);
  store_votes(model);
  group();
  columns_ = sets_.columns();
}

template <class T>
void Forest<T>::lay_out(const TreeModel& model) {
  const std::vector<Comparison<T>> items = Comparisons<T>(model).items;
  const std::vector<uint32_t> lengths = path_lengths(items);
  for (const Comparison<T>& item : items) {
    columns_ = std::max<int64_t>(columns_, (item.feature & ~kNanGoesLow) + 1);
    any_nan_goes_low_ |= (item.feature & kNanGoesLow) != 0;
  }
  // Both children of a comparison lie side by side. A comparison with several parents is copied,
  // its children are not.
  constexpr uint32_t kUnplaced = 0xffffffff;
  std::vector<uint32_t> children_of(items.size(), kUnplaced), owner(items.size(), 0);
  struct Task {
    int64_t reference;
    uint32_t position;
  };
  std::vector<Task> tasks;
  nodes_.reserve(2 * items.size() + model.roots.size());
  leaf_at_.reserve(nodes_.capacity());
  leaf_positions_.reserve(model.leaf_count());
  for (const int64_t root : model.roots) {
    Tree tree{true, 0};
    roots_.push_back(static_cast<uint32_t>(nodes_.size()));
    depths_.push_back(root < 0 ? 0 : lengths[root]);
    first_leaf_.push_back(static_cast<uint32_t>(leaf_positions_.size()));
    tasks.assign(1, {root, roots_.back()});
    nodes_.emplace_back();
    leaf_at_.push_back(0);
    for (std::size_t t = 0; t < tasks.size(); ++t) {  // breadth first: what is walked most is close
      const auto [reference, position] = tasks[t];
      if (reference < 0) {
        nodes_[position] = {std::numeric_limits<T>::quiet_NaN(), 0, position - 1};
        leaf_at_[position] = static_cast<uint32_t>(~reference);
        leaf_positions_.push_back(position);
        continue;
      }
      const Comparison<T>& item = items[reference];
      uint32_t& children = children_of[reference];
      if (children == kUnplaced) {
        children = static_cast<uint32_t>(nodes_.size());
        if (nodes_.size() > 0x7ffffff0)
          fail(ErrorKind::unsupported, "the ensemble has too many nodes");
        nodes_.resize(nodes_.size() + 2);
        leaf_at_.resize(nodes_.size());
        tasks.push_back({item.low, children});
        tasks.push_back({item.high, children + 1});
        owner[reference] = static_cast<uint32_t>(trees_.size());
      } else {
        shares_nodes_ = true;
        if (owner[reference] != trees_.size()) tree.single = false;  // leaves of another tree
      }
      nodes_[position] = {item.threshold, item.feature, children};
    }
    const double leaves = static_cast<double>(leaf_positions_.size() - first_leaf_.back());
    row_cost_ += 3 + std::min<double>(depths_.back(), 1.5 * std::log2(leaves + 1));
    trees_.push_back(tree);
  }
  first_leaf_.push_back(static_cast<uint32_t>(leaf_positions_.size()));
}

template <class T>
void Forest<T>::store_votes(const TreeModel& model) {
  const bool sums = aggregate_ == Aggregate::sum || aggregate_ == Aggregate::average;
  weight_at_.resize(nodes_.size());
  for (std::size_t t = 0; t < roots_.size(); ++t) {
    Tree& tree = trees_[t];
    tree.single &= sums;
    bool voted = false;
    for (uint32_t i = first_leaf_[t]; i < first_leaf_[t + 1]; ++i) {
      const std::span<const Vote> votes = model.votes_of(leaf_at_[leaf_positions_[i]]);
      if (votes.empty()) continue;
      if (votes.size() > 1 || (voted && votes[0].target != tree.target)) tree.single = false;
      tree.target = votes[0].target;
      voted = true;
      weight_at_[leaf_positions_[i]] = static_cast<T>(votes[0].weight);
    }
  }
  if (std::all_of(trees_.begin(), trees_.end(), [](const Tree& tree) { return tree.single; })) {
    leaf_at_ = {};
  } else {
    votes_.reserve(model.votes.size());
    for (std::size_t leaf = 0; leaf < model.leaf_count(); ++leaf) {
      first_vote_.push_back(static_cast<uint32_t>(votes_.size()));
      for (const Vote& vote : model.votes_of(leaf))
        if (!sums || vote.weight != 0) votes_.push_back({vote.target, static_cast<T>(vote.weight)});
    }
    first_vote_.push_back(static_cast<uint32_t>(votes_.size()));
  }
  first_leaf_ = leaf_positions_ = {};
}

template <class T>
void Forest<T>::add_votes(const Tree& tree, const uint32_t* ends, int64_t rows, T* scores) const {
  if (tree.single) {
    T* score = scores + tree.target;
    for (int64_t i = 0; i < rows; ++i) score[i * targets_] += weight_at_[ends[i]];
    return;
  }
  for (int64_t i = 0; i < rows; ++i) {
    const uint32_t leaf = leaf_at_[ends[i]];
    for (uint32_t v = first_vote_[leaf]; v < first_vote_[leaf + 1]; ++v)
      scores[i * targets_ + votes_[v].target] += votes_[v].weight;
  }
}

// Scores start as NaN: no vote yet. Those of leaf i begin at i * step.
template <class T>
void Forest<T>::keep_extremes(const uint32_t* ends, int64_t count, T* scores, int64_t step) const {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t leaf = leaf_at_[ends[i]];
    for (uint32_t v = first_vote_[leaf]; v < first_vote_[leaf + 1]; ++v) {
      T& score = scores[i * step + votes_[v].target];
      const T weight = votes_[v].weight;
      const bool better = aggregate_ == Aggregate::min ? weight < score : weight > score;
      if (better || std::isnan(score)) score = weight;
    }
  }
}

template <class T>
void Forest<T>::group() {
  if constexpr (std::is_same_v<T, float>) {
    if (shares_nodes_) return;
    TreeGroups::Source source{nodes_, roots_, depths_, {}, weight_at_, columns_};
    for (const Tree& tree : trees_)
      source.targets.push_back(tree.single ? int64_t{tree.target} : -1);
    groups_ = TreeGroups::make(source);
    if (!groups_) return;
    row_cost_ = groups_->row_cost();
    nodes_ = {};
  }
}

template <class T>
void Forest<T>::vote(int64_t tree, int64_t trees, const uint32_t* ends, int64_t rows,
                     T* scores) const {
  const bool sums = aggregate_ == Aggregate::sum || aggregate_ == Aggregate::average;
  if (!sums) return keep_extremes(ends, trees * rows, scores, trees == 1 ? targets_ : 0);
  if (trees == 1) return add_votes(trees_[tree], ends, rows, scores);
  for (int64_t i = 0; i < trees; ++i) add_votes(trees_[tree + i], ends + i, 1, scores);
}

template <class T>
void Forest<T>::score_rows(const T* x, int64_t columns, int64_t rows, T* scores) const {
  constexpr int64_t kRows = 256;   // a block of features stays in the cache while trees pass
  constexpr int64_t kTrees = 256;  // walked at once where rows are few
  constexpr int64_t kFewRows = 8;
  kernels::TreeNodes<T> trees{nodes_.data(), roots_.data(), depths_.data(), false};
  uint32_t ends[kRows];
  for (int64_t begin = 0; begin < rows; begin += kRows) {
    const int64_t count = std::min(kRows, rows - begin);
    const T* block = x + begin * columns;
    trees.any_nan_goes_low = any_nan_goes_low_ && has_nan(block, count * columns);
    if (count >= kFewRows) {
      for (int64_t t = 0; t < tree_count(); ++t) {
        walk_rows_(trees, t, block, columns, count, ends);
        vote(t, 1, ends, count, scores + begin * targets_);
      }
      continue;
    }
    for (int64_t row = begin; row < begin + count; ++row)
      for (int64_t first = 0; first < tree_count(); first += kTrees) {
        const int64_t walked = std::min(kTrees, tree_count() - first);
        walk_trees_(trees, first, walked, x + row * columns, ends);
        vote(first, walked, ends, 1, scores + row * targets_);
      }
  }
}

template <class T>
void Forest<T>::score_known(const T* x, int64_t columns, int64_t rows, T* scores) const {
  if constexpr (std::is_same_v<T, float>) {
    if (groups_)
      return groups_->score(x, columns, rows, any_nan_goes_low_, targets_, scores,
                            [this](int64_t tree, int64_t trees, const uint32_t* ends, int64_t count,
                                   float* to) { vote(tree, trees, ends, count, to); });
  }
  score_rows(x, columns, rows, scores);
}

template <class T>
void Forest<T>::score(const T* x, int64_t columns, int64_t rows, T* scores) const {
  const bool sums = aggregate_ == Aggregate::sum || aggregate_ == Aggregate::average;
  std::fill(scores, scores + rows * targets_, sums ? T(0) : std::numeric_limits<T>::quiet_NaN());
  if (sets_.empty()) {
    score_known(x, columns, rows, scores);
  } else {
    constexpr int64_t kExtended = 0x20000 / sizeof(T);  // elements: a part of the cache
    alignas(64) T extended[kExtended];
    const int64_t block = kExtended / sets_.width();
    for (int64_t begin = 0; begin < rows; begin += block) {
      const int64_t count = std::min(block, rows - begin);
      sets_.extend(x + begin * columns, columns, count, extended);
      score_known(extended, sets_.width(), count, scores + begin * targets_);
    }
  }
  if (aggregate_ == Aggregate::average && tree_count() > 0) {
    for (int64_t i = 0; i < rows * targets_; ++i) scores[i] /= static_cast<T>(tree_count());
  } else if (!sums) {
    for (int64_t i = 0; i < rows * targets_; ++i)
      if (std::isnan(scores[i])) scores[i] = 0;
  }
}

template class Forest<float>;
template class Forest<double>;

}  // namespace sdx::ops
