// Tree ensembles as models state them, and compiled for walking.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ir/attributes.h"
#include "kernels/tree.h"
#include "ops/tree_groups.h"
#include "ops/tree_sets.h"

namespace sdx::ops {

enum class SplitMode : uint8_t { leq, lt, gte, gt, eq, neq, member };
enum class Aggregate : uint8_t { average, sum, min, max };

// A branch. Children are branches (>= 0) or leaves (~leaf).
struct Split {
  SplitMode mode = SplitMode::leq;
  bool nan_goes_true = false;
  uint32_t feature = 0;
  double threshold = 0;
  int64_t when_true = 0;
  int64_t when_false = 0;
  uint32_t first_member = 0;
  uint32_t member_count = 0;
};

struct Vote {
  uint32_t target;
  double weight;
};

// All versions of the operators come down to this; doubles hold floats exactly.
struct TreeModel {
  bool is_double = false;
  int64_t targets = 1;
  Aggregate aggregate = Aggregate::sum;
  std::vector<Split> splits;
  std::vector<int64_t> roots;           // splits, or ~leaf
  std::vector<std::size_t> first_vote;  // by leaf, one more at the end; into votes
  std::vector<Vote> votes;
  std::vector<double> members;  // of the sets that splits test
  std::vector<double> base_values;

  std::size_t leaf_count() const { return first_vote.empty() ? 0 : first_vote.size() - 1; }
  std::span<const Vote> votes_of(std::size_t leaf) const {
    return std::span(votes).subspan(first_vote[leaf], first_vote[leaf + 1] - first_vote[leaf]);
  }
};

// TreeEnsembleRegressor and -Classifier: `prefix` is "target" or "class", the head of the names of
// the attributes with votes. `targets` is how many ids there may be.
TreeModel read_classic_trees(const Attributes& attrs, std::string_view prefix, int64_t targets);
// TreeEnsemble of ai.onnx.ml 5.
TreeModel read_trees(const Attributes& attrs);

// The trees in arrays: see kernels/tree.h.
template <class T>
class Forest {
 public:
  explicit Forest(TreeModel model);

  int64_t targets() const { return targets_; }
  int64_t tree_count() const { return static_cast<int64_t>(roots_.size()); }
  // Columns that the features must have at least.
  int64_t columns() const { return columns_; }
  // Nanoseconds a row costs, roughly.
  double row_cost() const { return row_cost_; }
  // Writes scores[rows, targets]: the votes of all trees, aggregated; no base values.
  void score(const T* x, int64_t columns, int64_t rows, T* scores) const;

 private:
  // A vote of a leaf; `single` trees always vote for one target.
  struct Tree {
    bool single;
    uint32_t target;
  };
  struct LeafVote {
    uint32_t target;
    T weight;
  };

  void lay_out(const TreeModel& model);
  void store_votes(const TreeModel& model);
  // Lays the trees out once more for groups of rows, where they fit that.
  void group();
  // The votes of one tree in several rows, or of several trees in one row.
  void vote(int64_t tree, int64_t trees, const uint32_t* ends, int64_t rows, T* scores) const;
  // Adds up votes, or keeps the extremes, of rows whose columns the trees know.
  void score_known(const T* x, int64_t columns, int64_t rows, T* scores) const;
  void score_rows(const T* x, int64_t columns, int64_t rows, T* scores) const;
  void add_votes(const Tree& tree, const uint32_t* ends, int64_t rows, T* scores) const;
  void keep_extremes(const uint32_t* ends, int64_t count, T* scores, int64_t step) const;

  SetColumns<T> sets_;
  Aggregate aggregate_;
  int64_t targets_;
  int64_t columns_ = 0;
  double row_cost_ = 0;
  bool any_nan_goes_low_ = false;
  bool shares_nodes_ = false;  // between trees, or within one
  std::vector<kernels::TreeNode<T>> nodes_;
  std::vector<uint32_t> roots_, depths_;
  std::vector<uint32_t> first_leaf_;  // by tree, one more at the end; into leaf_positions_
  std::vector<uint32_t> leaf_positions_;
  std::vector<Tree> trees_;
  std::vector<uint32_t> leaf_at_;     // by node: which leaf it is
  std::vector<T> weight_at_;          // by node: the vote of a single voter's leaf
  std::vector<uint32_t> first_vote_;  // by leaf, one more at the end; into votes_
  std::vector<LeafVote> votes_;
  std::unique_ptr<TreeGroups> groups_;  // in place of nodes_
  kernels::WalkRows<T>* walk_rows_;
  kernels::WalkTrees<T>* walk_trees_;
};

}  // namespace sdx::ops
