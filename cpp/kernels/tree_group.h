// Decision trees for groups of rows whose features lie side by side: small trees by masks of the
// leaves that can still be reached, others by walking many rows or many trees in lockstep.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel.h"

namespace sdx::kernels {

// Feature s of row i of a group lies at x[s * kGroupRows + i]; s is the feature's slot.
inline constexpr std::size_t kGroupRows = 32;
inline constexpr std::size_t kMaxSlots = 512;

// A comparison x[slot] <= threshold. Where it fails, the leaves of `unreachable`, those below the
// lower branch, cannot be reached any more: the first leaf left is where the row ends.
struct LeafTest {
  float threshold;
  uint32_t offset;  // of the feature, slot * kGroupRows
  uint32_t unreachable;
};

// The tests of 32 neighbouring leaves end at `nan_low_end`; NaN fails those before `nan_high_end`
// and passes the others.
struct LeafWord {
  uint32_t nan_high_end;
  uint32_t nan_low_end;
};

// Tree t has the words first_word[t] .. first_word[t + 1], that of its last leaves first; the tests
// of a word begin where those of the word before end. Its leaves are counted on from
// first_leaf[t].
struct LeafTests {
  const LeafTest* tests;
  const LeafWord* words;
  const uint32_t* first_word;
  const uint32_t* first_leaf;
};

// From the node at p a row goes to p + distance where x[slot] <= threshold, else to the node after
// that. A leaf has a NaN threshold and distance -1: whatever comes stays there.
struct SlotNode {
  float threshold;
  int32_t bits;  // distance << 16 | slot << 7 | 1 where NaN counts as lower
};
inline constexpr std::size_t kMaxSlotNodes = 0x8000;  // of a tree

// Tree t lies at nodes + roots[t] and has no path longer than depths[t].
struct SlotNodes {
  const SlotNode* nodes;
  const uint32_t* roots;
  const uint32_t* depths;
  bool any_nan_goes_low;
};

// Writes to ends[i] at which leaf row i < rows <= kGroupRows ends in tree `tree`. Lanes of x up to
// the next multiple of 16 are read, ends has room for as many.
using FindLeaves = void(const LeafTests& trees, std::size_t tree, const float* x, std::size_t rows,
                        uint32_t* ends);
// Adds to sums[i] what weights[] says of the leaves where row i ends in trees [begin, end). Reads
// and writes lanes up to the next multiple of 16.
using AddLeaves = void(const LeafTests& trees, std::size_t begin, std::size_t end, const float* x,
                       std::size_t rows, const float* weights, float* sums);
// Writes to ends[i] at which node row i < rows ends in tree `tree`.
using WalkGroup = void(const SlotNodes& trees, std::size_t tree, const float* x, std::size_t rows,
                       uint32_t* ends);
// Writes to ends[i] at which node the first row of x ends in tree `tree + i`.
using WalkForest = void(const SlotNodes& trees, std::size_t tree, std::size_t count, const float* x,
                        uint32_t* ends);

extern const Kernel<FindLeaves, kIsaCount> find_leaves;
extern const Kernel<AddLeaves, kIsaCount> add_leaves;
extern const Kernel<WalkGroup, kIsaCount> walk_group;
extern const Kernel<WalkForest, kIsaCount> walk_forest;

}  // namespace sdx::kernels
