#include "kernels/peak.h"

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

// More chains than two units of latency four need, fewer than there are registers.
inline constexpr std::size_t kChains = 12;

double peak_flops(std::size_t rounds, float* sink) {
  // Values that settle at a fixed point and stay normal numbers.
  const VecF scale = splat(0.5f), shift = splat(*sink);
  VecF chain[kChains];
  for (std::size_t i = 0; i < kChains; ++i) chain[i] = splat(static_cast<float>(i + 1));
  for (std::size_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kChains; ++i) chain[i] = chain[i] * scale + shift;
  VecF total = chain[0];
  for (std::size_t i = 1; i < kChains; ++i) total = total + chain[i];
  *sink = total[0];
  return 2.0 * static_cast<double>(rounds * kChains * kF32);
}

void peak_read(const float* x, std::size_t n, float* sink) {
  constexpr std::size_t kStreams = 4;
  VecF total[kStreams] = {};
  std::size_t i = 0;
  for (; i + kStreams * kF32 <= n; i += kStreams * kF32)
#pragma GCC unroll 4
    for (std::size_t s = 0; s < kStreams; ++s) total[s] = total[s] + load(x + i + s * kF32);
  float rest = 0;
  for (; i < n; ++i) rest += x[i];
  const VecF sum = (total[0] + total[1]) + (total[2] + total[3]);
  for (std::size_t lane = 0; lane < kF32; ++lane) rest += sum[lane];
  *sink = rest;
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(peak_flops, PeakFlops)
SDX_DEFINE_KERNEL(peak_read, PeakRead)

}  // namespace sdx::kernels
