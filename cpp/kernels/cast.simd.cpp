// Numbers of one type as numbers of another, in loops that the compiler makes vectors of.
#include "kernels/cast.h"

#include "kernels/simd/half.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

struct Boolean {
  uint8_t byte;
};

template <class T>
inline constexpr bool is_boolean = false;
template <>
inline constexpr bool is_boolean<Boolean> = true;

template <class T>
inline constexpr bool is_float = false;
template <>
inline constexpr bool is_float<float> = true;
template <>
inline constexpr bool is_float<double> = true;

template <class To, class From>
SDX_INLINE To cast(From x) {
  if constexpr (is_boolean<From>)
    return cast<To>(static_cast<uint8_t>(x.byte != 0));
  else if constexpr (is_boolean<To>)
    return {static_cast<uint8_t>(x != 0)};
  else
    return static_cast<To>(x);
}

template <class From, class To>
SDX_INLINE void cast_loop(const void* from, void* to, std::size_t n) {
  if constexpr (is_boolean<From> && sizeof(To) == 1) {
    const uint8_t* x = static_cast<const uint8_t*>(from);
    uint8_t* y = static_cast<uint8_t*>(to);
    for (std::size_t i = 0; i < n; ++i) y[i] = x[i] != 0;
  } else if constexpr (is_boolean<From>) {
    // First to bytes of 0 and 1: no vectors are made of what goes from a comparison to wider items.
    constexpr std::size_t kBlock = 512;
    const uint8_t* x = static_cast<const uint8_t*>(from);
    To* y = static_cast<To*>(to);
    uint8_t truth[kBlock];
    for (std::size_t i = 0; i < n; i += kBlock) {
      const std::size_t count = n - i < kBlock ? n - i : kBlock;
      for (std::size_t k = 0; k < count; ++k) truth[k] = x[i + k] != 0;
      cast_loop<uint8_t, To>(truth, y + i, count);
    }
  } else if constexpr (!is_float<From> || is_float<To> || is_boolean<To>) {
    const From* x = static_cast<const From*>(from);
    To* y = static_cast<To*>(to);
    for (std::size_t i = 0; i < n; ++i) y[i] = cast<To>(x[i]);
  }
}

template <class From>
SDX_INLINE void cast_from(Number to, const void* x, void* y, std::size_t n) {
  switch (to) {
    case Number::boolean:
      return cast_loop<From, Boolean>(x, y, n);
    case Number::int8:
    case Number::uint8:
      return cast_loop<From, uint8_t>(x, y, n);
    case Number::int32:
      return cast_loop<From, int32_t>(x, y, n);
    case Number::int64:
      return cast_loop<From, int64_t>(x, y, n);
    case Number::float32:
      return cast_loop<From, float>(x, y, n);
    case Number::float64:
      return cast_loop<From, double>(x, y, n);
  }
}

// To float by rounding to odd: rounded once more to 16 bits it comes out as if rounded once.
SDX_INLINE float round_to_odd(double x) {
  const auto nearest = static_cast<float>(x);
  const double back = nearest;
  const int32_t bits = __builtin_bit_cast(int32_t, nearest);
  const bool exact = (back == x) | (x != x) | (__builtin_fabsf(nearest) == kInfinity);
  const int32_t away = __builtin_fabs(back) > __builtin_fabs(x) ? 1 : 0;
  return __builtin_bit_cast(float, exact ? bits : (bits - away) | 1);
}

}  // namespace

void cast_numbers(Number from, Number to, const void* x, void* y, std::size_t n) {
  switch (from) {
    case Number::boolean:
      return cast_from<Boolean>(to, x, y, n);
    case Number::int8:
      return cast_from<int8_t>(to, x, y, n);
    case Number::uint8:
      return cast_from<uint8_t>(to, x, y, n);
    case Number::int32:
      return cast_from<int32_t>(to, x, y, n);
    case Number::int64:
      return cast_from<int64_t>(to, x, y, n);
    case Number::float32:
      return cast_from<float>(to, x, y, n);
    case Number::float64:
      return cast_from<double>(to, x, y, n);
  }
}

void f64_to_f16(const double* x, uint16_t* y, std::size_t n) {
  constexpr std::size_t kBlock = 4 * kF32;
  float odd[kBlock] = {};
  uint16_t halves[kBlock];
  for (std::size_t i = 0; i < n; i += kBlock) {
    const std::size_t count = n - i < kBlock ? n - i : kBlock;
    for (std::size_t k = 0; k < count; ++k) odd[k] = round_to_odd(x[i + k]);
    for (std::size_t k = 0; k < kBlock; k += kF32) store_f16(halves + k, load(odd + k));
    for (std::size_t k = 0; k < count; ++k) y[i + k] = halves[k];
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(cast_numbers, CastNumbers)
SDX_DEFINE_KERNEL(f64_to_f16, NarrowF64)

}  // namespace sdx::kernels
