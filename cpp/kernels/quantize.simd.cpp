// Between f32 and quantised integers.
#include "kernels/quantize.h"

#include "kernels/simd/narrow.h"
#include "kernels/simd/round.h"

namespace sdx::kernels {
namespace SDX_ISA {

template <class T>
SDX_INLINE void quantize(const float* x, T* y, std::size_t n, float scale, int32_t zero_point) {
  constexpr int32_t kLo = static_cast<T>(-1) < 0 ? -128 : 0, kHi = kLo + 255;
  const VecF lo = splat(static_cast<float>(kLo - zero_point));
  const VecF hi = splat(static_cast<float>(kHi - zero_point));
  const auto quantized = [=](VecF v) __attribute__((always_inline)) {
    // Saturated before it is rounded, as the bounds are whole; NaN is the first operand, so is
    // lost.
    return to_int_even(min(max(v / scale, lo), hi)) + zero_point;
  };
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) store_lanes(y + i, quantized(load(x + i)));
  if (i < n) store_lanes_head(y + i, quantized(load_head(x + i, n - i)), n - i);
}

void quantize_u8(const float* x, uint8_t* y, std::size_t n, float scale, int32_t zero_point) {
  quantize(x, y, n, scale, zero_point);
}

void quantize_s8(const float* x, int8_t* y, std::size_t n, float scale, int32_t zero_point) {
  quantize(x, y, n, scale, zero_point);
}

template <class T>
SDX_INLINE void dequantize(const T* x, float* y, std::size_t n, float scale, int32_t zero_point) {
  std::size_t i = 0;
  const auto number = [&](VecI v) {
    return to_float(wrapping_subtract(v, splat(zero_point))) * scale;
  };
  for (; i + kF32 <= n; i += kF32) store(y + i, number(load_lanes(x + i)));
  if (i < n) store_head(y + i, number(load_lanes_head(x + i, n - i)), n - i);
}

void dequantize_u8(const uint8_t* x, float* y, std::size_t n, float scale, int32_t zero_point) {
  dequantize(x, y, n, scale, zero_point);
}

void dequantize_s8(const int8_t* x, float* y, std::size_t n, float scale, int32_t zero_point) {
  dequantize(x, y, n, scale, zero_point);
}

void dequantize_s32(const int32_t* x, float* y, std::size_t n, float scale, int32_t zero_point) {
  dequantize(x, y, n, scale, zero_point);
}

template <class T>
SDX_INLINE void quantized_add(const T* a, const T* b, T* y, std::size_t n,
                              const QuantizedSum& sum) {
  constexpr int32_t kLo = static_cast<T>(-1) < 0 ? -128 : 0, kHi = kLo + 255;
  const VecF lo = splat(static_cast<float>(kLo - sum.zero_point));
  const VecF hi = splat(static_cast<float>(kHi - sum.zero_point));
  const VecF a_factor = splat(sum.a_factor), b_factor = splat(sum.b_factor);
  const VecF offset = splat(sum.offset);
  const auto added = [=](VecI x, VecI z) __attribute__((always_inline)) {
    const VecF v = to_float(x) * a_factor + (to_float(z) * b_factor + offset);
    return to_int_even(min(max(v, lo), hi)) + sum.zero_point;
  };
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) store_lanes(y + i, added(load_lanes(a + i), load_lanes(b + i)));
  if (i < n)
    store_lanes_head(y + i, added(load_lanes_head(a + i, n - i), load_lanes_head(b + i, n - i)),
                     n - i);
}

void quantized_add_u8(const uint8_t* a, const uint8_t* b, uint8_t* y, std::size_t n,
                      const QuantizedSum& sum) {
  quantized_add(a, b, y, n, sum);
}

void quantized_add_s8(const int8_t* a, const int8_t* b, int8_t* y, std::size_t n,
                      const QuantizedSum& sum) {
  quantized_add(a, b, y, n, sum);
}

void max_into_u8(const uint8_t* x, uint8_t* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] > y[i] ? x[i] : y[i];
}

void max_into_s8(const int8_t* x, int8_t* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] > y[i] ? x[i] : y[i];
}

MinMax min_max(const float* x, std::size_t n) {
  VecF least = splat(kInfinity), greatest = splat(-kInfinity);
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) {
    const VecF v = load(x + i);  // first: where it is NaN the other operand is kept
    least = min(v, least);
    greatest = max(v, greatest);
  }
  MinMax found{reduce_min(least), reduce_max(greatest)};
  for (; i < n; ++i) {
    found.min = x[i] < found.min ? x[i] : found.min;
    found.max = x[i] > found.max ? x[i] : found.max;
  }
  return found;
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(quantize_u8, QuantizeU8)
SDX_DEFINE_KERNEL(quantize_s8, QuantizeS8)
SDX_DEFINE_KERNEL(dequantize_u8, DequantizeU8)
SDX_DEFINE_KERNEL(dequantize_s8, DequantizeS8)
SDX_DEFINE_KERNEL(dequantize_s32, DequantizeS32)
SDX_DEFINE_KERNEL(quantized_add_u8, QuantizedAddU8)
SDX_DEFINE_KERNEL(quantized_add_s8, QuantizedAddS8)
SDX_DEFINE_KERNEL(max_into_u8, MaxIntoU8)
SDX_DEFINE_KERNEL(max_into_s8, MaxIntoS8)
SDX_DEFINE_KERNEL(min_max, MinMaxOf)

}  // namespace sdx::kernels
