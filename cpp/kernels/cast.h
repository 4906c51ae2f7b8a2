// Numbers of one type as numbers of another.
#pragma once

#include <cstdint>

#include "kernels/kernel.h"

namespace sdx::kernels {

enum class Number : unsigned char { boolean, int8, uint8, int32, int64, float32, float64 };

// n may be 0; arrays do not overlap. Integers keep their low bits, floats are rounded to nearest
// ones, and true is what is not 0, NaN included; a boolean that is read is a byte, of which any but
// 0 is true. Floats as integers are not here but in truncate.h: nothing is written.
using CastNumbers = void(Number from, Number to, const void* x, void* y, std::size_t n);
// Rounded once, halves to even.
using NarrowF64 = void(const double* x, uint16_t* y, std::size_t n);

extern const Kernel<CastNumbers, kIsaCount> cast_numbers;
extern const Kernel<NarrowF64, kIsaCount> f64_to_f16;

}  // namespace sdx::kernels
