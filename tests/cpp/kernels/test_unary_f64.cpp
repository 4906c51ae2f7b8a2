// Functions of doubles against the C library's, and at the edges of IEEE arithmetic.
#include <cmath>

#include "kernels/rows.h"
#include "kernels/unary_f64.h"

namespace sdx::kernels {
namespace {

using UnaryF64Kernel = Kernel<UnaryF64, kIsaCount>;

struct Case {
  const UnaryF64Kernel& kernel;
  double (*reference)(double x);
  double lo, hi;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

const Case kCases[] = {
    {unary_f64_exp, [](double x) { return std::exp(x); }, -700, 700},
    {unary_f64_log, [](double x) { return std::log(x); }, 1e-3, 5},
    {unary_f64_tanh, [](double x) { return std::tanh(x); }, -25, 25},
    {unary_f64_erf, [](double x) { return std::erf(x); }, -7, 7},
    {unary_f64_sigmoid, sigmoid, -700, 700},
};

constexpr double kUlps = 4 * std::numeric_limits<double>::epsilon();

double at(UnaryF64* run, double x) {
  run(&x, &x, 1, 0, 0);
  return x;
}

}  // namespace

TEST_CASE("functions of doubles follow the C library's at every length, in place or not") {
  for (const Case& c : kCases)
    for_each_variant(c.kernel, [&](UnaryF64* run) {
      for (std::size_t n = 0; n <= kLongest; ++n) {
        Fenced<double> x(n), y(n);
        const Fenced<float> random = Values(static_cast<unsigned>(n)).floats(n, 0, 1);
        for (std::size_t i = 0; i < n; ++i) x[i] = c.lo + (c.hi - c.lo) * double{random[i]};
        Fenced<double> same(x);
        run(x.data(), y.data(), n, 0, 0);
        run(same.data(), same.data(), n, 0, 0);
        for (std::size_t i = 0; i < n; ++i) {
          CAPTURE(x[i]);
          CHECK(close(y[i], c.reference(x[i]), kUlps));
          CHECK(same[i] == y[i]);
        }
      }
    });
}

TEST_CASE("functions of doubles are as accurate at any magnitude") {
  for (const Case& c : kCases)
    for_each_variant(c.kernel, [&](UnaryF64* run) {
      for (double x = 1e-310; x < 400; x *= 1.37) {
        CAPTURE(x);
        CHECK(close(at(run, x), c.reference(x), kUlps, 5e-324));
        if (&c.kernel == &unary_f64_log) continue;
        CHECK(close(at(run, -x), c.reference(-x), kUlps, 5e-324));
      }
    });
}

TEST_CASE("functions of doubles at infinities, zeros, limits and no numbers") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  struct Edge {
    const UnaryF64Kernel& kernel;
    double x, expected;
  };
  const Edge edges[] = {
      {unary_f64_exp, inf, inf},
      {unary_f64_exp, -inf, 0},
      {unary_f64_exp, 710, inf},
      {unary_f64_exp, 709.7, std::exp(709.7)},
      {unary_f64_exp, 0, 1},
      {unary_f64_exp, -746, 0},
      {unary_f64_exp, -740, std::exp(-740)},
      {unary_f64_exp, nan, nan},
      {unary_f64_log, 0, -inf},
      {unary_f64_log, -0.0, -inf},
      {unary_f64_log, -1, nan},
      {unary_f64_log, -inf, nan},
      {unary_f64_log, inf, inf},
      {unary_f64_log, 1, 0},
      {unary_f64_log, nan, nan},
      {unary_f64_log, 5e-324, std::log(5e-324)},
      {unary_f64_log, 1.7e308, std::log(1.7e308)},
      {unary_f64_tanh, inf, 1},
      {unary_f64_tanh, -inf, -1},
      {unary_f64_tanh, nan, nan},
      {unary_f64_tanh, 5e-324, 5e-324},
      {unary_f64_erf, inf, 1},
      {unary_f64_erf, -inf, -1},
      {unary_f64_erf, nan, nan},
      {unary_f64_erf, 1, std::erf(1.0)},
      {unary_f64_sigmoid, inf, 1},
      {unary_f64_sigmoid, -inf, 0},
      {unary_f64_sigmoid, 0, 0.5},
      {unary_f64_sigmoid, nan, nan},
  };
  for (const Edge& edge : edges)
    for_each_variant(edge.kernel, [&](UnaryF64* run) {
      CAPTURE(edge.x);
      CHECK(close(at(run, edge.x), edge.expected, kUlps, 5e-324));
    });
  for (const auto* kernel : {&unary_f64_tanh, &unary_f64_erf})
    for_each_variant(*kernel, [&](UnaryF64* run) { CHECK(std::signbit(at(run, -0.0))); });
}

}  // namespace sdx::kernels
