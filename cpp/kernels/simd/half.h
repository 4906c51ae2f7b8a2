// The 16-bit floats on vectors: kF32 of them in memory, their values in f32.
#pragma once

#include "kernels/simd/narrow.h"
#include "kernels/simd/round.h"

namespace sdx::kernels {
namespace SDX_ISA {

SDX_INLINE VecF load_f16(const uint16_t* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF>(
      _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
#elif defined(__F16C__)
  return reinterpret_cast<VecF>(
      _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#else
  const VecI bits = load_lanes(p);
  // The exponent is rebased by a multiplication, which makes subnormals right as well.
  const VecF magnitude = as_float((bits & 0x7fff) << 13) * 0x1p112f;
  const VecI special = (bits & 0x7c00) == 0x7c00;
  const VecI quiet = (bits & 0x3ff) != 0 ? splat(0x400000) : splat(0);
  return as_float(as_int(magnitude) | (special & (0x7f800000 | quiet)) | ((bits & 0x8000) << 16));
#endif
}

SDX_INLINE void store_f16(uint16_t* p, VecF v) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(reinterpret_cast<__m512>(v), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm256_cvtps_ph(reinterpret_cast<__m256>(v), _MM_FROUND_TO_NEAREST_INT));
#else
  const VecI all = as_int(v);
  const VecI magnitude = all & 0x7fffffff;
  const VecF a = as_float(magnitude);
  // Rounded by integer addition, which may carry into the exponent, as it should.
  const VecI normal = wrapping_add(magnitude, 0xfff - (112 << 23) + ((magnitude >> 13) & 1)) >> 13;
  // Added to 1/2, a number below 2^-14 is rounded to the spacing of the subnormals.
  const VecI small = as_int(a + 0.5f) - 0x3f000000;
  const VecI nan = 0x7e00 | ((magnitude >> 13) & 0x3ff);
  VecI bits = a < 0x1p-14f ? small : normal;
  bits = a >= 65520.0f ? splat(0x7c00) : bits;
  bits = a != a ? nan : bits;
  store_lanes(p, bits | ((all >> 16) & 0x8000));
#endif
}

SDX_INLINE VecF load_bf16(const uint16_t* p) { return as_float(load_lanes(p) << 16); }

SDX_INLINE void store_bf16(uint16_t* p, VecF v) {
  const VecI all = as_int(v);
  const VecI rounded = all + 0x7fff + ((all >> 16) & 1);
  store_lanes(p, ((v == v ? rounded : (all | 0x400000)) >> 16) & 0xffff);
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
