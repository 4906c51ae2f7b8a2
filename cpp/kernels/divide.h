// Quotients and remainders of 32-bit integers.
#pragma once

#include <cstdint>

#include "kernels/kernel.h"

namespace sdx::kernels {

// y[i] = f(a[i * a_step], b[i * b_step]). A step is 1, or 0 for an operand that is one number.
// y may be the array a or b (of step 1) but not overlap them otherwise; n may be 0. Quotients and
// remainders by zero are 0, and the one quotient that overflows wraps.
using DivideI32 = void(const int32_t* a, std::size_t a_step, const int32_t* b, std::size_t b_step,
                       int32_t* y, std::size_t n);

extern const Kernel<DivideI32, kIsaCount> divide_i32;               // towards zero
extern const Kernel<DivideI32, kIsaCount> truncated_remainder_i32;  // of the dividend's sign
extern const Kernel<DivideI32, kIsaCount> floored_remainder_i32;    // of the divisor's sign

}  // namespace sdx::kernels
