// Lets a step written for float32 serve float16 and bfloat16.
#pragma once

#include "ir/op.h"

namespace sdx::ops {

// Whether values of this type are computed by widening to float32.
inline bool is_half_float(DType dtype) {
  return dtype == DType::float16 || dtype == DType::bfloat16;
}

// A step that hands `inner` float32 copies of the 16-bit inputs and narrows its outputs; inputs and
// outputs of other types pass through. Where nothing is 16-bit wide it is `inner` itself. Call last
// in prepare: the copies go behind the scratch asked for so far. Inputs that `pack` released are
// not copied.
Step in_float32(PrepareContext& ctx, Step inner);

// Whether constants of this type are packed as float32.
inline bool packs_as_float32(DType dtype) {
  return dtype == DType::float32 || is_half_float(dtype);
}

// The elements of such a constant: its own, or widened into `wide`.
const float* as_floats(const Tensor& tensor, std::vector<float>& wide);

}  // namespace sdx::ops
