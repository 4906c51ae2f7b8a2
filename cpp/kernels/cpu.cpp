// Probes the processor once; SDX_ISA in the environment can only lower the answer.
#include <cstdlib>
#include <cstring>

#include "kernels/kernel.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace sdx::kernels {
namespace {

#define SDX_ISA_NAME(isa, ...) #isa,
constexpr const char* kIsaNames[] = {SDX_FOR_EACH_DOT_ISA(SDX_ISA_NAME)};
#undef SDX_ISA_NAME

Isa best_tier() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi2"))
    return Isa::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return Isa::avx2;
  return __builtin_cpu_supports("avx512vnni") ? Isa::avx512vnni : Isa::avx512;
#elif defined(__aarch64__)
  constexpr unsigned long kAsimdDp = 1ul << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kAsimdDp) ? Isa::dotprod : Isa::baseline;
#else
  return Isa::baseline;
#endif
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
