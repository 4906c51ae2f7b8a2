// Elementary functions of f32 vectors. Coefficients are our own minimax fits (Lawson's iteration in
// long precision, relative error); reductions are Cody and Waite's. NaN in, NaN out.
#pragma once

#include "kernels/simd/round.h"

namespace sdx::kernels {
namespace SDX_ISA {

// x = n ln 2 + f with |f| <= ln 2 / 2; exp(f) = 1 + f + q f^2.
struct ExpParts {
  VecF n;
  VecF shifted;  // n + 1.5 * 2^23
  VecF f;
  VecF q;
};

SDX_INLINE ExpParts exp_parts(VecF x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding and taking it away rounds
  const VecF shifted = x * 1.44269504f + kRound;
  const VecF n = shifted - kRound;
  const VecF f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  VecF q = f * 0.001381459878757596f + 0.008368716575205326f;
  q = q * f + 0.04166838899254799f;
  q = q * f + 0.1666652113199234f;
  q = q * f + 0.4999999403953552f;
  return {n, shifted, f, q};
}

// exp(f).
SDX_INLINE VecF power_of(const ExpParts& e) { return (e.q * e.f + 1.0f) * e.f + 1.0f; }

SDX_INLINE VecF exp(VecF x) {
  // Constants come first in min and max, so that NaN passes.
  const ExpParts e = exp_parts(min(splat(89.0f), max(splat(-104.0f), x)));
  return scale_by_power(power_of(e), e.n);
}

// exp for x <= 0 (or NaN) whose results below the normal range are 0: masked scores are far below
// it, and subnormal results cost a hundred times as much as others.
SDX_INLINE VecF exp_nonpositive(VecF x) {
  const ExpParts e = exp_parts(max(splat(-87.3f), x));
  const VecF y = scale_normal(power_of(e), e.n, e.shifted);
  return x < -87.3f ? splat(0.0f) : y;
}

// exp(x) - 1 without cancellation.
SDX_INLINE VecF expm1(VecF x) {
  const ExpParts e = exp_parts(min(splat(89.0f), max(splat(-40.0f), x)));
  const VecF power = scale_by_power(splat(1.0f), e.n - 1.0f);  // halved: 2^128 is out of range
  const VecF rest = (e.q * e.f) * e.f + e.f;                   // exp(f) - 1
  return ((power - 0.5f) + power * rest) * 2.0f;
}

SDX_INLINE VecF log(VecF x) {
  const VecI tiny = x < 1.17549435e-38f;
  const VecF scaled = tiny ? x * 8388608.0f : x;
  // The mantissa is taken from [sqrt(1/2), sqrt(2)).
  const VecI exponent = wrapping_subtract(as_int(scaled), splat(0x3f3504f3)) >> 23;
  const VecF f = as_float(wrapping_subtract(as_int(scaled), exponent << 23)) - 1.0f;
  const VecF e = __builtin_convertvector(exponent, VecF) + (tiny ? splat(-23.0f) : splat(0.0f));
  VecF q = f * -0.07634492963552475f + 0.12761574983596802f;
  q = q * f - 0.13160182535648346f;
  q = q * f + 0.14201758801937103f;
  q = q * f - 0.16623356938362122f;
  q = q * f + 0.20001226663589478f;
  q = q * f - 0.2500081956386566f;
  q = q * f + 0.3333333134651184f;
  const VecF square = f * f;
  const VecF small = (q * f) * square - e * 2.12194440e-4f;
  VecF y = (small - 0.5f * square + f) + e * 0.693359375f;
  y = x < kInfinity ? y : x;  // +inf and NaN are their own logarithms
  y = x == 0.0f ? splat(-kInfinity) : y;
  return x < 0.0f ? splat(__builtin_nanf("")) : y;
}

// log(1 + x) for x in [0, 1], relatively accurate near 0.
SDX_INLINE VecF log1p_unit(VecF x) {
  const VecF u = x + 1.0f;
  return log(u) + quotient(x - (u - 1.0f), u);
}

SDX_INLINE VecF tanh(VecF x) {
  const VecF c = min(splat(9.02f), max(splat(-9.02f), x));
  const VecF z = c * c;
  VecF p = z * 1.3318973479670149e-08f + 2.0583409423124976e-05f;
  p = p * z + 0.00349403009749949f;
  p = p * z + 0.13379713892936707f;
  p = (p * z) * c + c;
  VecF q = z * 7.761978508824541e-07f + 0.0003283085534349084f;
  q = q * z + 0.02587105706334114f;
  q = q * z + 0.46713030338287354f;
  q = q * z + 1.0f;
  return min(splat(1.0f), max(splat(-1.0f), quotient(p, q)));
}

SDX_INLINE VecF erf(VecF x) {
  const VecF c = min(splat(3.95f), max(splat(-3.95f), x));
  const VecF z = c * c;
  VecF p = z * 2.0259133179933997e-06f + 0.00028468709206208587f;
  p = p * z + 0.003808132139965892f;
  p = p * z + 0.052875351160764694f;
  p = p * z + 0.1915496289730072f;
  p = p * z + 1.1283791065216064f;
  VecF q = z * 3.783182182814926e-05f + 0.0011707186931744218f;
  q = q * z + 0.015055029653012753f;
  q = q * z + 0.11455933749675751f;
  q = q * z + 0.5030891299247742f;
  q = q * z + 1.0f;
  return min(splat(1.0f), max(splat(-1.0f), quotient(p * c, q)));
}

// 1 / (1 + exp(-x)), relatively accurate on the far negative side too.
SDX_INLINE VecF sigmoid(VecF x) {
  const ExpParts e = exp_parts(-min(splat(87.3f), max(splat(-87.3f), x)));
  const VecF y = reciprocal(scale_normal(power_of(e), e.n, e.shifted) + 1.0f);
  return x < -87.3f ? splat(0.0f) : y;
}

SDX_INLINE VecF gelu(VecF x) {
  const VecF half = x * 0.5f;
  return half + half * erf(x * 0.70710678f);
}

SDX_INLINE VecF gelu_tanh(VecF x) {
  const VecF half = x * 0.5f;
  return half + half * tanh(x * (x * x * 0.0356774081f + 0.797884561f));
}

SDX_INLINE VecF softplus(VecF x) {
  return max(splat(0.0f), x) + log1p_unit(exp_nonpositive(-abs(x)));
}

// x tanh(softplus(x)), with w = exp(x): tanh(log(1 + w)) = w (w + 2) / (w (w + 2) + 2).
SDX_INLINE VecF mish(VecF x) {
  const VecF w = exp(min(splat(20.0f), x));
  const VecF n = w * (w + 2.0f);
  return x * quotient(n, n + 2.0f);
}

// sin(x + quarters * pi / 2). Past kTrigLimit the reduction loses bits: the C library does those.
inline constexpr float kTrigLimit = 8192.0f;

SDX_INLINE VecF sin_quarters(VecF x, int quarters) {
  constexpr float kRound = 12582912.0f;
  const VecF shifted = x * 0.636619772f + kRound;
  const VecF n = shifted - kRound;
  // pi / 2 in parts short enough that n times a part is exact.
  const VecF f =
      ((x - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.54978995489188216e-8f;
  const VecF z = f * f;
  VecF s = z * -0.00019515152962412685f + 0.008332159370183945f;
  s = s * z - 0.16666655242443085f;
  s = (s * z) * f + f;
  VecF c = z * 2.443300763843581e-05f - 0.0013887315290048718f;
  c = c * z + 0.04166664555668831f;
  c = (c * z) * z - z * 0.5f + 1.0f;
  const VecI quarter = wrapping_add(as_int(shifted), splat(quarters));
  const VecF y = (quarter & 1) != 0 ? c : s;
  return as_float(as_int(y) ^ ((quarter & 2) << 30));
}

SDX_INLINE VecF sin(VecF x) {
  VecF y = sin_quarters(x, 0);
  if (any(abs(x) > kTrigLimit))
    for (std::size_t i = 0; i < kF32; ++i)
      if (__builtin_fabsf(x[i]) > kTrigLimit) y[i] = __builtin_sinf(x[i]);
  return as_int(x) == kSignBit ? x : y;  // -0 stays
}

SDX_INLINE VecF cos(VecF x) {
  VecF y = sin_quarters(x, 1);
  if (any(abs(x) > kTrigLimit))
    for (std::size_t i = 0; i < kF32; ++i)
      if (__builtin_fabsf(x[i]) > kTrigLimit) y[i] = __builtin_cosf(x[i]);
  return y;
}

// asin(r) / r - 1 for r squared up to 1/4.
SDX_INLINE VecF asin_rest(VecF z) {
  VecF p = z * 0.0338158719f + 0.0170721505f;
  p = p * z + 0.0311172698f;
  p = p * z + 0.0445979461f;
  p = p * z + 0.0750009865f;
  return (p * z + 0.166666657f) * z;
}

// Beyond 1/2, asin(a) = pi / 2 - 2 asin(sqrt((1 - a) / 2)).
SDX_INLINE VecF asin(VecF x) {
  const VecF a = abs(x);
  const VecI large = a > 0.5f;
  const VecF z = large ? (1.0f - a) * 0.5f : a * a;
  const VecF r = large ? sqrt(z) : a;
  const VecF rest = r * asin_rest(z);
  const VecF beyond = (1.57079637f - r * 2.0f) - (rest * 2.0f + 4.37113883e-8f);
  return copysign(large ? beyond : r + rest, x);
}

SDX_INLINE VecF acos(VecF x) {
  const VecF a = abs(x);
  const VecI large = a > 0.5f;
  const VecF z = large ? (1.0f - a) * 0.5f : a * a;
  const VecF r = large ? sqrt(z) : a;
  const VecF small = r + r * asin_rest(z);
  const VecF middle = 1.57079637f - (copysign(small, x) + 4.37113883e-8f);
  const VecF edge = x < 0.0f ? 3.14159274f - (small * 2.0f + 8.74227766e-8f) : small * 2.0f;
  return large ? edge : middle;
}

// Beyond tan(pi / 8), atan(a) = pi / 4 + atan((a - 1) / (a + 1)); beyond its inverse,
// atan(a) = pi / 2 - atan(1 / a).
SDX_INLINE VecF atan(VecF x) {
  const VecF a = abs(x);
  const VecI far = a > 2.41421366f, near = a <= 0.414213568f;
  const VecF top = far ? splat(-1.0f) : near ? a : a - 1.0f;
  const VecF bottom = far ? a : near ? splat(1.0f) : a + 1.0f;
  const VecF base = far ? splat(1.57079637f) : near ? splat(0.0f) : splat(0.785398185f);
  const VecF rest = far ? splat(-4.37113883e-8f) : near ? splat(0.0f) : splat(-2.18556941e-8f);
  const VecF t = top / bottom;
  const VecF z = t * t;
  VecF p = z * -0.0645904467f + 0.107461989f;
  p = p * z - 0.14264223f;
  p = p * z + 0.199995503f;
  p = p * z - 0.333333313f;
  return copysign(base + (t + (t * z * p + rest)), x);
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
