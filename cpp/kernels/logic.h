// Logic on booleans that come from outside as bytes, of which any but 0 is true; results are 0
// or 1.
#pragma once

#include <cstdint>

#include "kernels/kernel.h"

namespace sdx::kernels {

// y[i] = f(a[i * a_step], b[i * b_step]). A step is 1, or 0 for an operand that is one boolean.
// y may be the array a or b (of step 1) but not overlap them otherwise; n may be 0.
using LogicPair = void(const uint8_t* a, std::size_t a_step, const uint8_t* b, std::size_t b_step,
                       uint8_t* y, std::size_t n);
// y may be x.
using LogicNot = void(const uint8_t* x, uint8_t* y, std::size_t n);

extern const Kernel<LogicPair, kIsaCount> logic_and;
extern const Kernel<LogicPair, kIsaCount> logic_or;
extern const Kernel<LogicPair, kIsaCount> logic_xor;
extern const Kernel<LogicNot, kIsaCount> logic_not;

}  // namespace sdx::kernels
