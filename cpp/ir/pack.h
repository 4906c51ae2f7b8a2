// Lets every operator of a graph (and its subgraphs) pack its constants.
#pragma once

#include "ir/graph.h"

namespace sdx {

// After this, elements that only packed forms replace are freed. Call once, after the passes.
void pack_graph(Graph& graph);

// Of all constants, those of subgraphs included.
std::size_t constant_bytes(const Graph& graph);

}  // namespace sdx
