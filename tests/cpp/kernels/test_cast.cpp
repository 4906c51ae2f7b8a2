// Numbers as numbers of other types: every tier and pair against scalars.
#include <cmath>
#include <type_traits>

#include "kernels/cast.h"
#include "kernels/convert.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

struct Boolean {
  uint8_t byte;
};

template <class T>
T number(double x) {
  if constexpr (std::is_same_v<T, Boolean>)
    return {static_cast<uint8_t>(static_cast<int64_t>(x))};
  else if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(x);
  else
    return static_cast<T>(static_cast<int64_t>(x));
}

template <class To, class From>
To expected(From x) {
  if constexpr (std::is_same_v<From, Boolean>)
    return expected<To>(static_cast<uint8_t>(x.byte != 0));
  else if constexpr (std::is_same_v<To, Boolean>)
    return {static_cast<uint8_t>(x != 0)};
  else
    return static_cast<To>(x);
}

template <class T>
bool same(T a, T b) {
  if constexpr (std::is_same_v<T, Boolean>)
    return a.byte == b.byte;
  else
    return a == b || (a != a && b != b);
}

template <class From, class To>
void check_pair(Number from, Number to) {
  if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) return;
  std::vector<double> values{0, -0.0, 1, -1, 2, 0.25, -0.75, 100, 127, 128, 255, -128, 1e-30};
  for (const int power : {15, 24, 31, 40, 53, 62})
    for (const double sign : {-1.0, 1.0}) values.push_back(std::ldexp(sign, power) + 1);
  if (std::is_floating_point_v<From>) values.insert(values.end(), {kNan, kInf, -kInf, 1e300});
  for_each_variant(cast_numbers, [&](CastNumbers* run) {
    for (std::size_t n = 0; n <= 150; n += n < 70 ? 1 : 13) {
      Fenced<From> x(n);
      for (std::size_t i = 0; i < n; ++i) x[i] = number<From>(values[(i * 7 + n) % values.size()]);
      Fenced<To> y(n);
      run(from, to, x.data(), y.data(), n);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < n; ++i) wrong += !same(y[i], expected<To>(x[i]));
      CAPTURE(int(from));
      CAPTURE(int(to));
      CAPTURE(n);
      CHECK(wrong == 0);
    }
  });
}

template <class From>
void check_from(Number from) {
  check_pair<From, Boolean>(from, Number::boolean);
  check_pair<From, int8_t>(from, Number::int8);
  check_pair<From, uint8_t>(from, Number::uint8);
  check_pair<From, int32_t>(from, Number::int32);
  check_pair<From, int64_t>(from, Number::int64);
  check_pair<From, float>(from, Number::float32);
  check_pair<From, double>(from, Number::float64);
}

TEST_CASE("numbers cast to other types") {
  check_from<Boolean>(Number::boolean);
  check_from<int8_t>(Number::int8);
  check_from<uint8_t>(Number::uint8);
  check_from<int32_t>(Number::int32);
  check_from<int64_t>(Number::int64);
  check_from<float>(Number::float32);
  check_from<double>(Number::float64);
}

// The numbers of 16 bits on either side of a double, the nearer one taken, of two the even one.
TEST_CASE("doubles rounded once to 16 bits") {
  std::vector<double> values{0, -0.0, kInf, -kInf, 1e300, -1e300, 1e-300, 65504, 65519.999, 65520};
  std::vector<uint16_t> expected{0,      0x8000, 0x7c00, 0xfc00, 0x7c00,
                                 0xfc00, 0,      0x7bff, 0x7bff, 0x7c00};
  for (uint32_t code = 0; code < 0x7bff; code += 3) {
    const auto low = static_cast<uint16_t>(code), high = static_cast<uint16_t>(code + 1);
    float ends[2];
    f16_to_f32.variants[0].run(&low, &ends[0], 1);
    f16_to_f32.variants[0].run(&high, &ends[1], 1);
    const double middle = (double(ends[0]) + double(ends[1])) / 2;
    values.insert(values.end(), {middle, std::nextafter(middle, 0), std::nextafter(middle, 1e9)});
    expected.insert(expected.end(), {low % 2 ? high : low, low, high});
  }
  for_each_variant(f64_to_f16, [&](NarrowF64* run) {
    std::vector<uint16_t> y(values.size());
    run(values.data(), y.data(), values.size());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i) wrong += y[i] != expected[i];
    CHECK(wrong == 0);
    for (std::size_t n = 0; n <= kLongest; ++n) {
      Fenced<double> x(n);
      for (std::size_t i = 0; i < n; ++i) x[i] = i % 5 == 4 ? double(kNan) : double(i);
      Fenced<uint16_t> z(n);
      run(x.data(), z.data(), n);
      for (std::size_t i = 0; i < n; ++i) {
        float back = 0;
        f16_to_f32.variants[0].run(&z[i], &back, 1);
        CHECK(close(back, x[i], 0));
      }
    }
  });
}

}  // namespace
}  // namespace sdx::kernels
