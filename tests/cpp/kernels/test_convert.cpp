// Conversions of the 16-bit floats: every half, and floats on and about every rounding boundary.
#include <bit>
#include <cmath>

#include "kernels/convert.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

double f16(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double fraction = bits & 1023;
  const double magnitude = exponent == 31  ? (fraction != 0 ? kNan : kInf)
                           : exponent == 0 ? std::ldexp(fraction, -24)
                                           : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

double bf16(unsigned bits) { return std::bit_cast<float>(bits << 16); }

// A format: its value, the bits of infinity, and what rounding takes infinity for: the next power.
struct Format {
  double (*value)(unsigned);
  unsigned infinity;

  double magnitude(unsigned bits) const {
    bits &= 0x7fff;
    return bits == infinity ? 2 * value(infinity & (infinity << 1)) : value(bits);
  }
};

// The 16-bit float nearest to x, one of the two neighbours of `guess` or itself; ties go to even.
unsigned nearest(const Format& format, float x, unsigned guess) {
  const auto distance = [&](unsigned bits) {
    return std::fabs(format.magnitude(bits) - std::fabs(static_cast<double>(x)));
  };
  unsigned best = guess;
  for (const unsigned other : {guess - 1, guess + 1}) {
    if ((other & 0x8000) != (guess & 0x8000) || (other & 0x7fff) > format.infinity) continue;
    const double gain = distance(best) - distance(other);
    if (gain > 0 || (gain == 0 && other % 2 == 0)) best = other;
  }
  return best;
}

void check_format(const Kernel<WidenF16, kIsaCount>& widen,
                  const Kernel<NarrowF32, kIsaCount>& narrow, const Format& format) {
  Fenced<uint16_t> all(65536);
  for (std::size_t i = 0; i < 65536; ++i) all[i] = static_cast<uint16_t>(i);
  for_each_variant(widen, [&](WidenF16* run) {
    Fenced<float> y(65536);
    run(all.data(), y.data(), y.size());
    for (unsigned i = 0; i < 65536; ++i) {
      CHECK(close(y[i], format.value(i), 0));
      CHECK(std::signbit(y[i]) == (i >= 0x8000));
    }
    for (std::size_t n = 0; n <= kLongest; ++n) {
      const Fenced<uint16_t> x(n, 0x3c00);
      Fenced<float> few(n);
      run(x.data(), few.data(), n);
      for (const float v : few) CHECK(v == format.value(0x3c00));
    }
  });
  for_each_variant(narrow, [&](NarrowF32* run) {
    for (unsigned i = 0; i < 65536; ++i) {
      if ((i & 0x7fff) >= format.infinity) {
        const float special = static_cast<float>(format.value(i));
        uint16_t y = 0;
        run(&special, &y, 1);
        CHECK((std::isnan(special) ? std::isnan(format.value(y)) : y == i));
        continue;
      }
      const double sign = i & 0x8000 ? -1 : 1;
      const double exact = sign * format.magnitude(i), next = sign * format.magnitude(i + 1);
      const float halfway = static_cast<float>((exact + next) / 2);
      const float all_x[] = {static_cast<float>(exact), halfway,
                             std::nextafter(halfway, static_cast<float>(next)),
                             std::nextafter(halfway, static_cast<float>(exact))};
      for (const float x : all_x) {
        uint16_t y = 0;
        run(&x, &y, 1);
        CHECK_MESSAGE(y == nearest(format, x, i), x);
      }
    }
    const Fenced<float> odd = [&] {
      Fenced<float> x(3);
      x[0] = kNan;
      x[1] = 3e38f;
      x[2] = std::bit_cast<float>(0x7f800001u);
      return x;
    }();
    Fenced<uint16_t> y(3);
    run(odd.data(), y.data(), 3);
    CHECK(std::isnan(format.value(y[0])));
    CHECK(std::isnan(format.value(y[2])));
    CHECK(y[1] == (format.infinity == 0x7c00 ? 0x7c00 : nearest(format, 3e38f, 0x7f61)));
    for (std::size_t n = 0; n <= kLongest; ++n) {
      const Fenced<float> x(n, -1.5f);
      Fenced<uint16_t> few(n);
      run(x.data(), few.data(), n);
      for (const uint16_t v : few) CHECK(format.value(v) == -1.5);
    }
  });
}

}  // namespace

TEST_CASE("f16 both ways") { check_format(f16_to_f32, f32_to_f16, {f16, 0x7c00}); }
TEST_CASE("bf16 both ways") { check_format(bf16_to_f32, f32_to_bf16, {bf16, 0x7f80}); }

}  // namespace sdx::kernels
