// Every pass, each in the file of its name.
#pragma once

#include "ir/graph.h"

namespace sdx::passes {

bool expand_ops(Graph& graph);         // compositions become the operators they are made of
bool push_constants(Graph& graph);     // captured constants become constants of the subgraph
bool fold_constants(Graph& graph);     // nodes whose inputs never change become constants
bool bypass_identities(Graph& graph);  // nodes that only rename their input go
bool erase_dead(Graph& graph);         // nodes and values that nothing uses go

}  // namespace sdx::passes
