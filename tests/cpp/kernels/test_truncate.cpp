// Floats to integers: every tier against scalars, at the edges of the integers above all.
#include <cmath>

#include "kernels/rows.h"
#include "kernels/truncate.h"

namespace sdx::kernels {
namespace {

int64_t saturated(double x, int bits) {
  if (std::isnan(x)) return 0;
  const double top = std::ldexp(1.0, bits - 1);
  if (x >= top) return static_cast<int64_t>((uint64_t{1} << (bits - 1)) - 1);
  if (x <= -top) return -static_cast<int64_t>((uint64_t{1} << (bits - 1)) - 1) - 1;
  return static_cast<int64_t>(x);
}

// `bits` of the integer that saturates; a narrower one takes its low bits.
template <class From, class To>
void check_truncate(const Kernel<void(const From*, To*, std::size_t), kIsaCount>& kernel,
                    int bits) {
  std::vector<From> values{0, From(kNan), From(kInf), From(-kInf), From(0.99), From(-0.99)};
  for (const int power : {7, 8, 15, 16, 30, 31, 32, 33, 40, 62, 63, 64, 70})
    for (const double sign : {-1.0, 1.0}) {
      const auto edge = static_cast<From>(std::ldexp(sign, power));
      for (const From x : {std::nextafter(edge, From(0)), edge, std::nextafter(edge, 2 * edge),
                           static_cast<From>(edge * 1.3), static_cast<From>(edge + 0.5)})
        values.push_back(x);
    }
  for_each_variant(kernel, [&](auto* run) {
    for (std::size_t n = 0; n <= values.size(); ++n) {
      Fenced<From> x(n);
      for (std::size_t i = 0; i < n; ++i) x[i] = values[(i * 7 + n) % values.size()];
      Fenced<To> y(n);
      run(x.data(), y.data(), n);
      for (std::size_t i = 0; i < n; ++i) {
        CAPTURE(x[i]);
        CHECK(y[i] == static_cast<To>(saturated(x[i], bits)));
      }
    }
  });
}

TEST_CASE("floats truncated to integers") {
  check_truncate(truncate_f32_to_i32, 32);
  check_truncate(truncate_f32_to_i64, 64);
  check_truncate(truncate_f32_to_byte, 64);
  check_truncate(truncate_f64_to_i32, 32);
  check_truncate(truncate_f64_to_i64, 64);
  check_truncate(truncate_f64_to_byte, 64);
}

}  // namespace
}  // namespace sdx::kernels
