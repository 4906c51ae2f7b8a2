// What the vector functions need beyond vec.h: rounding, roots, scaling by powers of two, tests of
// whole masks and loops over runs. Vectors only, in the tier's own namespace.
#pragma once

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

inline constexpr int32_t kSignBit = static_cast<int32_t>(0x80000000u);
inline constexpr float kInfinity = __builtin_inff();

// The magnitude of `a` with the sign of `sign`.
SDX_INLINE VecF copysign(VecF a, VecF sign) {
  return as_float((as_int(a) & 0x7fffffff) | (as_int(sign) & kSignBit));
}

// Lanes of a mask (a comparison's result: 0 or -1).
SDX_INLINE bool any(VecI mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask)) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps(reinterpret_cast<__m256>(mask)) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_ps(reinterpret_cast<__m128>(mask)) != 0;
#else
  int32_t bits = 0;
  for (std::size_t i = 0; i < kF32; ++i) bits |= mask[i];
  return bits != 0;
#endif
}

SDX_INLINE VecF sqrt(VecF a) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF>(_mm512_sqrt_ps(reinterpret_cast<__m512>(a)));
#elif defined(__AVX2__)
  return reinterpret_cast<VecF>(_mm256_sqrt_ps(reinterpret_cast<__m256>(a)));
#elif defined(__SSE2__)
  return reinterpret_cast<VecF>(_mm_sqrt_ps(reinterpret_cast<__m128>(a)));
#elif defined(__aarch64__)
  return reinterpret_cast<VecF>(vsqrtq_f32(reinterpret_cast<float32x4_t>(a)));
#else
  for (std::size_t i = 0; i < kF32; ++i) a[i] = __builtin_sqrtf(a[i]);
  return a;
#endif
}

// To the nearest integer, halves to even; the sign of zero is kept.
SDX_INLINE VecF round_even(VecF a) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF>(_mm512_roundscale_ps(reinterpret_cast<__m512>(a), 8));
#elif defined(__AVX2__)
  return reinterpret_cast<VecF>(_mm256_round_ps(reinterpret_cast<__m256>(a), 8));
#elif defined(__aarch64__)
  return reinterpret_cast<VecF>(vrndnq_f32(reinterpret_cast<float32x4_t>(a)));
#else
  const VecF magnitude = abs(a);
  const VecF rounded = (magnitude + 8388608.0f) - 8388608.0f;
  return magnitude < 8388608.0f ? copysign(rounded, a) : a;
#endif
}

SDX_INLINE VecF floor(VecF a) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF>(_mm512_roundscale_ps(reinterpret_cast<__m512>(a), 9));
#elif defined(__AVX2__)
  return reinterpret_cast<VecF>(_mm256_round_ps(reinterpret_cast<__m256>(a), 9));
#elif defined(__aarch64__)
  return reinterpret_cast<VecF>(vrndmq_f32(reinterpret_cast<float32x4_t>(a)));
#else
  const VecF rounded = round_even(a);
  return copysign(rounded > a ? rounded - 1.0f : rounded, a);
#endif
}

SDX_INLINE VecF ceil(VecF a) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF>(_mm512_roundscale_ps(reinterpret_cast<__m512>(a), 10));
#elif defined(__AVX2__)
  return reinterpret_cast<VecF>(_mm256_round_ps(reinterpret_cast<__m256>(a), 10));
#elif defined(__aarch64__)
  return reinterpret_cast<VecF>(vrndpq_f32(reinterpret_cast<float32x4_t>(a)));
#else
  const VecF rounded = round_even(a);
  return copysign(rounded < a ? rounded + 1.0f : rounded, a);
#endif
}

// p * 2^n for a float n that is an integer in [-200, 200]: overflows to infinity, goes through the
// subnormals to 0.
SDX_INLINE VecF scale_by_power(VecF p, VecF n) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF>(
      _mm512_scalef_ps(reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(n)));
#else
  const VecI whole = __builtin_convertvector(n, VecI);
  const VecI half = whole >> 1;  // two steps: 2^n itself may be out of range
  return p * as_float((half + 127) << 23) * as_float((whole - half + 127) << 23);
#endif
}

// The same where p and the result are normal numbers. `shifted` is n + 1.5 * 2^23, which has the
// integer in its low bits.
SDX_INLINE VecF scale_normal(VecF p, [[maybe_unused]] VecF n, [[maybe_unused]] VecF shifted) {
#if defined(__AVX512F__)
  return scale_by_power(p, n);
#else
  return as_float(wrapping_add(as_int(p), as_int(shifted) << 23));
#endif
}

// 1 / q to about an ulp, for normal q whose reciprocal is normal.
SDX_INLINE VecF reciprocal(VecF q) {
#if defined(__AVX512F__)
  const VecF r = reinterpret_cast<VecF>(_mm512_rcp14_ps(reinterpret_cast<__m512>(q)));
  return r + r * (1.0f - q * r);
#else
  return 1.0f / q;
#endif
}

// p / q to about an ulp, for q whose magnitude lies within [2^-100, 2^100].
SDX_INLINE VecF quotient(VecF p, VecF q) {
#if defined(__AVX512F__)
  const VecF r = reinterpret_cast<VecF>(_mm512_rcp14_ps(reinterpret_cast<__m512>(q)));
  const VecF first = p * r;
  return first + first * (1.0f - q * r);
#else
  return p / q;
#endif
}

// y[i] = f(x[i]) for a function of vectors; x and y may be the same.
template <class F>
SDX_INLINE void map(const float* x, float* y, std::size_t n, F f) {
  std::size_t i = 0;
  for (; i + 2 * kF32 <= n; i += 2 * kF32) {
    const VecF first = f(load(x + i)), second = f(load(x + i + kF32));
    store(y + i, first);
    store(y + i + kF32, second);
  }
  if (i + kF32 <= n) {
    store(y + i, f(load(x + i)));
    i += kF32;
  }
  if (i < n) store_head(y + i, f(load_head(x + i, n - i)), n - i);
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
