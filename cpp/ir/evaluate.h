// Runs one node on actual data: constant folding, and the slow lane of values whose shapes depend on
// data.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"

namespace sdx {

// Infers, prepares and runs `node` for these inputs (an empty datum stands for one left out). The
// results own their memory; outputs the node leaves out come back empty.
std::vector<Datum> evaluate(const Node& node, std::span<const Datum> inputs, const RunState& state);

}  // namespace sdx
