// Quantising a tensor to uint8 by a scale found in it.
#pragma once

#include <cstdint>

#include "base/frame.h"

namespace sdx::ops {

// One scale and zero point for all elements, from their range stretched to hold zero. A tensor of
// zeros, which has no scale of its own, gets 1.
struct DynamicScale {
  float scale = 1;
  int32_t zero_point = 0;
};

// Bytes of scratch that dynamic_quantize takes.
int64_t dynamic_quantize_scratch(int64_t count);

// `y` may be null: then only the scale is found.
DynamicScale dynamic_quantize(const Frame& frame, const float* x, int64_t count, uint8_t* y,
                              void* scratch);

}  // namespace sdx::ops
