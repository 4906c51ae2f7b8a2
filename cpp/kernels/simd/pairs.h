// Loops over pairs of operands that move or stand still, which the compiler makes vectors of. In
// the tier's own namespace.
#pragma once

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

// Calls f(i, a, b) for n pairs. A step is 1, or 0 for an operand that is one item; what f writes
// may lie where an operand of step 1 does.
template <class T, class F>
SDX_INLINE void for_each_pair(const T* a, std::size_t a_step, const T* b, std::size_t b_step,
                              std::size_t n, F f) {
  if (n == 0) return;
  const T first = *a, second = *b;
  if (a_step && b_step) {
#pragma GCC ivdep
    for (std::size_t i = 0; i < n; ++i) f(i, a[i], b[i]);
  } else if (a_step) {
#pragma GCC ivdep
    for (std::size_t i = 0; i < n; ++i) f(i, a[i], second);
  } else if (b_step) {
#pragma GCC ivdep
    for (std::size_t i = 0; i < n; ++i) f(i, first, b[i]);
  } else {
    for (std::size_t i = 0; i < n; ++i) f(i, first, second);
  }
}

// y[i] = f(a, b) for n pairs; f is inlined where its lambda says so.
template <class T, class F>
SDX_INLINE void combine_pairs(const T* a, std::size_t a_step, const T* b, std::size_t b_step, T* y,
                              std::size_t n, F f) {
  for_each_pair(
      a, a_step, b, b_step,
      n, [=](std::size_t i, T first, T second) __attribute__((always_inline)) {
        y[i] = static_cast<T>(f(first, second));
      });
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
