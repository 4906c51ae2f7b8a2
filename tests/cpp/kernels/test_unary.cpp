// Every unary kernel against its definition in double, and at the edges of IEEE arithmetic.
#include <algorithm>
#include <cmath>

#include "kernels/rows.h"
#include "kernels/unary.h"

namespace sdx::kernels {
namespace {

struct Case {
  const Kernel<UnaryF32, kIsaCount>& kernel;
  double (*reference)(double x, double alpha, double beta);
  float alpha = 0, beta = 0;
  double relative = 4e-7, absolute = 0;
  float lo = -9, hi = 9;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
double clip(double x, double lo, double hi) { return std::min(std::max(x, lo), hi); }

// GELU's negative tail is a difference of equals: its error is absolute, in ulps of x.
const Case kCases[] = {
    {unary_relu, [](double x, double, double) { return x > 0 ? x : 0; }, 0, 0, 0},
    {unary_leaky_relu, [](double x, double a, double) { return x < 0 ? a * x : x; }, 0.1f, 0},
    {unary_thresholded_relu, [](double x, double a, double) { return x > a ? x : 0; }, 1, 0, 0},
    {unary_clip, clip, -1, 2, 0},
    {unary_scale_shift, [](double x, double a, double b) { return a * x + b; }, 3, 0.5f, 1e-7,
     1e-6},
    {unary_abs, [](double x, double, double) { return std::fabs(x); }, 0, 0, 0},
    {unary_neg, [](double x, double, double) { return -x; }, 0, 0, 0},
    {unary_sign, [](double x, double, double) { return x > 0   ? 1.0
                                                       : x < 0 ? -1.0
                                                               : 0.0; }, 0, 0,
     0},
    {unary_floor, [](double x, double, double) { return std::floor(x); }, 0, 0, 0},
    {unary_ceil, [](double x, double, double) { return std::ceil(x); }, 0, 0, 0},
    {unary_round, [](double x, double, double) { return std::nearbyint(x); }, 0, 0, 0},
    {unary_sqrt, [](double x, double, double) { return std::sqrt(x); }},
    {unary_reciprocal, [](double x, double, double) { return 1 / x; }},
    {unary_square, [](double x, double, double) { return x * x; }},
    {unary_exp, [](double x, double, double) { return std::exp(x); }, 0, 0, 1e-7, 0, -87, 88},
    {unary_log, [](double x, double, double) { return std::log(x); }, 0, 0, 1e-7, 1e-8, 1e-3f, 50},
    {unary_sin, [](double x, double, double) { return std::sin(x); }, 0, 0, 0, 1e-7, -8e3f, 8e3f},
    {unary_cos, [](double x, double, double) { return std::cos(x); }, 0, 0, 0, 1e-7, -8e3f, 8e3f},
    {unary_asin, [](double x, double, double) { return std::asin(x); }, 0, 0, 2e-7, 0, -1, 1},
    {unary_acos, [](double x, double, double) { return std::acos(x); }, 0, 0, 2e-7, 0, -1, 1},
    {unary_atan, [](double x, double, double) { return std::atan(x); }, 0, 0, 2e-7},
    {unary_tanh, [](double x, double, double) { return std::tanh(x); }},
    {unary_erf, [](double x, double, double) { return std::erf(x); }},
    {unary_sigmoid, [](double x, double, double) { return sigmoid(x); }, 0, 0, 3e-7, 0, -80, 80},
    {unary_gelu, [](double x, double, double) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); },
     0, 0, 4e-7, 2e-6},
    {unary_gelu_tanh,
     [](double x, double, double) {
       return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
     },
     0, 0, 4e-7, 2e-6},
    {unary_swish, [](double x, double a, double) { return x * sigmoid(a * x); }, 1.702f, 0, 2e-6},
    {unary_hard_sigmoid, [](double x, double a, double b) { return clip(a * x + b, 0, 1); }, 0.2f,
     0.5f, 1e-7, 1e-7},
    {unary_hard_swish, [](double x, double a, double b) { return x * clip(a * x + b, 0, 1); },
     1 / 6.0f, 0.5f, 3e-7, 1e-6},
    {unary_elu, [](double x, double a, double) { return x < 0 ? a * std::expm1(x) : x; }, 1.5f},
    {unary_celu, [](double x, double a, double) { return x < 0 ? a * std::expm1(x / a) : x; },
     0.7f},
    {unary_selu, [](double x, double a, double b) { return b * (x < 0 ? a * std::expm1(x) : x); },
     1.67326319217681884765625f, 1.05070102214813232421875f},
    {unary_softplus, [](double x, double, double) { return softplus(x); }},
    {unary_softsign, [](double x, double, double) { return x / (1 + std::fabs(x)); }},
    {unary_mish, [](double x, double, double) { return x * std::tanh(softplus(x)); }, 0, 0, 6e-7, 0,
     -30, 30},
};

float at(const Kernel<UnaryF32, kIsaCount>& kernel, UnaryF32* run, float x) {
  for (const Case& c : kCases)
    if (&c.kernel == &kernel) run(&x, &x, 1, c.alpha, c.beta);
  return x;
}

}  // namespace

TEST_CASE("unary kernels follow their definitions at every length, in place or not") {
  for (const Case& c : kCases) {
    for_each_variant(c.kernel, [&](UnaryF32* run) {
      for (std::size_t n = 0; n <= kLongest; ++n) {
        const Fenced<float> x = Values(static_cast<unsigned>(n)).floats(n, c.lo, c.hi);
        Fenced<float> y(n), same(x);
        run(x.data(), y.data(), n, c.alpha, c.beta);
        run(same.data(), same.data(), n, c.alpha, c.beta);
        for (std::size_t i = 0; i < n; ++i) {
          CAPTURE(x[i]);
          const double expected = c.reference(x[i], c.alpha, c.beta);
          CHECK_MESSAGE(close(y[i], expected, c.relative, c.absolute), y[i], " for ", expected);
          CHECK(close(same[i], y[i], 0));
        }
      }
    });
  }
}

TEST_CASE("unary kernels keep NaN") {
  for (const Case& c : kCases)
    for_each_variant(c.kernel, [&](UnaryF32* run) {
      Fenced<float> x(kLongest, kNan);
      run(x.data(), x.data(), x.size(), c.alpha, c.beta);
      for (const float value : x) CHECK(std::isnan(value));
    });
}

TEST_CASE("unary kernels at infinities, zeros and limits") {
  const float denormal = 1e-40f;
  struct Edge {
    const Kernel<UnaryF32, kIsaCount>& kernel;
    float x, expected;
  };
  const Edge edges[] = {
      {unary_exp, kInf, kInf},
      {unary_exp, -kInf, 0},
      {unary_exp, 89, kInf},
      {unary_exp, 0, 1},
      {unary_exp, -0.0f, 1},
      {unary_exp, -200, 0},
      {unary_log, 0, -kInf},
      {unary_log, -0.0f, -kInf},
      {unary_log, -1, kNan},
      {unary_log, kInf, kInf},
      {unary_log, 1, 0},
      {unary_log, -kInf, kNan},
      {unary_tanh, kInf, 1},
      {unary_tanh, -kInf, -1},
      {unary_tanh, 30, 1},
      {unary_tanh, denormal, denormal},
      {unary_erf, kInf, 1},
      {unary_erf, -kInf, -1},
      {unary_erf, 5, 1},
      {unary_sigmoid, kInf, 1},
      {unary_sigmoid, -kInf, 0},
      {unary_sigmoid, 0, 0.5f},
      {unary_softplus, kInf, kInf},
      {unary_softplus, -kInf, 0},
      {unary_gelu, kInf, kInf},
      {unary_mish, kInf, kInf},
      {unary_swish, kInf, kInf},
      {unary_relu, kInf, kInf},
      {unary_relu, -kInf, 0},
      {unary_elu, -kInf, -1.5f},
      {unary_elu, kInf, kInf},
      {unary_selu, kInf, kInf},
      {unary_clip, kInf, 2},
      {unary_clip, -kInf, -1},
      {unary_sqrt, -1, kNan},
      {unary_sqrt, kInf, kInf},
      {unary_reciprocal, 0, kInf},
      {unary_reciprocal, -0.0f, -kInf},
      {unary_reciprocal, kInf, 0},
      {unary_round, 0.5f, 0},
      {unary_round, 1.5f, 2},
      {unary_round, 2.5f, 2},
      {unary_round, -2.5f, -2},
      {unary_round, 8388609, 8388609},
      {unary_round, kInf, kInf},
      {unary_floor, -0.5f, -1},
      {unary_floor, 1e30f, 1e30f},
      {unary_floor, -kInf, -kInf},
      {unary_ceil, 0.5f, 1},
      {unary_ceil, -1e30f, -1e30f},
      {unary_ceil, kInf, kInf},
      {unary_sin, kInf, kNan},
      {unary_cos, -kInf, kNan},
      {unary_cos, 0, 1},
      {unary_sin, 1e20f, std::sin(1e20f)},
      {unary_cos, 1e20f, std::cos(1e20f)},
      {unary_asin, 1, 1.57079633f},
      {unary_asin, -1, -1.57079633f},
      {unary_asin, 1.5f, kNan},
      {unary_asin, -kInf, kNan},
      {unary_asin, denormal, denormal},
      {unary_acos, 1, 0},
      {unary_acos, -1, 3.14159265f},
      {unary_acos, 0, 1.57079633f},
      {unary_acos, -1.5f, kNan},
      {unary_acos, kInf, kNan},
      {unary_atan, kInf, 1.57079633f},
      {unary_atan, -kInf, -1.57079633f},
      {unary_atan, 1e30f, 1.57079633f},
      {unary_atan, 1, 0.785398163f},
      {unary_atan, denormal, denormal},
      {unary_sign, kInf, 1},
      {unary_sign, 0, 0},
      {unary_abs, -kInf, kInf},
  };
  for (const Edge& edge : edges)
    for_each_variant(edge.kernel, [&](UnaryF32* run) {
      CAPTURE(edge.x);
      const float y = at(edge.kernel, run, edge.x);
      CHECK_MESSAGE(close(y, edge.expected, 1e-6), y, " for ", edge.expected);
    });
}

TEST_CASE("unary kernels keep the sign of zero") {
  for (const auto* kernel :
       {&unary_ceil, &unary_floor, &unary_round, &unary_sqrt, &unary_sin, &unary_tanh, &unary_erf,
        &unary_softsign, &unary_elu, &unary_asin, &unary_atan})
    for_each_variant(*kernel, [&](UnaryF32* run) {
      const float y = at(*kernel, run, -0.0f);
      CHECK(y == 0);
      CHECK(std::signbit(y));
    });
}

}  // namespace sdx::kernels
