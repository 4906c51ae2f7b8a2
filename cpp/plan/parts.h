// Values that lie within other values, so that operators which only put their inputs side by side,
// or take inputs apart, have nothing left to do.
#pragma once

#include <span>
#include <vector>

#include "base/function_ref.h"
#include "ir/op.h"
#include "plan/outline.h"

namespace sdx::plan {

// The questions' context for a step's node; holds until the next one is asked for.
using ContextOf = FunctionRef<PrepareContext(uint32_t step)>;

// Makes aliases of values that can be computed, or read, right where they are needed: outputs that
// are rows of an input, and inputs of a node that joins them. Every step at such a value must agree
// to rows that lie apart (Op::reads_rows, Op::writes_rows); values that lie together are asked
// nothing. Steps that have nothing left to do are dropped, with their entry in `nodes`, which is
// null where a step is not to be asked. `cuts` are the steps whose Op::view gave rows apart.
void place_parts(Plan& plan, std::vector<const OutlinedNode*>& nodes,
                 std::span<const uint32_t> cuts, ContextOf context_of);

}  // namespace sdx::plan
