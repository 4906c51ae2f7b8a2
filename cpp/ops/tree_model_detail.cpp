// Reads tree ensembles from attributes, checking every link.
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <unordered_map>

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

// The nodes of classic ensembles by tree and node id.
class NodeIndex {
 public:
  NodeIndex(const std::vector<int64_t>& trees, const std::vector<int64_t>& nodes) {
    index_.reserve(trees.size());
    for (std::size_t i = 0; i < trees.size(); ++i)
      check(index_.emplace(Key{trees[i], nodes[i]}, i).second, "tree ", trees[i], " has node ",
            nodes[i], " twice");
  }
  std::size_t at(int64_t tree, int64_t node) const {
    const auto found = index_.find(Key{tree, node});
    check(found != index_.end(), "tree ", tree, " has no node ", node);
    return found->second;
  }

 private:
  using Key = std::pair<int64_t, int64_t>;
  struct Hash {
    std::size_t operator()(const Key& key) const {
      return static_cast<std::size_t>(key.first) * 0x9e3779b97f4a7c15 ^
             static_cast<std::size_t>(key.second) * 0xc2b2ae3d27d4eb4f;
    }
  };
  std::unordered_map<Key, std::size_t, Hash> index_;
};

}  // namespace

TreeModel read_classic_trees(const Attributes& attrs, std::string_view prefix, int64_t targets) {
  const std::string head(prefix);
  TreeModel model;
  model.targets = targets;
  check(targets > 0 && targets <= std::numeric_limits<int32_t>::max(), "the model has ", targets,
        " targets");
  const auto trees = attrs.ints("nodes_treeids"), ids = attrs.ints("nodes_nodeids");
  const auto features = attrs.ints("nodes_featureids");
  const auto when_true = attrs.ints("nodes_truenodeids");
  const auto when_false = attrs.ints("nodes_falsenodeids");
  const auto missing = attrs.ints("nodes_missing_value_tracks_true");
  const auto modes = attrs.strings("nodes_modes");
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
  const NodeIndex index(trees, ids);
  std::vector<int64_t> reference(count);
  int64_t splits = 0, leaves = 0;
  for (std::size_t i = 0; i < count; ++i) reference[i] = modes[i] == "LEAF" ? ~leaves++ : splits++;
  model.leaves.resize(leaves);
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
  std::map<int64_t, bool> seen;
  for (std::size_t i = 0; i < count; ++i)
    if (seen.emplace(trees[i], true).second) model.roots.push_back(reference[i]);

  const auto vote_trees = attrs.ints(head + "_treeids"), vote_nodes = attrs.ints(head + "_nodeids");
  const auto vote_ids = attrs.ints(head + "_ids");
  const auto weights = read_numbers(attrs, head + "_weights", model.is_double);
  check_count(head + "_nodeids", vote_nodes.size(), vote_trees.size());
  check_count(head + "_ids", vote_ids.size(), vote_trees.size());
  check_count(head + "_weights", weights.size(), vote_trees.size());
  for (std::size_t i = 0; i < vote_trees.size(); ++i) {
    const int64_t leaf = reference[index.at(vote_trees[i], vote_nodes[i])];
    if (leaf >= 0) continue;  // votes of inner nodes are never cast
    model.leaves[~leaf].push_back({checked_target(vote_ids[i], targets), weights[i]});
  }
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
  for (std::size_t i = 0; i < weights.size(); ++i)
    model.leaves.push_back({{checked_target(targets[i], model.targets), weights[i]}});
  const int64_t aggregate = attrs.get("aggregate_function", 1);
  check(aggregate >= 0 && aggregate <= 3, "aggregate_function ", aggregate, " is not known");
  model.aggregate = static_cast<Aggregate>(aggregate);
  return model;
}

}  // namespace sdx::ops
