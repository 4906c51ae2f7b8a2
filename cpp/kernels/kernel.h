// A kernel is one function signature with one implementation per instruction-set tier.
#pragma once

#include <cstddef>
#include <cstdint>

#include <isa_list.h>

namespace sdx::kernels {

// The tiers of this build, weakest first; dot tiers add integer dot products to the one before.
#define SDX_ISA_ENUM(isa, ...) isa,
enum class Isa : unsigned char { SDX_FOR_EACH_DOT_ISA(SDX_ISA_ENUM) count };
#undef SDX_ISA_ENUM

// What this machine can do beyond its tier; kernels that use such an instruction ask here.
struct CpuFeatures {
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
};

// The best tier this machine can run, lowered by SDX_ISA=avx2 and the like. Probed once.
Isa host_isa() noexcept;
const CpuFeatures& host_features() noexcept;
const char* isa_name(Isa isa) noexcept;

template <class Fn>
struct Variant {
  Isa isa;
  Fn* run;
};

// Variants in ascending order; the first runs everywhere.
template <class Fn, std::size_t N>
struct Kernel {
  const char* name;
  Variant<Fn> variants[N];

  Fn* resolve(Isa ceiling = host_isa()) const noexcept {
    Fn* best = variants[0].run;
    for (const auto& v : variants)
      if (v.isa <= ceiling) best = v.run;
    return best;
  }
};

#define SDX_COUNT_ISA(...) +1
inline constexpr std::size_t kIsaCount = 0 SDX_FOR_EACH_ISA(SDX_COUNT_ISA);
inline constexpr std::size_t kDotIsaCount = 0 SDX_FOR_EACH_DOT_ISA(SDX_COUNT_ISA);
#undef SDX_COUNT_ISA

}  // namespace sdx::kernels

// Close a *.simd.cpp (or *.dot.simd.cpp) with one of these, outside namespace SDX_ISA and inside
// sdx::kernels. Only the baseline build emits the table.
#if defined(SDX_ISA_baseline)
#define SDX_DECLARE_VARIANT(isa, kernel, Signature) namespace isa { Signature kernel; }
#define SDX_LIST_VARIANT(isa, kernel, Signature) {Isa::isa, isa::kernel},
#define SDX_DEFINE_KERNEL(kernel, Signature)               \
  SDX_FOR_EACH_ISA(SDX_DECLARE_VARIANT, kernel, Signature) \
  constinit const Kernel<Signature, kIsaCount> kernel{     \
      #kernel, {SDX_FOR_EACH_ISA(SDX_LIST_VARIANT, kernel, Signature)}};
#define SDX_DEFINE_DOT_KERNEL(kernel, Signature)               \
  SDX_FOR_EACH_DOT_ISA(SDX_DECLARE_VARIANT, kernel, Signature) \
  constinit const Kernel<Signature, kDotIsaCount> kernel{      \
      #kernel, {SDX_FOR_EACH_DOT_ISA(SDX_LIST_VARIANT, kernel, Signature)}};
#else
#define SDX_DEFINE_KERNEL(kernel, Signature)
#define SDX_DEFINE_DOT_KERNEL(kernel, Signature)
#endif
