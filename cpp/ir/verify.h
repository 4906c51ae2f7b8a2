// Checks what every pass must keep true of a graph.
#pragma once

#include "ir/graph.h"

namespace sdx {

// Throws `internal` naming the first node or value that is wrong: links that do not match, a value
// used before it is made, duplicate names, captures that subgraphs do not take, outputs whose types
// inference contradicts.
void verify(const Graph& graph);

}  // namespace sdx
