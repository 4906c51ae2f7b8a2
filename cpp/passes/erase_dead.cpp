#include "passes/passes.h"

namespace sdx::passes {

bool erase_dead(Graph& graph) { return graph.erase_dead(); }

}  // namespace sdx::passes
