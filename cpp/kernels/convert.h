// Between f32 and the 16-bit floats, whose bits are passed as uint16_t.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// n may be 0; arrays do not overlap. Widening is exact; narrowing rounds halves to even, overflows
// to infinity and keeps NaN a NaN.
using WidenF16 = void(const uint16_t* x, float* y, std::size_t n);
using NarrowF32 = void(const float* x, uint16_t* y, std::size_t n);

extern const Kernel<WidenF16, kIsaCount> f16_to_f32;
extern const Kernel<WidenF16, kIsaCount> bf16_to_f32;
extern const Kernel<NarrowF32, kIsaCount> f32_to_f16;
extern const Kernel<NarrowF32, kIsaCount> f32_to_bf16;

}  // namespace sdx::kernels
