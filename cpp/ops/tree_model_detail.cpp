// Reads tree ensembles from attributes, checking every link.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "base/error.h"
#include "ops/tree_model.h"

namespace sdx::ops {
namespace {

// `name` as floats, or `name`_as_tensor; sets is_double where the tensor is one of doubles.
std::vector<double> read_numbers(const Attributes& attrs, const std::string& name,
                                 bool& is_double) {
  if (const Tensor* tensor = attrs.find<Tensor>(name + "_as_tensor")) {
    if (tensor->dtype() == DType::float64) is_double = true;
    return tensor->to_doubles();
  }
  const std::vector<float> floats = attrs.floats(name);
  return {floats.begin(), floats.end()};
}

SplitMode parse_mode(const std::string& name) {
  static constexpr std::string_view kNames[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                                "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};
  for (std::size_t i = 0; i < std::size(kNames); ++i)
    if (name == kNames[i]) return static_cast<SplitMode>(i);
  fail(ErrorKind::invalid_model, "node mode '", name, "' is not known");
}

uint32_t checked_feature(int64_t feature) {
  check(feature >= 0 && feature < std::numeric_limits<int32_t>::max(), "feature id ", feature,
        " is out of range");
  return static_cast<uint32_t>(feature);
}

uint32_t checked_target(int64_t target, int64_t targets) {
  check(target >= 0 && target < targets, "target id ", target, " is outside the ", targets,
        " targets");
  return static_cast<uint32_t>(target);
}

void check_count(std::string_view name, std::size_t count, std::size_t expected) {
  check(count == expected, "attribute '", name, "' has ", count, " entries instead of ", expected);
}

// A list among the attributes as it lies there; none where it is absent.
template <class T>
const std::vector<T>& list(const Attributes& attrs, std::string_view name) {
  static const std::vector<T> kNone;
  const auto* found = attrs.find<std::vector<T>>(name);
  return found ? *found : kNone;
}

// The nodes of classic ensembles by tree and node id.
class NodeIndex {
 public:
  NodeIndex(const std::vector<int64_t>& trees, const std::vector<int64_t>& nodes)
      : trees_(trees), nodes_(nodes) {
    for (std::size_t i = 0; i < trees.size(); ++i) {
      if (runs_.empty() || runs_.back().tree != trees[i]) runs_.push_back({trees[i], i, 0});
      dense_ &= nodes[i] == static_cast<int64_t>(runs_.back().count++);
    }
    std::stable_sort(runs_.begin(), runs_.end(),
                     [](const Run& a, const Run& b) { return a.tree < b.tree; });
    dense_ &= std::adjacent_find(runs_.begin(), runs_.end(), [](const Run& a, const Run& b) {
                return a.tree == b.tree;
              }) == runs_.end();
    if (!dense_) sort_nodes();
  }

  // The first node of every tree, in the order in which trees first come.
  std::vector<std::size_t> roots() const {
    std::vector<std::size_t> firsts;
    for (std::size_t i = 0; i < runs_.size(); ++i)
      if (i == 0 || runs_[i].tree != runs_[i - 1].tree) firsts.push_back(runs_[i].first);
    std::sort(firsts.begin(), firsts.end());
    return firsts;
  }

  std::size_t at(int64_t tree, int64_t node) {
    if (!dense_) return search(tree, node);
    if (run_ >= runs_.size() || runs_[run_].tree != tree)
      run_ = static_cast<std::size_t>(
          std::lower_bound(runs_.begin(), runs_.end(), tree,
                           [](const Run& run, int64_t id) { return run.tree < id; }) -
          runs_.begin());
    check(run_ < runs_.size() && runs_[run_].tree == tree && node >= 0 &&
              static_cast<std::size_t>(node) < runs_[run_].count,
          "tree ", tree, " has no node ", node);
    return runs_[run_].first + static_cast<std::size_t>(node);
  }

 private:
  struct Run {
    int64_t tree;
    std::size_t first, count;
  };
  using Key = std::pair<int64_t, int64_t>;

  Key key(std::size_t i) const { return {trees_[i], nodes_[i]}; }

  void sort_nodes() {
    order_.resize(trees_.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::sort(order_.begin(), order_.end(),
              [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
    for (std::size_t i = 1; i < order_.size(); ++i)
      check(key(order_[i - 1]) != key(order_[i]), "tree ", trees_[order_[i]], " has node ",
            nodes_[order_[i]], " twice");
  }

  std::size_t search(int64_t tree, int64_t node) const {
    const auto found =
        std::lower_bound(order_.begin(), order_.end(), Key{tree, node},
                         [&](std::size_t i, const Key& wanted) { return key(i) < wanted; });
    check(found != order_.end() && key(*found) == Key{tree, node}, "tree ", tree, " has no node ",
          node);
    return *found;
  }

  const std::vector<int64_t>& trees_;
  const std::vector<int64_t>& nodes_;
  std::vector<Run> runs_;  // nodes of one tree in a row, by tree
  std::size_t run_ = 0;    // the one asked for last
  bool dense_ = true;      // a tree is one run with nodes 0, 1, ...: as all converters write them
  std::vector<std::size_t> order_;  // where they are not: by tree and node
};

// Votes, in the order of the leaves that cast them. `reference` tells which node is which leaf.
void read_votes(const Attributes& attrs, std::string_view prefix, NodeIndex& index,
                const std::vector<int64_t>& reference, std::size_t leaves, TreeModel& model) {
  const std::string head(prefix);
  const auto &trees = list<int64_t>(attrs, head + "_treeids"),
             &nodes = list<int64_t>(attrs, head + "_nodeids"),
             &ids = list<int64_t>(attrs, head + "_ids");
  const auto weights = read_numbers(attrs, head + "_weights", model.is_double);
  check_count(head + "_nodeids", nodes.size(), trees.size());
  check_count(head + "_ids", ids.size(), trees.size());
  check_count(head + "_weights", weights.size(), trees.size());
  std::vector<int64_t> voters(trees.size());
  model.first_vote.assign(leaves + 1, 0);
  for (std::size_t i = 0; i < trees.size(); ++i) {
    voters[i] = reference[index.at(trees[i], nodes[i])];
    if (voters[i] < 0) ++model.first_vote[static_cast<std::size_t>(~voters[i]) + 1];
  }
  std::partial_sum(model.first_vote.begin(), model.first_vote.end(), model.first_vote.begin());
  model.votes.resize(model.first_vote.back());
  std::vector<std::size_t> next(model.first_vote.begin(), model.first_vote.end() - 1);
  for (std::size_t i = 0; i < trees.size(); ++i)
    if (voters[i] < 0)  // votes of inner nodes are never cast
      model.votes[next[static_cast<std::size_t>(~voters[i])]++] = {
          checked_target(ids[i], model.targets), weights[i]};
}

}  // namespace

TreeModel read_classic_trees(const Attributes& attrs, std::string_view prefix, int64_t targets) {
  const std::string head(prefix);
  TreeModel model;
  model.targets = targets;
  check(targets > 0 && targets <= std::numeric_limits<int32_t>::max(), "the model has ", targets,
        " targets");
  const auto &trees = list<int64_t>(attrs, "nodes_treeids"),
             &ids = list<int64_t>(attrs, "nodes_nodeids");
  const auto& features = list<int64_t>(attrs, "nodes_featureids");
  const auto& when_true = list<int64_t>(attrs, "nodes_truenodeids");
  const auto& when_false = list<int64_t>(attrs, "nodes_falsenodeids");
  const auto& missing = list<int64_t>(attrs, "nodes_missing_value_tracks_true");
  const auto& modes = list<std::string>(attrs, "nodes_modes");
  const auto values = read_numbers(attrs, "nodes_values", model.is_double);
  const std::size_t count = trees.size();
  check_count("nodes_nodeids", ids.size(), count);
  check_count("nodes_featureids", features.size(), count);
  check_count("nodes_truenodeids", when_true.size(), count);
  check_count("nodes_falsenodeids", when_false.size(), count);
  check_count("nodes_modes", modes.size(), count);
  check_count("nodes_values", values.size(), count);
  if (!missing.empty()) check_count("nodes_missing_value_tracks_true", missing.size(), count);

  // A node is a split or a leaf: number both, then follow the links.
  NodeIndex index(trees, ids);
  std::vector<int64_t> reference(count);
  int64_t splits = 0, leaves = 0;
  for (std::size_t i = 0; i < count; ++i) reference[i] = modes[i] == "LEAF" ? ~leaves++ : splits++;
  model.splits.reserve(static_cast<std::size_t>(splits));
  for (std::size_t i = 0; i < count; ++i) {
    if (reference[i] < 0) continue;
    Split split;
    split.mode = parse_mode(modes[i]);
    split.nan_goes_true = !missing.empty() && missing[i] != 0;
    split.feature = checked_feature(features[i]);
    split.threshold = values[i];
    split.when_true = reference[index.at(trees[i], when_true[i])];
    split.when_false = reference[index.at(trees[i], when_false[i])];
    model.splits.push_back(split);
  }
  for (const std::size_t root : index.roots()) model.roots.push_back(reference[root]);

  read_votes(attrs, prefix, index, reference, static_cast<std::size_t>(leaves), model);
  const std::string aggregate = attrs.get("aggregate_function", "SUM");
  if (aggregate == "AVERAGE") {
    model.aggregate = Aggregate::average;
  } else if (aggregate == "MIN") {
    model.aggregate = Aggregate::min;
  } else if (aggregate == "MAX") {
    model.aggregate = Aggregate::max;
  } else {
    check(aggregate == "SUM", "aggregate_function '", aggregate, "' is not known");
  }
  model.base_values = read_numbers(attrs, "base_values", model.is_double);
  return model;
}

TreeModel read_trees(const Attributes& attrs) {
  TreeModel model;
  model.targets = attrs.get("n_targets", 1);
  check(model.targets > 0 && model.targets <= std::numeric_limits<int32_t>::max(), "the model has ",
        model.targets, " targets");
  const Tensor& thresholds = attrs.require<Tensor>("nodes_splits");
  const Tensor& weights_given = attrs.require<Tensor>("leaf_weights");
  model.is_double = thresholds.dtype() == DType::float64;
  const auto splits = thresholds.to_doubles(), weights = weights_given.to_doubles();
  const auto modes = attrs.require<Tensor>("nodes_modes").to_int64s();
  const auto features = attrs.ints("nodes_featureids");
  const auto when_true = attrs.ints("nodes_truenodeids");
  const auto when_false = attrs.ints("nodes_falsenodeids");
  const auto true_leaf = attrs.ints("nodes_trueleafs");
  const auto false_leaf = attrs.ints("nodes_falseleafs");
  const auto missing = attrs.ints("nodes_missing_value_tracks_true");
  const auto targets = attrs.ints("leaf_targetids");
  const std::size_t count = splits.size();
  check_count("nodes_modes", modes.size(), count);
  check_count("nodes_featureids", features.size(), count);
  check_count("nodes_truenodeids", when_true.size(), count);
  check_count("nodes_falsenodeids", when_false.size(), count);
  check_count("nodes_trueleafs", true_leaf.size(), count);
  check_count("nodes_falseleafs", false_leaf.size(), count);
  if (!missing.empty()) check_count("nodes_missing_value_tracks_true", missing.size(), count);
  check_count("leaf_targetids", targets.size(), weights.size());

  const auto reference = [&](int64_t id, bool is_leaf) {
    const std::size_t limit = is_leaf ? weights.size() : count;
    check(id >= 0 && static_cast<std::size_t>(id) < limit, is_leaf ? "leaf " : "node ", id,
          " does not exist: there are ", limit);
    return is_leaf ? ~id : id;
  };
  // Sets lie one after another, each closed by a NaN.
  if (const Tensor* members = attrs.find<Tensor>("membership_values"))
    model.members = members->to_doubles();
  std::size_t next_member = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Split split;
    check(modes[i] >= 0 && modes[i] <= 6, "node mode ", modes[i], " is not known");
    split.mode = static_cast<SplitMode>(modes[i]);
    split.nan_goes_true = !missing.empty() && missing[i] != 0;
    split.feature = checked_feature(features[i]);
    split.threshold = splits[i];
    split.when_true = reference(when_true[i], true_leaf[i] != 0);
    split.when_false = reference(when_false[i], false_leaf[i] != 0);
    if (split.mode == SplitMode::member) {
      split.first_member = static_cast<uint32_t>(next_member);
      while (next_member < model.members.size() && !std::isnan(model.members[next_member]))
        ++next_member;
      check(next_member < model.members.size(), "membership_values ends before the set of node ",
            i);
      split.member_count = static_cast<uint32_t>(next_member++) - split.first_member;
    }
    model.splits.push_back(split);
  }
  for (const int64_t root : attrs.ints("tree_roots")) model.roots.push_back(reference(root, false));
  model.first_vote.resize(weights.size() + 1);
  std::iota(model.first_vote.begin(), model.first_vote.end(), std::size_t{0});
  for (std::size_t i = 0; i < weights.size(); ++i)
    model.votes.push_back({checked_target(targets[i], model.targets), weights[i]});
  const int64_t aggregate = attrs.get("aggregate_function", 1);
  check(aggregate >= 0 && aggregate <= 3, "aggregate_function ", aggregate, " is not known");
  model.aggregate = static_cast<Aggregate>(aggregate);
  return model;
}

}  // namespace sdx::ops
