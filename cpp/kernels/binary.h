// Elementwise f32 functions of two operands over a run of contiguous results.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// y[i] = f(a[i * a_step], b[i * b_step]). A step is 1, or 0 for an operand that is one number.
// y may be the array a or b (of step 1) but not overlap them otherwise; n may be 0.
using BinaryF32 = void(const float* a, std::size_t a_step, const float* b, std::size_t b_step,
                       float* y, std::size_t n);

extern const Kernel<BinaryF32, kIsaCount> binary_add;
extern const Kernel<BinaryF32, kIsaCount> binary_sub;
extern const Kernel<BinaryF32, kIsaCount> binary_mul;
extern const Kernel<BinaryF32, kIsaCount> binary_div;
extern const Kernel<BinaryF32, kIsaCount> binary_max;    // NaN if either is
extern const Kernel<BinaryF32, kIsaCount> binary_min;    // NaN if either is
extern const Kernel<BinaryF32, kIsaCount> binary_prelu;  // a < 0 ? a b : a
extern const Kernel<BinaryF32, kIsaCount> binary_pow;    // as the C library has it

// y[i] = a[i * a_step] * b[i * b_step] + c[i * c_step], as above.
using MultiplyAddF32 = void(const float* a, std::size_t a_step, const float* b, std::size_t b_step,
                            const float* c, std::size_t c_step, float* y, std::size_t n);

extern const Kernel<MultiplyAddF32, kIsaCount> multiply_add;

}  // namespace sdx::kernels
