// Logic on bytes, in loops which the compiler makes vectors of.
#include "kernels/logic.h"

#include "kernels/simd/pairs.h"

namespace sdx::kernels {
namespace SDX_ISA {

void logic_and(const uint8_t* a, std::size_t a_step, const uint8_t* b, std::size_t b_step,
               uint8_t* y, std::size_t n) {
  combine_pairs(
      a, a_step, b, b_step, y, n,
      [](uint8_t p, uint8_t q) __attribute__((always_inline)) { return (p != 0) & (q != 0); });
}

void logic_or(const uint8_t* a, std::size_t a_step, const uint8_t* b, std::size_t b_step,
              uint8_t* y, std::size_t n) {
  combine_pairs(
      a, a_step, b, b_step, y, n,
      [](uint8_t p, uint8_t q) __attribute__((always_inline)) { return (p | q) != 0; });
}

void logic_xor(const uint8_t* a, std::size_t a_step, const uint8_t* b, std::size_t b_step,
               uint8_t* y, std::size_t n) {
  combine_pairs(
      a, a_step, b, b_step, y, n,
      [](uint8_t p, uint8_t q) __attribute__((always_inline)) { return (p != 0) ^ (q != 0); });
}

void logic_not(const uint8_t* x, uint8_t* y, std::size_t n) {
#pragma GCC ivdep
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] == 0;
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(logic_and, LogicPair)
SDX_DEFINE_KERNEL(logic_or, LogicPair)
SDX_DEFINE_KERNEL(logic_xor, LogicPair)
SDX_DEFINE_KERNEL(logic_not, LogicNot)

}  // namespace sdx::kernels
