// Runs one node on actual data: constant folding, and the slow lane of values whose shapes depend
// on data.
#pragma once

#include <limits>
#include <span>
#include <vector>

#include "ir/graph.h"

namespace sdx {

// Infers, prepares and runs `node` for these inputs (an empty datum stands for one left out). The
// results own their memory; outputs the node leaves out come back empty. A node that takes more
// than `most_flops` is refused as `unsupported` before it runs.
std::vector<Datum> evaluate(const Node& node, std::span<const Datum> inputs, const RunState& state,
                            double most_flops = std::numeric_limits<double>::infinity());

}  // namespace sdx
