// Dot products of four neighbouring bytes into 32-bit lanes, exact on every tier: by the
// instruction where there is one, else widened to 16 bits (pmaddubsw would saturate).
#pragma once

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

typedef int16_t VecS16 __attribute__((vector_size(kVecBytes)));
typedef uint16_t VecU16 __attribute__((vector_size(kVecBytes)));

// The sum of the products of the two 16-bit halves of every lane.
SDX_INLINE VecI multiply_pairs(VecS16 a, VecS16 b) {
#if defined(__AVX512BW__)
  return reinterpret_cast<VecI>(
      _mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<VecI>(
      _mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<VecI>(
      _mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  const VecI x = reinterpret_cast<VecI>(a), y = reinterpret_cast<VecI>(b);
  return ((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16);
#endif
}

// The left operand's bytes are unsigned, or signed where kDotLeftSigned; the right one's are
// signed.
#if defined(__AVX512VNNI__)
inline constexpr bool kDotLeftSigned = false;
using DotLeft = VecI;
using DotRight = VecI;
SDX_INLINE DotLeft dot_left(VecI bytes) { return bytes; }
SDX_INLINE DotRight dot_right(VecI bytes) { return bytes; }
SDX_INLINE VecI dot(VecI sum, DotLeft left, DotRight right) {
  return reinterpret_cast<VecI>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum),
                                                    reinterpret_cast<__m512i>(left),
                                                    reinterpret_cast<__m512i>(right)));
}
#elif defined(__ARM_FEATURE_DOTPROD)
inline constexpr bool kDotLeftSigned = true;
using DotLeft = VecI;
using DotRight = VecI;
SDX_INLINE DotLeft dot_left(VecI bytes) { return bytes; }
SDX_INLINE DotRight dot_right(VecI bytes) { return bytes; }
SDX_INLINE VecI dot(VecI sum, DotLeft left, DotRight right) {
  return reinterpret_cast<VecI>(vdotq_s32(reinterpret_cast<int32x4_t>(sum),
                                          reinterpret_cast<int8x16_t>(left),
                                          reinterpret_cast<int8x16_t>(right)));
}
#else
inline constexpr bool kDotLeftSigned = false;

// Bytes 0 and 2 of every lane, and bytes 1 and 3, as pairs of 16 bits.
struct DotPairs {
  VecS16 even, odd;
};
using DotLeft = DotPairs;
using DotRight = DotPairs;

SDX_INLINE DotLeft dot_left(VecI bytes) {
  return {reinterpret_cast<VecS16>(bytes & 0x00ff00ff),
          reinterpret_cast<VecS16>(reinterpret_cast<VecU16>(bytes) >> 8)};
}
SDX_INLINE DotRight dot_right(VecI bytes) {
  const VecS16 halves = reinterpret_cast<VecS16>(bytes);
  return {reinterpret_cast<VecS16>(reinterpret_cast<VecU16>(bytes) << 8) >> 8, halves >> 8};
}

SDX_INLINE VecI dot(VecI sum, const DotLeft& left, const DotRight& right) {
  return sum + (multiply_pairs(left.even, right.even) + multiply_pairs(left.odd, right.odd));
}
#endif

// The same for bytes of `left` in [0, 15] whatever the tier, whose products fit narrower sums.
SDX_INLINE VecI dot_nibbles(VecI sum, VecI left, VecI right) {
#if defined(__AVX512BW__) && !defined(__AVX512VNNI__)
  const __m512i pairs =
      _mm512_maddubs_epi16(reinterpret_cast<__m512i>(left), reinterpret_cast<__m512i>(right));
  return sum + reinterpret_cast<VecI>(_mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
#elif defined(__AVX2__) && !defined(__AVX512VNNI__)
  const __m256i pairs =
      _mm256_maddubs_epi16(reinterpret_cast<__m256i>(left), reinterpret_cast<__m256i>(right));
  return sum + reinterpret_cast<VecI>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#else
  return dot(sum, dot_left(left), dot_right(right));
#endif
}

// Four bytes as they lie; the second form reads n < 4 of them and takes the rest for 0.
SDX_INLINE int32_t word_at(const uint8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return word;
}
SDX_INLINE int32_t word_at(const uint8_t* p, std::size_t n) {
  uint32_t word = 0;
  for (std::size_t i = 0; i < n; ++i) word |= static_cast<uint32_t>(p[i]) << (8 * i);
  return static_cast<int32_t>(word);
}

// The same four bytes in every lane.
SDX_INLINE VecI spread4(const uint8_t* p) { return splat(word_at(p)); }
SDX_INLINE VecI spread4(const uint8_t* p, std::size_t n) { return splat(word_at(p, n)); }

}  // namespace SDX_ISA
}  // namespace sdx::kernels
