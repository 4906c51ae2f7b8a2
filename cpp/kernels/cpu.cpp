// Probes the processor once; SDX_ISA in the environment can only lower the answer.
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "kernels/kernel.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace sdx::kernels {
namespace {

#define SDX_ISA_NAME(isa, ...) #isa,
constexpr const char* kIsaNames[] = {SDX_FOR_EACH_DOT_ISA(SDX_ISA_NAME)};
#undef SDX_ISA_NAME

// Whether this machine runs a tier's instructions, those of the tiers before it included.
bool runs([[maybe_unused]] const char* tier) noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi2"))
    return false;
  if (!std::strcmp(tier, "avx2")) return true;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return false;
  return !std::strcmp(tier, "avx512") || __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
  constexpr unsigned long kAsimdDp = 1ul << 20;  // HWCAP_ASIMDDP
  return !std::strcmp(tier, "dotprod") && (getauxval(AT_HWCAP) & kAsimdDp);
#else
  return false;
#endif
}

// Of those that were built (SDX_TIERS of the build).
Isa best_tier() noexcept {
  std::size_t best = 0;
  while (best + 1 < std::size(kIsaNames) && runs(kIsaNames[best + 1])) ++best;
  return static_cast<Isa>(best);
}

Isa probe() noexcept {
  const Isa best = best_tier();
  const char* ceiling = std::getenv("SDX_ISA");
  if (!ceiling) return best;
  for (std::size_t i = 0; i < static_cast<std::size_t>(best); ++i)
    if (!std::strcmp(ceiling, kIsaNames[i])) return static_cast<Isa>(i);
  return best;
}

CpuFeatures probe_features() noexcept {
  CpuFeatures features;
#if defined(__x86_64__)
  __builtin_cpu_init();
  features.avx512_vnni = __builtin_cpu_supports("avx512vnni");
  features.avx512_bf16 = __builtin_cpu_supports("avx512bf16");
#endif
  return features;
}

}  // namespace

Isa host_isa() noexcept {
  static const Isa isa = probe();
  return isa;
}

const CpuFeatures& host_features() noexcept {
  static const CpuFeatures features = probe_features();
  return features;
}

const char* isa_name(Isa isa) noexcept { return kIsaNames[static_cast<std::size_t>(isa)]; }

}  // namespace sdx::kernels
