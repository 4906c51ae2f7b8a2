// Trees of floats laid out for groups of rows: see kernels/tree_group.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "kernels/tree.h"
#include "kernels/tree_group.h"

namespace sdx::ops {

class TreeGroups {
 public:
  // Trees one after another that share no nodes, as kernels/tree.h has them.
  struct Source {
    std::span<const kernels::TreeNode<float>> nodes;
    std::span<const uint32_t> roots, depths;
    std::vector<int64_t> targets;      // by tree: the one it votes for, -1 where there are several
    std::span<const float> weight_at;  // by node: the vote of such a tree's leaf
    int64_t columns;
  };
  // Null where the trees do not fit.
  static std::unique_ptr<TreeGroups> make(const Source& source);

  // Counts votes: of one tree in several rows, or of several trees from `tree` on in one row.
  // Leaves are nodes, as they lay in the source.
  using Vote = FunctionRef<void(int64_t tree, int64_t trees, const uint32_t* ends, int64_t rows,
                                float* scores)>;

  // Adds the votes of all trees to scores[rows, targets].
  void score(const float* x, int64_t columns, int64_t rows, bool any_nan_goes_low, int64_t targets,
             float* scores, Vote vote) const;
  // Nanoseconds a row costs, roughly.
  double row_cost() const { return row_cost_; }

 private:
  // Consecutive trees that are taken together: one, or several of few leaves and one target.
  struct Run {
    uint32_t begin, end;
    bool by_tests;
    int64_t target;  // -1: several
  };

  bool choose_slots(const Source& source);
  bool add_tests(const Source& source, std::size_t tree);
  void add_run(const Source& source, uint32_t tree, bool by_tests);
  uint32_t slot_of(uint32_t feature) const;
  void fill(const float* x, int64_t columns, int64_t rows, float* to) const;
  void score_one(const kernels::SlotNodes& nodes, const float* x, float* scores, Vote vote) const;
  void score_run(const Run& run, const kernels::SlotNodes& nodes, const float* x, int64_t rows,
                 int64_t targets, float* scores, Vote vote) const;
  uint32_t first_test(uint32_t tree) const;

  std::vector<kernels::LeafTest> tests_;
  std::vector<kernels::LeafWord> words_;
  std::vector<uint32_t> first_word_, first_leaf_;
  std::vector<uint32_t> leaf_nodes_;  // by leaf: its node in the source
  std::vector<float> weights_;        // by leaf
  std::vector<kernels::SlotNode> nodes_;
  std::vector<uint32_t> roots_, depths_;
  std::vector<Run> runs_;
  std::vector<uint32_t> columns_;  // by slot, ascending; none where slots are columns
  int64_t slots_ = 0;
  int64_t few_rows_ = 0;  // fewer are walked one by one
  double row_cost_ = 0;
};

}  // namespace sdx::ops
