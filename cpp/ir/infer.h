// Runs operators' inference at load.
#pragma once

#include <span>

#include "ir/graph.h"

namespace sdx {

// Types the node's outputs from what its inputs are known to be; what the model declared for an
// output fills in what inference leaves open. Errors name the node.
void infer_node(Node& node);

// The same for all nodes in order.
void infer_graph(Graph& graph);

}  // namespace sdx
