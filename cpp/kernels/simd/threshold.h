// Comparisons with a threshold that set bits, and table look-ups by lane.
#pragma once

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

// Sets `bits` in the lanes where x <= threshold fails, NaN among them.
SDX_INLINE VecI set_unless_low(VecI set, VecF x, float threshold, uint32_t bits) {
#if defined(__AVX512F__)
  const auto s = reinterpret_cast<__m512i>(set);
  const __mmask16 fails =
      _mm512_cmp_ps_mask(reinterpret_cast<__m512>(x), _mm512_set1_ps(threshold), _CMP_NLE_UQ);
  return reinterpret_cast<VecI>(
      _mm512_mask_or_epi32(s, fails, s, _mm512_set1_epi32(static_cast<int>(bits))));
#else
  return set | (~(x <= splat(threshold)) & splat(static_cast<int32_t>(bits)));
#endif
}

// The same where NaN passes.
SDX_INLINE VecI set_if_high(VecI set, VecF x, float threshold, uint32_t bits) {
#if defined(__AVX512F__)
  const auto s = reinterpret_cast<__m512i>(set);
  const __mmask16 fails =
      _mm512_cmp_ps_mask(reinterpret_cast<__m512>(x), _mm512_set1_ps(threshold), _CMP_GT_OQ);
  return reinterpret_cast<VecI>(
      _mm512_mask_or_epi32(s, fails, s, _mm512_set1_epi32(static_cast<int>(bits))));
#else
  return set | ((x > splat(threshold)) & splat(static_cast<int32_t>(bits)));
#endif
}

// Which bit of each lane is the lowest that is clear; some bit is.
SDX_INLINE VecI lowest_clear(VecI set) {
  const VecW ones = reinterpret_cast<VecW>(set);
  const VecI bit = reinterpret_cast<VecI>(~ones & (ones + 1));
  // The exponent of a power of two is its position; the sign of the highest is masked away.
  return ((as_int(__builtin_convertvector(bit, VecF)) >> 23) & 0xff) - 127;
}

SDX_INLINE VecF look_up(const float* table, VecI index) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF>(
      _mm512_i32gather_ps(reinterpret_cast<__m512i>(index), table, sizeof(float)));
#else
  VecF values{};
  for (std::size_t i = 0; i < kF32; ++i) values[i] = table[index[i]];
  return values;
#endif
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
