// Sums over contiguous floats that stay accurate however long they are.
#pragma once

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

// Long sums are cut into blocks of this many floats; the blocks are added in double.
inline constexpr std::size_t kSumBlock = 64 * kF32;

// The first n lanes of v, zeros in the others.
SDX_INLINE VecF first_lanes(VecF v, std::size_t n) {
  static constexpr int32_t kLanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const VecI lane = load(kLanes);
  return lane < splat(static_cast<int32_t>(n)) ? v : VecF{};
}

template <class F>
SDX_INLINE VecF sum_block(const float* x, std::size_t n, F f) {
  VecF s0{}, s1{}, s2{}, s3{};
  std::size_t i = 0;
  for (; i + 4 * kF32 <= n; i += 4 * kF32) {
    s0 += f(load(x + i));
    s1 += f(load(x + i + kF32));
    s2 += f(load(x + i + 2 * kF32));
    s3 += f(load(x + i + 3 * kF32));
  }
  for (; i + kF32 <= n; i += kF32) s0 += f(load(x + i));
  // The lanes beyond the end hold 0, for which f need not be 0.
  if (i < n) s1 += first_lanes(f(load_head(x + i, n - i)), n - i);
  return (s0 + s1) + (s2 + s3);
}

// The sum of f(x[i]) for a function of vectors.
template <class F>
SDX_INLINE double sum_of(const float* x, std::size_t n, F f) {
  double total = 0;
  for (; n > kSumBlock; x += kSumBlock, n -= kSumBlock)
    total += reduce_add(sum_block(x, kSumBlock, f));
  return total + reduce_add(sum_block(x, n, f));
}

SDX_INLINE double sum_of(const float* x, std::size_t n) {
  return sum_of(
      x, n, [](VecF v) __attribute__((always_inline)) { return v; });
}

// The sum of (x[i] - mean)^2.
SDX_INLINE double squares_about(const float* x, std::size_t n, float mean) {
  const VecF m = splat(mean);
  return sum_of(
      x, n, [=](VecF v) __attribute__((always_inline)) { return (v - m) * (v - m); });
}

// totals[v] = the sum of f(row r, v) for r < rows, lane by lane: plain within blocks of rows,
// compensated (Kahan) between them.
template <std::size_t kVectors, class F>
SDX_INLINE void sum_lanes(std::size_t rows, VecF (&totals)[kVectors], F f) {
  constexpr std::size_t kBlock = 64, kParts = 4;
  VecF lost[kVectors] = {};
  for (VecF& total : totals) total = VecF{};
  for (std::size_t r = 0; r < rows;) {
    const std::size_t end = rows - r < kBlock ? rows : r + kBlock;
    VecF parts[kParts][kVectors] = {};
    for (; r + kParts <= end; r += kParts)
#pragma GCC unroll 4
      for (std::size_t part = 0; part < kParts; ++part)
#pragma GCC unroll 2
        for (std::size_t v = 0; v < kVectors; ++v) parts[part][v] += f(r + part, v);
    for (; r < end; ++r)
#pragma GCC unroll 2
      for (std::size_t v = 0; v < kVectors; ++v) parts[0][v] += f(r, v);
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) {
      const VecF corrected = ((parts[0][v] + parts[1][v]) + (parts[2][v] + parts[3][v])) - lost[v];
      const VecF next = totals[v] + corrected;
      // An infinite total has nothing to compensate, and its difference is NaN.
      lost[v] = abs(next) < __builtin_inff() ? (next - totals[v]) - corrected : VecF{};
      totals[v] = next;
    }
  }
}

template <class F>
SDX_INLINE VecF sum_lanes(std::size_t rows, F f) {
  VecF total[1];
  sum_lanes(
      rows, total, [=](std::size_t r, std::size_t) __attribute__((always_inline)) { return f(r); });
  return total[0];
}

// The greatest of n floats, -inf for none; NaN is passed over or not, as it comes.
SDX_INLINE float max_of(const float* x, std::size_t n) {
  const VecF lowest = splat(-__builtin_inff());
  VecF m0 = lowest, m1 = lowest, m2 = lowest, m3 = lowest;
  std::size_t i = 0;
  for (; i + 4 * kF32 <= n; i += 4 * kF32) {
    m0 = max(load(x + i), m0);
    m1 = max(load(x + i + kF32), m1);
    m2 = max(load(x + i + 2 * kF32), m2);
    m3 = max(load(x + i + 3 * kF32), m3);
  }
  for (; i + kF32 <= n; i += kF32) m0 = max(load(x + i), m0);
  if (i < n && n >= kF32) {
    m1 = max(load(x + n - kF32), m1);  // some once more
    i = n;
  }
  float best = reduce_max(max(max(m0, m1), max(m2, m3)));
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
