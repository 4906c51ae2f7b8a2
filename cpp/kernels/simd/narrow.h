// Between vectors of 32-bit lanes and memory of 8 and 16 bits an element; kF32 elements each way,
// or the first few. Stores keep the low bits of a lane.
#pragma once

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

typedef uint8_t VecLanes8 __attribute__((vector_size(kF32), aligned(1), may_alias));
typedef int8_t VecLanesS8 __attribute__((vector_size(kF32), aligned(1), may_alias));
typedef uint16_t VecLanes16 __attribute__((vector_size(2 * kF32), aligned(1), may_alias));

SDX_INLINE VecI load_lanes(const uint8_t* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecI>(
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(__AVX2__)
  return reinterpret_cast<VecI>(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  return __builtin_convertvector(*reinterpret_cast<const VecLanes8*>(p), VecI);
#endif
}

SDX_INLINE VecI load_lanes(const int8_t* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecI>(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(__AVX2__)
  return reinterpret_cast<VecI>(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  return __builtin_convertvector(*reinterpret_cast<const VecLanesS8*>(p), VecI);
#endif
}

SDX_INLINE VecI load_lanes(const uint16_t* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecI>(
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
#elif defined(__AVX2__)
  return reinterpret_cast<VecI>(
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#else
  return __builtin_convertvector(*reinterpret_cast<const VecLanes16*>(p), VecI);
#endif
}

SDX_INLINE VecI load_lanes(const int32_t* p) { return load(p); }

SDX_INLINE void store_lanes(uint8_t* p, VecI v) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm512_cvtepi32_epi8(reinterpret_cast<__m512i>(v)));
#elif defined(__AVX2__)
  const __m256i low =
      _mm256_shuffle_epi8(reinterpret_cast<__m256i>(v), _mm256_set1_epi32(0x0c080400));
  const __m128i both =
      _mm_unpacklo_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), both);
#else
  *reinterpret_cast<VecLanes8*>(p) = __builtin_convertvector(v, VecLanes8);
#endif
}

SDX_INLINE void store_lanes(int8_t* p, VecI v) { store_lanes(reinterpret_cast<uint8_t*>(p), v); }

SDX_INLINE void store_lanes(uint16_t* p, VecI v) {
#if defined(__AVX512F__)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtepi32_epi16(reinterpret_cast<__m512i>(v)));
#elif defined(__AVX2__)
  const __m256i low = _mm256_and_si256(reinterpret_cast<__m256i>(v), _mm256_set1_epi32(0xffff));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
#else
  *reinterpret_cast<VecLanes16*>(p) = __builtin_convertvector(v, VecLanes16);
#endif
}

SDX_INLINE void store_lanes(int32_t* p, VecI v) { store(p, v); }

// The first n < kF32; other lanes load as 0 and are not stored.
template <class T>
SDX_INLINE VecI load_lanes_head(const T* p, std::size_t n) {
  T lanes[kF32] = {};
  for (std::size_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load_lanes(lanes);
}

template <class T>
SDX_INLINE void store_lanes_head(T* p, VecI v, std::size_t n) {
  T lanes[kF32];
  store_lanes(lanes, v);
  for (std::size_t i = 0; i < n; ++i) p[i] = lanes[i];
}

// To the nearest integer, halves to even, for lanes within the range of int32_t.
SDX_INLINE VecI to_int_even(VecF v) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecI>(_mm512_cvtps_epi32(reinterpret_cast<__m512>(v)));
#elif defined(__AVX2__)
  return reinterpret_cast<VecI>(_mm256_cvtps_epi32(reinterpret_cast<__m256>(v)));
#elif defined(__SSE2__)
  return reinterpret_cast<VecI>(_mm_cvtps_epi32(reinterpret_cast<__m128>(v)));
#elif defined(__aarch64__)
  return reinterpret_cast<VecI>(vcvtnq_s32_f32(reinterpret_cast<float32x4_t>(v)));
#else
  for (std::size_t i = 0; i < kF32; ++i) v[i] = __builtin_rintf(v[i]);
  return __builtin_convertvector(v, VecI);
#endif
}

SDX_INLINE VecF to_float(VecI v) { return __builtin_convertvector(v, VecF); }

}  // namespace SDX_ISA
}  // namespace sdx::kernels
