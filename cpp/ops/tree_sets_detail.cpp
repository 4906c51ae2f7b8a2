// Finds splits by sets of small integers and computes their columns.
#include <algorithm>
#include <map>

#include "ops/tree_model.h"
#include "ops/tree_sets.h"

namespace sdx::ops {
namespace {

constexpr double kMaxInteger = 1023;
constexpr int64_t kMaxWidth = 4096;  // of a row with its added columns: some fit the cache
constexpr int64_t kNone = -1;

using Set = std::vector<uint32_t>;  // ascending

bool is_small_integer(double value) {
  return value >= 0 && value <= kMaxInteger &&
         value == static_cast<double>(static_cast<int>(value));
}

bool is_test(const Split& split) {
  return split.mode == SplitMode::eq && !split.nan_goes_true && is_small_integer(split.threshold);
}

// By split: the one that is asked next where both test one feature for equality and go to the same
// place when true.
std::vector<int64_t> links(const TreeModel& model) {
  std::vector<int64_t> next(model.splits.size(), kNone);
  for (std::size_t i = 0; i < model.splits.size(); ++i) {
    const Split& split = model.splits[i];
    if (!is_test(split) || split.when_false < 0) continue;
    const Split& other = model.splits[split.when_false];
    if (is_test(other) && other.feature == split.feature && other.when_true == split.when_true)
      next[i] = split.when_false;
  }
  return next;
}

// Makes chains of tests one split each; returns the values of every split's set.
std::vector<Set> take_sets(TreeModel& model) {
  const std::vector<int64_t> next = links(model);
  std::vector<uint32_t> parents(next.size(), 0);
  for (const int64_t other : next)
    if (other != kNone) ++parents[other];
  std::vector<Set> sets(next.size());
  for (std::size_t i = 0; i < next.size(); ++i) {
    Split& split = model.splits[i];
    if (split.mode == SplitMode::member && !split.nan_goes_true) {
      const auto first = model.members.begin() + split.first_member;
      if (std::all_of(first, first + split.member_count, is_small_integer))
        sets[i].assign(first, first + split.member_count);
    } else if (is_test(split) && parents[i] != 1) {
      // A split of several parents starts a chain of its own: so no split is passed twice, not even
      // where links form a cycle.
      int64_t last = static_cast<int64_t>(i);
      sets[i].push_back(static_cast<uint32_t>(split.threshold));
      while (next[last] != kNone && parents[next[last]] == 1) {
        last = next[last];
        sets[i].push_back(static_cast<uint32_t>(model.splits[last].threshold));
      }
      split.when_false = model.splits[last].when_false;
      split.mode = SplitMode::member;
      split.first_member = static_cast<uint32_t>(model.members.size());
      split.member_count = static_cast<uint32_t>(sets[i].size());
      model.members.insert(model.members.end(), sets[i].begin(), sets[i].end());
    }
    std::sort(sets[i].begin(), sets[i].end());
    sets[i].erase(std::unique(sets[i].begin(), sets[i].end()), sets[i].end());
  }
  return sets;
}

}  // namespace

template <class T>
SetColumns<T>::SetColumns(TreeModel& model) {
  for (const Split& split : model.splits)
    columns_ = std::max<int64_t>(columns_, int64_t{split.feature} + 1);
  width_ = columns_;
  const bool any = std::any_of(model.splits.begin(), model.splits.end(), [](const Split& split) {
    return split.mode == SplitMode::eq || split.mode == SplitMode::member;
  });
  if (!any || width_ >= kMaxWidth) return;

  const std::vector<Set> sets = take_sets(model);
  std::map<uint32_t, std::map<Set, std::vector<std::size_t>>> splits_of;  // by feature and set
  for (std::size_t i = 0; i < sets.size(); ++i)
    if (!sets[i].empty()) splits_of[model.splits[i].feature][sets[i]].push_back(i);
  for (const auto& [column, by_set] : splits_of) {
    uint32_t limit = 0;
    for (const auto& [set, splits] : by_set) limit = std::max(limit, set.back() + 1);
    const auto room = static_cast<std::size_t>(kMaxWidth - width_);
    const Feature feature{column, limit, std::min(by_set.size(), room), table_.size()};
    if (feature.sets == 0) break;
    features_.push_back(feature);
    table_.resize(feature.table + (feature.limit + std::size_t{1}) * feature.sets, T(1));
    std::size_t s = 0;
    for (const auto& [set, splits] : by_set) {
      if (s == feature.sets) break;
      for (const uint32_t member : set) table_[feature.table + member * feature.sets + s] = T(0);
      for (const std::size_t i : splits) {
        model.splits[i].mode = SplitMode::leq;
        model.splits[i].feature = static_cast<uint32_t>(width_);
        model.splits[i].threshold = 0.5;
      }
      ++width_;
      ++s;
    }
  }
}

template <class T>
void SetColumns<T>::extend(const T* x, int64_t columns, int64_t rows, T* to) const {
  for (int64_t row = 0; row < rows; ++row, x += columns) {
    to = std::copy_n(x, columns_, to);
    for (const Feature& feature : features_) {
      const T value = x[feature.column];
      uint32_t at = feature.limit;
      if (value >= 0 && value < static_cast<T>(feature.limit)) {
        const auto whole = static_cast<uint32_t>(value);
        if (static_cast<T>(whole) == value) at = whole;
      }
      to = std::copy_n(table_.data() + feature.table + at * feature.sets, feature.sets, to);
    }
  }
}

template class SetColumns<float>;
template class SetColumns<double>;

}  // namespace sdx::ops
