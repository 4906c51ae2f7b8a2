// 3-D convolution, channels last, of 3x3 taps along height and width by Winograd's F(4x4, 3x3): the
// taps along the depth are summed before the products are transformed back.
#pragma once

#include "ops/conv_step.h"

namespace sdx::ops {

// The weights are a set of Winograd's planes for each tap of the depth.
int64_t packed_volume_floats(const ConvSizes& sizes, int64_t depth_taps);
void pack_volume(const ConvSizes& sizes, int64_t depth_taps, const float* weights, float* packed);

// Strides and dilations are 1, and there is one group.
Step conv_volume_step(PrepareContext& ctx, const ConvSizes& sizes, const ConvOptions& options,
                      const float* packed);

}  // namespace sdx::ops
