// One number as another type, defined for every value.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/half.h"

namespace sdx::ops {

template <class T>
inline constexpr bool is_half_type = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;

// To float by rounding to odd: what rounds once more to a narrower type then comes out as if
// rounded once.
inline float round_to_odd(double x) {
  const float nearest = static_cast<float>(x);
  if (nearest == x || std::isnan(x) || std::isinf(x)) return nearest;
  const bool away = std::abs(static_cast<double>(nearest)) > std::abs(x);
  const uint32_t truncated = std::bit_cast<uint32_t>(nearest) - (away ? 1 : 0);
  return std::bit_cast<float>(truncated | 1);
}

// The integer part of x. NaN gives 0. What lies outside the range of a signed type of 32 or 64
// bits gives its nearest value; other types take the low bits of the 64-bit integer, as conversion
// between integers does.
template <std::integral To>
To truncate_to(double x) {
  constexpr double kTop = 9223372036854775808.0;  // 2^63
  if (std::isnan(x)) return 0;
  if constexpr (std::is_same_v<To, uint64_t>) {
    if (x >= 2 * kTop) return std::numeric_limits<uint64_t>::max();
    if (x >= kTop) return static_cast<uint64_t>(x);
  }
  const int64_t whole = x >= kTop    ? std::numeric_limits<int64_t>::max()
                        : x <= -kTop ? std::numeric_limits<int64_t>::min()
                                     : static_cast<int64_t>(x);
  if constexpr (std::is_same_v<To, int32_t>) {
    if (whole > std::numeric_limits<int32_t>::max()) return std::numeric_limits<int32_t>::max();
    if (whole < std::numeric_limits<int32_t>::min()) return std::numeric_limits<int32_t>::min();
  }
  return static_cast<To>(whole);
}

template <class To, class From>
To number_cast(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (is_half_type<From>) {
    return number_cast<To>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != 0;
  } else if constexpr (is_half_type<To>) {
    if constexpr (std::is_same_v<From, float> || sizeof(From) <= 2)
      return To(static_cast<float>(x));
    else
      return To(round_to_odd(static_cast<double>(x)));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return truncate_to<To>(static_cast<double>(x));
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace sdx::ops
