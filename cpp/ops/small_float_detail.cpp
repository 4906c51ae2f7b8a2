// Conversion of small floats, from the number of their bits and how they treat the extremes.
#include <array>
#include <cmath>
#include <limits>

#include "ops/small_float.h"

namespace sdx::ops {
namespace {

// What the highest codes stand for.
enum class Extremes : uint8_t {
  ieee,      // infinity at the top exponent, NaN above it
  nan,       // NaN where all bits are set, no infinity
  one_zero,  // NaN in place of minus zero, no infinity
  none,      // numbers only
};

struct Format {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  Extremes extremes;

  constexpr int sign_bit() const { return 1 << (exponent_bits + mantissa_bits); }
  constexpr int largest_code() const {
    const int all = sign_bit() - 1;
    if (extremes == Extremes::ieee) return all - (1 << mantissa_bits);
    return extremes == Extremes::nan ? all - 1 : all;
  }
  constexpr int nan_code() const {
    return extremes == Extremes::one_zero ? sign_bit() : sign_bit() - 1;
  }
};

constexpr double power_of_two(int exponent) {
  double result = 1;
  for (; exponent > 0; --exponent) result *= 2;
  for (; exponent < 0; ++exponent) result /= 2;
  return result;
}

constexpr double magnitude(const Format& format, int code) {
  const int mantissa = code & ((1 << format.mantissa_bits) - 1);
  const int exponent = code >> format.mantissa_bits;
  if (exponent == 0) return mantissa * power_of_two(1 - format.bias - format.mantissa_bits);
  return (mantissa + (1 << format.mantissa_bits)) *
         power_of_two(exponent - format.bias - format.mantissa_bits);
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

constexpr float value(const Format& format, int code) {
  code &= 2 * format.sign_bit() - 1;
  const bool negative = code & format.sign_bit();
  const int unsigned_code = code & (format.sign_bit() - 1);
  if (format.extremes == Extremes::one_zero && code == format.nan_code()) return kNaN;
  float result = static_cast<float>(magnitude(format, unsigned_code));
  if (unsigned_code > format.largest_code()) {
    const bool infinite =
        format.extremes == Extremes::ieee && unsigned_code == format.largest_code() + 1;
    result = infinite ? std::numeric_limits<float>::infinity() : kNaN;
  }
  return negative ? -result : result;
}

using Values = std::array<float, 256>;

constexpr Values values(const Format& format) {
  Values result{};
  for (int code = 0; code < 256; ++code) result[code] = value(format, code);
  return result;
}

constexpr Values powers_of_two() {
  Values result{};
  for (int code = 0; code < 255; ++code)
    result[code] = static_cast<float>(power_of_two(code - 127));
  result[255] = kNaN;
  return result;
}

constexpr Format kE4M3fn{4, 3, 7, Extremes::nan};
constexpr Format kE4M3fnuz{4, 3, 8, Extremes::one_zero};
constexpr Format kE5M2{5, 2, 15, Extremes::ieee};
constexpr Format kE5M2fnuz{5, 2, 16, Extremes::one_zero};
constexpr Format kE2M1{2, 1, 1, Extremes::none};
constexpr Format kE2M3{2, 3, 1, Extremes::none};
constexpr Format kE3M2{3, 2, 3, Extremes::none};

const Format& format_of(DType dtype) {
  switch (dtype) {
    case DType::float8e4m3fn:
      return kE4M3fn;
    case DType::float8e4m3fnuz:
      return kE4M3fnuz;
    case DType::float8e5m2:
      return kE5M2;
    case DType::float8e5m2fnuz:
      return kE5M2fnuz;
    case DType::float4e2m1:
      return kE2M1;
    case DType::float6e2m3:
      return kE2M3;
    case DType::float6e3m2:
      return kE3M2;
    default:
      fail(ErrorKind::internal, dtype, " is no small float");
  }
}

uint8_t to_power_of_two(double x, bool saturate, SmallFloatMode mode) {
  constexpr uint8_t kNaNCode = 255, kLargest = 254;
  if (std::isnan(x) || x < 0) return kNaNCode;
  if (x == 0) return saturate ? 0 : kNaNCode;
  if (std::isinf(x)) return saturate ? kLargest : kNaNCode;
  int exponent;
  const double fraction = std::frexp(x, &exponent) * 2;  // in [1, 2)
  const double raised = mode == SmallFloatMode::up ? 1 : mode == SmallFloatMode::down ? 2 : 1.5;
  const bool up = mode == SmallFloatMode::up ? fraction > raised : fraction >= raised;
  const int code = exponent - 1 + 127 + up;
  if (code < 0) return saturate ? 0 : kNaNCode;
  if (code > kLargest) return saturate ? kLargest : kNaNCode;
  return static_cast<uint8_t>(code);
}

}  // namespace

const float* small_float_values(DType dtype) {
  static constexpr Values e4m3fn = values(kE4M3fn), e4m3fnuz = values(kE4M3fnuz),
                          e5m2 = values(kE5M2), e5m2fnuz = values(kE5M2fnuz), e2m1 = values(kE2M1),
                          e2m3 = values(kE2M3), e3m2 = values(kE3M2), e8m0 = powers_of_two();
  switch (dtype) {
    case DType::float8e4m3fn:
      return e4m3fn.data();
    case DType::float8e4m3fnuz:
      return e4m3fnuz.data();
    case DType::float8e5m2:
      return e5m2.data();
    case DType::float8e5m2fnuz:
      return e5m2fnuz.data();
    case DType::float4e2m1:
      return e2m1.data();
    case DType::float6e2m3:
      return e2m3.data();
    case DType::float6e3m2:
      return e3m2.data();
    case DType::float8e8m0:
      return e8m0.data();
    default:
      fail(ErrorKind::internal, dtype, " is no small float");
  }
}

uint8_t to_small_float(double x, DType dtype, bool saturate, SmallFloatMode mode) {
  if (dtype == DType::float8e8m0) return to_power_of_two(x, saturate, mode);
  const Format& format = format_of(dtype);
  const bool has_nan = format.extremes != Extremes::none;
  const bool has_minus_zero = format.extremes != Extremes::one_zero;
  const int sign = std::signbit(x) ? format.sign_bit() : 0;
  const int sign_of_nan = has_minus_zero ? sign : 0;
  if (std::isnan(x))
    return static_cast<uint8_t>(has_nan ? sign_of_nan | format.nan_code() : format.sign_bit());

  const double size = std::abs(x);
  const double largest = magnitude(format, format.largest_code());
  double rounded = size;
  int step_exponent = 1 - format.bias - format.mantissa_bits;
  if (!std::isinf(size)) {
    if (size > 0) step_exponent = std::max(step_exponent, std::ilogb(size) - format.mantissa_bits);
    rounded = std::ldexp(std::rint(std::ldexp(size, -step_exponent)), step_exponent);
  }
  if (rounded > largest) {
    if (saturate || !has_nan) return static_cast<uint8_t>(sign | format.largest_code());
    if (format.extremes == Extremes::ieee)
      return static_cast<uint8_t>(sign | (format.largest_code() + 1));
    return static_cast<uint8_t>(sign_of_nan | format.nan_code());
  }
  if (rounded == 0) return static_cast<uint8_t>(has_minus_zero ? sign : 0);
  // Rounding may have carried into the next exponent.
  const int exponent = std::max(std::ilogb(rounded), 1 - format.bias);
  const int mantissa = static_cast<int>(std::ldexp(rounded, format.mantissa_bits - exponent));
  const int implied = 1 << format.mantissa_bits;
  const int code = mantissa < implied
                       ? mantissa
                       : ((exponent + format.bias) << format.mantissa_bits) + mantissa - implied;
  return static_cast<uint8_t>(sign | code);
}

}  // namespace sdx::ops
