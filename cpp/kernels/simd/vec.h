// The widest vectors of the tier this file is built for, as GCC vector extensions: + - * / and
// comparisons work on them directly. The few things the extensions lack are functions below, the
// only intrinsics outside the dot-product loops. All of it lives in the tier's own namespace, so
// two builds can never share an inline function.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false positives of GCC 12
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define SDX_INLINE static inline __attribute__((always_inline))

namespace sdx::kernels {
namespace SDX_ISA {

#if defined(__AVX512F__)
inline constexpr std::size_t kVecBytes = 64;
#elif defined(__AVX2__)
inline constexpr std::size_t kVecBytes = 32;
#else
inline constexpr std::size_t kVecBytes = 16;
#endif

inline constexpr std::size_t kF32 = kVecBytes / 4;  // floats in a vector

typedef float VecF __attribute__((vector_size(kVecBytes)));
typedef int32_t VecI __attribute__((vector_size(kVecBytes)));
typedef uint32_t VecW __attribute__((vector_size(kVecBytes)));
typedef float VecFu __attribute__((vector_size(kVecBytes), aligned(4), may_alias));
// Integers are read out of rows of bytes, too, at any address.
typedef int32_t VecIu __attribute__((vector_size(kVecBytes), aligned(1), may_alias));

SDX_INLINE VecF load(const float* p) { return *reinterpret_cast<const VecFu*>(p); }
SDX_INLINE void store(float* p, VecF v) { *reinterpret_cast<VecFu*>(p) = v; }
SDX_INLINE VecI load(const int32_t* p) { return *reinterpret_cast<const VecIu*>(p); }
SDX_INLINE void store(int32_t* p, VecI v) { *reinterpret_cast<VecIu*>(p) = v; }
SDX_INLINE VecF splat(float x) { return x - VecF{}; }
SDX_INLINE VecI splat(int32_t x) { return x - VecI{}; }
SDX_INLINE VecI as_int(VecF v) { return reinterpret_cast<VecI>(v); }
SDX_INLINE VecF as_float(VecI v) { return reinterpret_cast<VecF>(v); }

// a - b and a + b, which may wrap around.
SDX_INLINE VecI wrapping_subtract(VecI a, VecI b) {
  return reinterpret_cast<VecI>(reinterpret_cast<VecW>(a) - reinterpret_cast<VecW>(b));
}
SDX_INLINE VecI wrapping_add(VecI a, VecI b) {
  return reinterpret_cast<VecI>(reinterpret_cast<VecW>(a) + reinterpret_cast<VecW>(b));
}

// Lane-wise minimum and maximum; where either lane is NaN the second operand is the answer on x86,
// NaN on ARM, so callers order operands for the NaN they want or mend it afterwards.
SDX_INLINE VecF min(VecF a, VecF b) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF>(
      _mm512_min_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<VecF>(
      _mm256_min_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<VecF>(
      _mm_min_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b)));
#else
  return a < b ? a : b;
#endif
}

SDX_INLINE VecF max(VecF a, VecF b) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF>(
      _mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<VecF>(
      _mm256_max_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<VecF>(
      _mm_max_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b)));
#else
  return a > b ? a : b;
#endif
}

SDX_INLINE VecF abs(VecF a) { return as_float(as_int(a) & 0x7fffffff); }

// Lane i trades places with lane i ^ kDistance, a power of two.
template <std::size_t kDistance>
SDX_INLINE VecF swap_lanes(VecF v) {
#if defined(__AVX512F__)
  const __m512 x = reinterpret_cast<__m512>(v);
  if constexpr (kDistance == 8)
    return reinterpret_cast<VecF>(_mm512_shuffle_f32x4(x, x, 0x4e));
  else if constexpr (kDistance == 4)
    return reinterpret_cast<VecF>(_mm512_shuffle_f32x4(x, x, 0xb1));
  else
    return reinterpret_cast<VecF>(_mm512_permute_ps(x, kDistance == 2 ? 0x4e : 0xb1));
#elif defined(__AVX2__)
  const __m256 x = reinterpret_cast<__m256>(v);
  if constexpr (kDistance == 4)
    return reinterpret_cast<VecF>(_mm256_permute2f128_ps(x, x, 1));
  else
    return reinterpret_cast<VecF>(_mm256_permute_ps(x, kDistance == 2 ? 0x4e : 0xb1));
#else
  if constexpr (kDistance == 2)
    return __builtin_shuffle(v, VecI{2, 3, 0, 1});
  else
    return __builtin_shuffle(v, VecI{1, 0, 3, 2});
#endif
}

// One lane from all, by a symmetric function of two vectors.
template <class F>
SDX_INLINE float fold(VecF v, F f) {
  if constexpr (kF32 >= 16) v = f(swap_lanes<8>(v), v);
  if constexpr (kF32 >= 8) v = f(swap_lanes<4>(v), v);
  v = f(swap_lanes<2>(v), v);
  v = f(swap_lanes<1>(v), v);
  return v[0];
}

SDX_INLINE float reduce_add(VecF v) {
  return fold(
      v, [](VecF a, VecF b) __attribute__((always_inline)) { return a + b; });
}
SDX_INLINE float reduce_max(VecF v) {
  return fold(
      v, [](VecF a, VecF b) __attribute__((always_inline)) { return max(a, b); });
}
SDX_INLINE float reduce_min(VecF v) {
  return fold(
      v, [](VecF a, VecF b) __attribute__((always_inline)) { return min(a, b); });
}

// Whether load_head and store_head are single instructions.
#if defined(__AVX512F__)
inline constexpr bool kMaskedTails = true;
#else
inline constexpr bool kMaskedTails = false;
#endif

// The first n lanes (n <= kF32) from or to memory; nothing beyond them is touched.
SDX_INLINE VecF load_head(const float* p, std::size_t n) {
#if defined(__AVX512F__)
  return reinterpret_cast<VecF>(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p));
#elif defined(__AVX2__)
  const VecI inside = VecI{0, 1, 2, 3, 4, 5, 6, 7} < splat(static_cast<int32_t>(n));
  return reinterpret_cast<VecF>(_mm256_maskload_ps(p, reinterpret_cast<__m256i>(inside)));
#else
  float lanes[kF32] = {};
  for (std::size_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
#endif
}

SDX_INLINE void store_head(float* p, VecF v, std::size_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), reinterpret_cast<__m512>(v));
#elif defined(__AVX2__)
  // By pieces: masked stores take many steps on some processors, and n is often the same again.
  const __m256 whole = reinterpret_cast<__m256>(v);
  if (n >= kF32) return _mm256_storeu_ps(p, whole);
  __m128 part = _mm256_castps256_ps128(whole);
  if (n & 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps(whole, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), part);
    part = _mm_movehl_ps(part, part);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, part);
#else
  float lanes[kF32];
  store(lanes, v);
  for (std::size_t i = 0; i < n; ++i) p[i] = lanes[i];
#endif
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
