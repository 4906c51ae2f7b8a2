// One axis of Winograd's transforms F(2, 3) and F(4, 3): of inputs, of weights and back to outputs.
#pragma once

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

template <int kOut>
struct WinogradPoints;

// The type of a vector's lanes: weights are transformed in float or in double.
template <class V>
using Scalar = decltype(V{}[0] + V{}[0]);

// The points 0, 1, -1 and infinity.
template <>
struct WinogradPoints<2> {
  SDX_INLINE void inputs(const VecF (&d)[4], VecF (&t)[4]) {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[3] - d[1];
  }
  SDX_INLINE void outputs(const VecF (&m)[4], VecF (&y)[2]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] + m[3];
  }
  template <class V>
  SDX_INLINE void weights(V a, V b, V c, V (&g)[4]) {
    g[0] = a;
    const V even = a + c;
    constexpr Scalar<V> half = 0.5;
    g[1] = (even + b) * half;
    g[2] = (even - b) * half;
    g[3] = c;
  }
};

// The points 0, p, -p, q, -q and infinity with p = 11/16 and q = 3/2, whose squares and products
// are exact in binary: their error is a few times smaller than that of the usual 1 and 2.
template <>
struct WinogradPoints<4> {
  static constexpr float kP = 0.6875f, kQ = 1.5f;
  static constexpr float kP2 = kP * kP, kQ2 = kQ * kQ;

  SDX_INLINE void inputs(const VecF (&d)[6], VecF (&t)[6]) {
    t[0] = d[4] - (kP2 + kQ2) * d[2] + (kP2 * kQ2) * d[0];
    const VecF even_p = d[4] - kQ2 * d[2], odd_p = kP * (d[3] - kQ2 * d[1]);
    t[1] = even_p + odd_p;
    t[2] = even_p - odd_p;
    const VecF even_q = d[4] - kP2 * d[2], odd_q = kQ * (d[3] - kP2 * d[1]);
    t[3] = even_q + odd_q;
    t[4] = even_q - odd_q;
    t[5] = d[5] - (kP2 + kQ2) * d[3] + (kP2 * kQ2) * d[1];
  }
  SDX_INLINE void outputs(const VecF (&m)[6], VecF (&y)[4]) {
    const VecF sum_p = m[1] + m[2], difference_p = m[1] - m[2];
    const VecF sum_q = m[3] + m[4], difference_q = m[3] - m[4];
    y[0] = m[0] + sum_p + sum_q;
    y[1] = kP * difference_p + kQ * difference_q;
    y[2] = kP2 * sum_p + kQ2 * sum_q;
    y[3] = (kP2 * kP) * difference_p + (kQ2 * kQ) * difference_q + m[5];
  }
  template <class V>
  SDX_INLINE void weights(V a, V b, V c, V (&g)[6]) {
    using S = Scalar<V>;
    constexpr double p = kP, q = kQ, p2 = kP2, q2 = kQ2;
    constexpr double at_p = 1 / (2 * p2 * (p2 - q2)), at_q = 1 / (2 * q2 * (q2 - p2));
    constexpr S at_0 = static_cast<S>(1 / (p2 * q2));
    constexpr S a_p = static_cast<S>(at_p), b_p = static_cast<S>(p * at_p);
    constexpr S a_q = static_cast<S>(at_q), b_q = static_cast<S>(q * at_q);
    const V even_p = (a + static_cast<S>(p2) * c) * a_p, odd_p = b * b_p;
    const V even_q = (a + static_cast<S>(q2) * c) * a_q, odd_q = b * b_q;
    g[0] = a * at_0;
    g[1] = even_p + odd_p;
    g[2] = even_p - odd_p;
    g[3] = even_q + odd_q;
    g[4] = even_q - odd_q;
    g[5] = c;
  }
};

}  // namespace SDX_ISA
}  // namespace sdx::kernels
