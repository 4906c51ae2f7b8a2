// Between f32 and quantised integers, one scale and zero point for a run.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// y[i] = saturate(round_half_to_even(x[i] / scale) + zero_point). NaN becomes the lowest value.
using QuantizeU8 = void(const float* x, uint8_t* y, std::size_t n, float scale, int32_t zero_point);
using QuantizeS8 = void(const float* x, int8_t* y, std::size_t n, float scale, int32_t zero_point);

extern const Kernel<QuantizeU8, kIsaCount> quantize_u8;
extern const Kernel<QuantizeS8, kIsaCount> quantize_s8;

// y[i] = (x[i] - zero_point) * scale; the difference is taken in 32 bits.
using DequantizeU8 = void(const uint8_t* x, float* y, std::size_t n, float scale,
                          int32_t zero_point);
using DequantizeS8 = void(const int8_t* x, float* y, std::size_t n, float scale,
                          int32_t zero_point);
using DequantizeS32 = void(const int32_t* x, float* y, std::size_t n, float scale,
                           int32_t zero_point);

extern const Kernel<DequantizeU8, kIsaCount> dequantize_u8;
extern const Kernel<DequantizeS8, kIsaCount> dequantize_s8;
extern const Kernel<DequantizeS32, kIsaCount> dequantize_s32;

// y[i] = saturate(round_half_to_even(a[i] * a_factor + b[i] * b_factor + offset) + zero_point), for
// a sum of quantised tensors; the offset stands for the zero points of a and b.
struct QuantizedSum {
  float a_factor, b_factor, offset;
  int32_t zero_point;
};
using QuantizedAddU8 = void(const uint8_t* a, const uint8_t* b, uint8_t* y, std::size_t n,
                            const QuantizedSum& sum);
using QuantizedAddS8 = void(const int8_t* a, const int8_t* b, int8_t* y, std::size_t n,
                            const QuantizedSum& sum);

extern const Kernel<QuantizedAddU8, kIsaCount> quantized_add_u8;
extern const Kernel<QuantizedAddS8, kIsaCount> quantized_add_s8;

// y[i] = max(y[i], x[i]).
using MaxIntoU8 = void(const uint8_t* x, uint8_t* y, std::size_t n);
using MaxIntoS8 = void(const int8_t* x, int8_t* y, std::size_t n);

extern const Kernel<MaxIntoU8, kIsaCount> max_into_u8;
extern const Kernel<MaxIntoS8, kIsaCount> max_into_s8;

// Least and greatest of n floats; {+inf, -inf} where n is 0. NaN is passed over.
struct MinMax {
  float min;
  float max;
};
using MinMaxOf = MinMax(const float* x, std::size_t n);

extern const Kernel<MinMaxOf, kIsaCount> min_max;

}  // namespace sdx::kernels
