// Floats to integers, rounded towards zero.
#pragma once

#include <cstdint>

#include "kernels/kernel.h"

namespace sdx::kernels {

// n may be 0; arrays do not overlap. NaN gives 0, and what lies outside the range of the integer
// its nearest value; bytes take the low bits of the 64-bit integer.
using TruncateF32ToI32 = void(const float* x, int32_t* y, std::size_t n);
using TruncateF32ToI64 = void(const float* x, int64_t* y, std::size_t n);
using TruncateF32ToByte = void(const float* x, uint8_t* y, std::size_t n);
using TruncateF64ToI32 = void(const double* x, int32_t* y, std::size_t n);
using TruncateF64ToI64 = void(const double* x, int64_t* y, std::size_t n);
using TruncateF64ToByte = void(const double* x, uint8_t* y, std::size_t n);

extern const Kernel<TruncateF32ToI32, kIsaCount> truncate_f32_to_i32;
extern const Kernel<TruncateF32ToI64, kIsaCount> truncate_f32_to_i64;
extern const Kernel<TruncateF32ToByte, kIsaCount> truncate_f32_to_byte;
extern const Kernel<TruncateF64ToI32, kIsaCount> truncate_f64_to_i32;
extern const Kernel<TruncateF64ToI64, kIsaCount> truncate_f64_to_i64;
extern const Kernel<TruncateF64ToByte, kIsaCount> truncate_f64_to_byte;

}  // namespace sdx::kernels
