// Separable resampling: along each axis, an output position is a weighted sum of input positions.
#pragma once

#include <vector>

#include "ir/op.h"
#include "ops/counted_vector.h"

namespace sdx::ops {

// How one axis is resampled. Every output position has `width` taps, some perhaps of weight 0.
struct AxisTaps {
  int64_t axis = 0;
  int64_t in_size = 0, out_size = 0;
  int64_t width = 0;
  CountedVector<int64_t> from;   // [out_size * width]: positions inside the input
  CountedVector<double> weight;  // [out_size * width]
  std::vector<bool> filled;      // positions that take the fill value instead; empty: none do
};

// A step from input 0 to output 0, resampled along the axes named, which are distinct.
Step resample_step(PrepareContext& ctx, std::vector<AxisTaps> axes, double fill);

}  // namespace sdx::ops
