// Copies in which every axis of the output picks positions of the same axis of the input: padding
// and nearest-neighbour resizing.
#pragma once

#include <cstddef>
#include <vector>

#include "ir/op.h"
#include "ops/counted_vector.h"

namespace sdx::ops {

// Position p of output axis a comes from position from[a][p] of the input; it is filled where that
// is negative.
struct AxisMaps {
  std::vector<CountedVector<int64_t>> from;
};

// An element of any type but string, as bytes.
struct ItemBytes {
  alignas(16) std::byte bytes[16] = {};
};

// A step from input 0 to output 0, either of which may lie in rows of the last axis if that one is
// mapped to itself. What is filled is the one element of input `fill_input`, or,
// where that is negative, `fill` (an empty string for strings).
Step map_axes_step(const PrepareContext& ctx, const AxisMaps& maps, int fill_input,
                   const ItemBytes& fill = {});

// `value` as an element of the number type `dtype`.
ItemBytes item_bytes(DType dtype, double value);

}  // namespace sdx::ops
