// Elementary functions of doubles. Coefficients are our own minimax fits (Lawson's iteration in 50
// digits); reductions are Cody and Waite's.
#include "kernels/unary_f64.h"

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

typedef double VecD __attribute__((vector_size(kVecBytes)));
typedef uint64_t VecL __attribute__((vector_size(kVecBytes)));
typedef double VecDu __attribute__((vector_size(kVecBytes), aligned(8), may_alias));
constexpr std::size_t kF64 = kVecBytes / 8;

constexpr double kInf = __builtin_inf();
constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52: adding and taking it away rounds
constexpr uint64_t kSign = uint64_t{1} << 63;

SDX_INLINE VecD splat(double x) { return x - VecD{}; }
SDX_INLINE VecL as_bits(VecD v) { return reinterpret_cast<VecL>(v); }
SDX_INLINE VecD as_double(VecL v) { return reinterpret_cast<VecD>(v); }
SDX_INLINE VecD magnitude(VecD v) { return as_double(as_bits(v) & ~kSign); }
SDX_INLINE VecD with_sign_of(VecD sign, VecD v) {
  return as_double(as_bits(v) | (as_bits(sign) & kSign));
}
// NaN passes.
SDX_INLINE VecD at_most(VecD v, double high) { return v > high ? splat(high) : v; }
SDX_INLINE VecD at_least(VecD v, double low) { return v < low ? splat(low) : v; }

// Horner's rule from the last coefficient to the first.
template <std::size_t kCount>
SDX_INLINE VecD polynomial(const double (&coefficients)[kCount], VecD x) {
  VecD sum = splat(coefficients[kCount - 1]);
#pragma GCC unroll 16
  for (std::size_t i = 1; i < kCount; ++i) sum = sum * x + coefficients[kCount - 1 - i];
  return sum;
}

// exp(x) = 2^n (1 + rest), with |x - n ln 2| <= ln 2 / 2.
struct ExpParts {
  VecD n;
  VecD shifted;  // n + kRound, which has the integer in its low bits
  VecD rest;
};

SDX_INLINE ExpParts exp_parts(VecD x) {
  constexpr double kTaylor[] = {
      0.16666666666666602,    0.04166666666661987,    0.008333333333389228,
      0.0013888888920562511,  0.0001984126970685725,  2.4801516271296664e-05,
      2.7557427816700384e-06, 2.7622261160319965e-07, 2.5044901973496096e-08};
  const VecD shifted = x * 1.4426950408889634 + kRound;
  const VecD n = shifted - kRound;
  const VecD f = (x - n * 0.6931471806019545) + n * 4.2009150726810846e-11;
  const VecD square = f * f;
  return {n, shifted, (polynomial(kTaylor, f) * f + 0.5) * square + f};
}

// 2^k of n + kRound, where it is a normal number.
SDX_INLINE VecD power_of_two(VecD shifted) { return as_double((as_bits(shifted) + 1023) << 52); }

// exp where it is a normal number.
SDX_INLINE VecD exp_normal(VecD x) {
  const ExpParts e = exp_parts(x);
  return as_double(as_bits(e.rest + 1.0) + (as_bits(e.shifted) << 52));
}

SDX_INLINE VecD exp(VecD x) {
  const ExpParts e = exp_parts(at_most(at_least(x, -746), 710));
  // In two steps: 2^n itself may be out of range.
  const VecD half = e.n * 0.5 + kRound, rest = e.n - (half - kRound) + kRound;
  return (e.rest + 1.0) * power_of_two(half) * power_of_two(rest);
}

SDX_INLINE VecD sigmoid(VecD x) {
  const VecD y = 1.0 / (exp_normal(-at_most(at_least(x, -708), 708)) + 1.0);
  return x < -708.0 ? splat(0) : y;
}

// By t = exp(2 |x|) - 1 as t / (t + 2), accurate about 0.
SDX_INLINE VecD tanh(VecD x) {
  const VecD a = at_most(magnitude(x), 22);
  const ExpParts e = exp_parts(a + a);
  const VecD power = power_of_two(e.shifted);
  const VecD t = power * e.rest + (power - 1.0);
  return with_sign_of(x, t / (t + 2.0));
}

// Below 1 by an odd polynomial, above as 1 - exp(-g) for a polynomial g, which is minus the
// logarithm of erfc.
SDX_INLINE VecD erf(VecD x) {
  constexpr double kNear[] = {
      1.1283791670955126,      -0.3761263890318352,     0.11283791670944189,
      -0.026866170643112353,   0.0052239776061267845,   -0.000854832592975062,
      0.00012055293590795466,  -1.4924712581250692e-05, 1.644713513024674e-06,
      -1.6206341655854032e-07, 1.3711103069451869e-08,  -7.779700077044912e-10};
  constexpr double kFar[] = {1.8427297257323043e-06, 1.128361596431987,     0.636697637087885,
                             0.10255971566257224,    -0.018726603050235265, -0.0007640020964486306,
                             0.002274451540142279,   -0.00105166228786435,  0.0003072855403030837,
                             -6.270928051019278e-05, 8.585330526272159e-06, -6.161232483880742e-07,
                             -2.038793104708306e-08, 9.738091340617237e-09, -9.352863972524674e-10,
                             3.3540330119904926e-11};
  const VecD a = at_most(magnitude(x), 6);
  const VecD near = a * polynomial(kNear, a * a);
  const VecD far = 1.0 - exp_normal(-polynomial(kFar, a));
  return with_sign_of(x, a > 1.0 ? far : near);
}

SDX_INLINE VecD log(VecD x) {
  constexpr double kOdd[] = {0.6666666666666735,  0.39999999999410507, 0.28571428743389127,
                             0.22222198461861287, 0.18183570565027052, 0.15313879474082814,
                             0.14797773362573766};
  constexpr uint64_t kRootHalf = 0x3fe6a09e667f3bcd, kMantissa = (uint64_t{1} << 52) - 1;
  constexpr double kTwo52 = 4503599627370496.0;
  const VecD scaled = x < 2.2250738585072014e-308 ? x * 18014398509481984.0 : x;
  // The mantissa is taken from [sqrt(1/2), sqrt(2)).
  const VecL above = as_bits(scaled) - kRootHalf + (uint64_t{1023} << 52);
  const VecD f = as_double((above & kMantissa) + kRootHalf) - 1.0;
  // Of normal positive numbers; others are mended below.
  const VecD exponent = as_double((above >> 52) | as_bits(splat(kTwo52))) - (kTwo52 + 1023.0);
  const VecD e = x < 2.2250738585072014e-308 ? exponent - 54.0 : exponent;
  const VecD s = f / (f + 2.0), z = s * s, half_square = 0.5 * f * f;
  const VecD small = s * (half_square + z * polynomial(kOdd, z)) - e * 4.2009150726810846e-11;
  VecD y = (f - (half_square - small)) + e * 0.6931471806019545;
  y = x < kInf ? y : x;  // infinity and NaN are their own logarithms
  y = x == 0.0 ? splat(-kInf) : y;
  return x < 0.0 ? splat(__builtin_nan("")) : y;
}

template <class F>
SDX_INLINE void map(const double* x, double* y, std::size_t n, F f) {
  std::size_t i = 0;
  for (; i + kF64 <= n; i += kF64)
    *reinterpret_cast<VecDu*>(y + i) = f(*reinterpret_cast<const VecDu*>(x + i));
  if (i == n) return;
  VecD last = {};
  for (std::size_t l = 0; i + l < n; ++l) last[l] = x[i + l];
  last = f(last);
  for (std::size_t l = 0; i + l < n; ++l) y[i + l] = last[l];
}

}  // namespace
}  // namespace SDX_ISA

#define SDX_UNARY_F64(name)                                                            \
  namespace SDX_ISA {                                                                  \
  void unary_f64_##name(const double* x, double* y, std::size_t n, double, double) {   \
    map(                                                                               \
        x, y, n, [](VecD v) __attribute__((always_inline))->VecD { return name(v); }); \
  }                                                                                    \
  }                                                                                    \
  SDX_DEFINE_KERNEL(unary_f64_##name, UnaryF64)

SDX_UNARY_F64(exp)
SDX_UNARY_F64(log)
SDX_UNARY_F64(tanh)
SDX_UNARY_F64(erf)
SDX_UNARY_F64(sigmoid)

}  // namespace sdx::kernels
