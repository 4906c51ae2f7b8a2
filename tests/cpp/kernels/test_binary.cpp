// Binary kernels in their three forms against scalar arithmetic.
#include <algorithm>
#include <cmath>

#include "kernels/binary.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

struct Case {
  const Kernel<BinaryF32, kIsaCount>& kernel;
  float (*reference)(float a, float b);
};

float largest(float a, float b) { return std::isnan(a) || std::isnan(b) ? kNan : std::max(a, b); }
float smallest(float a, float b) { return std::isnan(a) || std::isnan(b) ? kNan : std::min(a, b); }

const Case kCases[] = {
    {binary_add, [](float a, float b) { return a + b; }},
    {binary_sub, [](float a, float b) { return a - b; }},
    {binary_mul, [](float a, float b) { return a * b; }},
    {binary_div, [](float a, float b) { return a / b; }},
    {binary_max, largest},
    {binary_min, smallest},
    {binary_prelu, [](float a, float b) { return a < 0 ? a * b : a; }},
    {binary_pow, [](float a, float b) { return std::pow(a, b); }},
};

}  // namespace

TEST_CASE("binary kernels: vector with vector, with a number, in place or not") {
  for (const Case& c : kCases)
    for_each_variant(c.kernel, [&](BinaryF32* run) {
      for (std::size_t n = 0; n <= kLongest; ++n)
        for (const std::size_t steps : {0, 1, 2, 3}) {
          const std::size_t a_step = steps & 1, b_step = steps >> 1;
          Values values(static_cast<unsigned>(n));
          const Fenced<float> a = values.floats(a_step ? n : 1, -5, 5);
          const Fenced<float> b = values.floats(b_step ? n : 1, -5, 5);
          Fenced<float> y(n), in_a(a), in_b(b);
          run(a.data(), a_step, b.data(), b_step, y.data(), n);
          if (a_step) run(in_a.data(), 1, b.data(), b_step, in_a.data(), n);
          if (b_step) run(a.data(), a_step, in_b.data(), 1, in_b.data(), n);
          for (std::size_t i = 0; i < n; ++i) {
            const float expected = c.reference(a[i * a_step], b[i * b_step]);
            CHECK(close(y[i], expected, 1e-7));
            if (a_step) CHECK(close(in_a[i], expected, 1e-7));
            if (b_step) CHECK(close(in_b[i], expected, 1e-7));
          }
        }
    });
}

TEST_CASE("products and sums: vectors and numbers, in place or not") {
  for_each_variant(multiply_add, [&](MultiplyAddF32* run) {
    for (std::size_t n = 0; n <= kLongest; ++n)
      for (std::size_t steps = 0; steps < 8; ++steps) {
        const std::size_t step[3] = {steps & 1, steps >> 1 & 1, steps >> 2};
        Values values(static_cast<unsigned>(n));
        Fenced<float> in[3] = {values.floats(step[0] ? n : 1, -5, 5),
                               values.floats(step[1] ? n : 1, -5, 5),
                               values.floats(step[2] ? n : 1, -5, 5)};
        Fenced<float> y(n);
        const auto into = [&](float* to) {
          run(in[0].data(), step[0], in[1].data(), step[1], in[2].data(), step[2], to, n);
        };
        into(y.data());
        for (std::size_t i = 0; i < n; ++i) {
          const double a = in[0][i * step[0]], b = in[1][i * step[1]], c = in[2][i * step[2]];
          CHECK(std::abs(y[i] - (a * b + c)) <= 4e-6);
        }
        for (std::size_t k = 0; k < 3; ++k) {
          if (!step[k]) continue;
          const Fenced<float> before(in[k]);
          into(in[k].data());
          for (std::size_t i = 0; i < n; ++i) CHECK(in[k][i] == y[i]);
          for (std::size_t i = 0; i < n; ++i) in[k].data()[i] = before[i];
        }
      }
  });
}

TEST_CASE("binary kernels at NaN, infinities and zeros") {
  const float edges[] = {0, -0.0f, 1, -1, kInf, -kInf, kNan, 0.5f, 2, 3, 1e-40f, 3e38f};
  for (const Case& c : kCases)
    for_each_variant(c.kernel, [&](BinaryF32* run) {
      for (const float a : edges)
        for (const float b : edges)
          for (const std::size_t a_step : {0, 1})
            for (const std::size_t b_step : {0, 1}) {
              const Fenced<float> left(33, a), right(33, b);
              Fenced<float> y(33);
              run(left.data(), a_step, right.data(), b_step, y.data(), y.size());
              CAPTURE(a);
              CAPTURE(b);
              for (const float value : y)
                CHECK_MESSAGE(close(value, c.reference(a, b), 1e-7), value);
            }
    });
}

}  // namespace sdx::kernels
