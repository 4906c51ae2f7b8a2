// Floats of 4, 6 and 8 bits as tables of what their codes mean, and rounding to them.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace sdx::ops {

// The numbers that the 256 codes of a small float type stand for; codes of fewer bits repeat.
const float* small_float_values(DType dtype);

// Only float8e8m0, which holds powers of two alone, knows modes other than to the nearest, ties to
// even; its ties go up.
enum class SmallFloatMode : uint8_t { up, down, nearest };

// The code of x rounded to `dtype`. What lies outside the range becomes the largest number with its
// sign if `saturate` is set, otherwise infinity, or NaN where the type has no infinity. Types
// without NaN hold neither: they always saturate and make NaN a zero. NaN stays NaN elsewhere.
uint8_t to_small_float(double x, DType dtype, bool saturate, SmallFloatMode mode);

}  // namespace sdx::ops
