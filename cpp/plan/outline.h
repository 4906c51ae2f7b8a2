// What all plans of a graph begin with, gathered once: a plan for new shapes then finds it in a row
// instead of walking through a graph that has long left the cache.
#pragma once

#include <vector>

#include "plan/plan.h"

namespace sdx {
class Op;
struct Facts;
struct OpTraits;
}  // namespace sdx

namespace sdx::plan {

struct OutlinedNode {
  const Node* node = nullptr;
  const Op* op = nullptr;
  const OpTraits* traits = nullptr;
  bool has_subgraphs = false;
  InlineVector<uint32_t, 6> inputs;  // values, Frame::kNoValue where left out
  InlineVector<uint32_t, 2> outputs;
};

struct Outline {
  // `graph` is compacted and packed, and must outlive the outline unchanged.
  explicit Outline(const Graph& graph);

  std::vector<OutlinedNode> nodes;  // in order of execution
  std::vector<uint32_t> inputs, outputs;
  std::vector<int> caches;  // as of a plan
  // By value: of constants, and empty otherwise.
  std::vector<Layout> layouts;
  std::vector<PlannedValue> values;
  std::vector<const Facts*> facts;
};

}  // namespace sdx::plan
