// The conversions: a loop for each pair of types as wide as a byte, by way of doubles for narrower
// ones, by way of text for strings.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "kernels/cast.h"
#include "kernels/convert.h"
#include "kernels/truncate.h"
#include "ops/convert.h"
#include "ops/float32_adapter.h"
#include "ops/number_cast.h"
#include "ops/number_text.h"

namespace sdx::ops {
namespace {

using Loop = void(const void* from, void* to, std::size_t n);

// What elements are read as: a boolean is a byte, of which any but 0 is true.
template <class T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

template <class From, class To>
void convert_loop(const void* from, void* to, std::size_t n) {
  const auto* x = static_cast<const Stored<From>*>(from);
  To* y = static_cast<To*>(to);
  for (std::size_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<From, bool>)
      y[i] = number_cast<To>(static_cast<uint8_t>(x[i] != 0));
    else
      y[i] = number_cast<To>(x[i]);
  }
}

template <class From>
void text_loop(const void* from, void* to, std::size_t n) {
  const From* x = static_cast<const From*>(from);
  auto* y = static_cast<std::string*>(to);
  for (std::size_t i = 0; i < n; ++i) {
    if constexpr (is_half_type<From>)
      y[i] = float_text(static_cast<float>(x[i]));
    else if constexpr (std::is_floating_point_v<From>)
      y[i] = float_text(x[i]);
    else
      y[i] = std::to_string(x[i]);
  }
}

template <class To>
void parse_loop(const void* from, void* to, std::size_t n) {
  const auto* x = static_cast<const std::string*>(from);
  To* y = static_cast<To*>(to);
  for (std::size_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<To, float>)
      y[i] = parse_float(x[i]);
    else if constexpr (std::is_same_v<To, uint64_t>)
      y[i] = parse_uint64(x[i]);
    else if constexpr (std::is_integral_v<To> && !std::is_same_v<To, bool>)
      y[i] = static_cast<To>(parse_int64(x[i]));
    else
      y[i] = number_cast<To>(parse_double(x[i]));
  }
}

void copy_strings(const void* from, void* to, std::size_t n) {
  std::copy_n(static_cast<const std::string*>(from), n, static_cast<std::string*>(to));
}

// Types whose elements are not numbers of C++: narrower than a byte, or a small float.
bool is_narrow(DType dtype) {
  switch (dtype) {
    case DType::int2:
    case DType::int4:
    case DType::uint2:
    case DType::uint4:
      return true;
    default:
      return is_small_float(dtype);
  }
}

Loop* wide_loop(DType from, DType to) {
  if (from == DType::string && to == DType::string) return &copy_strings;
  if (from == DType::string)
    return dispatch(NumberAndBoolTypes{}, to, []<class T>() -> Loop* { return &parse_loop<T>; });
  if (to == DType::string)
    return dispatch(NumberAndBoolTypes{}, from, []<class T>() -> Loop* { return &text_loop<T>; });
  return dispatch(NumberAndBoolTypes{}, from, [&]<class From>() -> Loop* {
    return dispatch(NumberAndBoolTypes{}, to,
                    []<class To>() -> Loop* { return &convert_loop<From, To>; });
  });
}

// The type in which narrow elements are numbers: how integers lie in memory, or what small floats
// are read as.
DType wide_type(DType dtype) {
  if (is_small_float(dtype)) return DType::float64;
  return is_unsigned_integer(dtype) ? DType::uint8 : DType::int8;
}

struct Narrow {
  DType dtype;
  ConvertOptions options;

  void read(const void* from, double* to, std::size_t n) const {
    const auto* codes = static_cast<const uint8_t*>(from);
    const float* values = small_float_values(dtype);
    for (std::size_t i = 0; i < n; ++i) to[i] = values[codes[i]];
  }

  void write(const double* from, void* to, std::size_t n) const {
    auto* codes = static_cast<uint8_t*>(to);
    const bool nan_is_largest = options.nan_is_largest && dtype == DType::float4e2m1;
    for (std::size_t i = 0; i < n; ++i) {
      const double x =
          nan_is_largest && std::isnan(from[i]) ? std::numeric_limits<double>::infinity() : from[i];
      codes[i] = to_small_float(x, dtype, options.saturate, options.mode);
    }
  }

  // Bytes cut to the type's bits, as integers that overflow are.
  void cut(void* items, std::size_t n) const {
    const int spare = 8 - file_bits(dtype);
    auto* bytes = static_cast<uint8_t*>(items);
    for (std::size_t i = 0; i < n; ++i) {
      const auto high = static_cast<uint8_t>(bytes[i] << spare);
      bytes[i] = is_signed_integer(dtype) ? static_cast<uint8_t>(static_cast<int8_t>(high) >> spare)
                                          : static_cast<uint8_t>(high >> spare);
    }
  }
};

Conversion narrow_conversion(DType from, DType to, const ConvertOptions& options) {
  const bool reads = is_small_float(from), writes = is_small_float(to);
  Loop* loop =
      wide_loop(is_narrow(from) ? wide_type(from) : from, is_narrow(to) ? wide_type(to) : to);
  const Narrow source{from, options}, target{to, options};
  const bool cuts = is_narrow(to) && !writes;
  const std::size_t from_size = item_size(from), to_size = item_size(to);
  const auto run = [=](const void* x, void* y, std::size_t n) {
    constexpr std::size_t kBlock = 256;
    for (std::size_t i = 0; i < n; i += kBlock) {
      const std::size_t count = std::min(kBlock, n - i);
      const void* in = static_cast<const std::byte*>(x) + i * from_size;
      void* out = static_cast<std::byte*>(y) + i * to_size;
      double before[kBlock], after[kBlock];
      if (reads) source.read(in, before, count);
      loop(reads ? before : in, writes ? after : out, count);
      if (writes) target.write(after, out, count);
      if (cuts) target.cut(out, count);
    }
  };
  return {run, writes ? 10.0 : 1.5};
}

template <class From, class To>
Conversion kernel_conversion(void (*run)(const From*, To*, std::size_t), double cost) {
  return {[run](const void* x, void* y, std::size_t n) {
            run(static_cast<const From*>(x), static_cast<To*>(y), n);
          },
          cost};
}

// Floats to the integers that have kernels.
std::optional<Conversion> truncation(DType from, DType to) {
  const bool single = from == DType::float32;
  if (!single && from != DType::float64) return std::nullopt;
  const double cost = single ? 0.2 : 0.3;
  switch (to) {
    case DType::int32:
      return single ? kernel_conversion(kernels::truncate_f32_to_i32.resolve(), cost)
                    : kernel_conversion(kernels::truncate_f64_to_i32.resolve(), cost);
    case DType::int64:
      return single ? kernel_conversion(kernels::truncate_f32_to_i64.resolve(), cost)
                    : kernel_conversion(kernels::truncate_f64_to_i64.resolve(), cost);
    case DType::int8:
    case DType::uint8:
      return single ? kernel_conversion(kernels::truncate_f32_to_byte.resolve(), cost)
                    : kernel_conversion(kernels::truncate_f64_to_byte.resolve(), cost);
    default:
      return std::nullopt;
  }
}

std::optional<kernels::Number> number_of(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return kernels::Number::boolean;
    case DType::int8:
      return kernels::Number::int8;
    case DType::uint8:
      return kernels::Number::uint8;
    case DType::int32:
      return kernels::Number::int32;
    case DType::int64:
      return kernels::Number::int64;
    case DType::float32:
      return kernels::Number::float32;
    case DType::float64:
      return kernels::Number::float64;
    default:
      return std::nullopt;
  }
}

// Whether an item of 16 bits comes out as it should by way of float32: from one that is exact, and
// to float16 also integers that float32 rounds are, which lie beyond its largest number.
bool through_float32(DType from, DType to) {
  if (from == DType::float32 || to == DType::float32) return false;
  if (from == DType::string || to == DType::string) return false;
  if (is_half_float(from)) return true;
  return (to == DType::float16 && from != DType::float64) ||
         (to == DType::bfloat16 && item_size(from) <= 2);
}

// Two conversions, block by block.
Conversion in_two_steps(DType from, DType to) {
  Conversion first = conversion(from, DType::float32), second = conversion(DType::float32, to);
  const double cost = first.cost + second.cost;
  return {
      [widen = std::move(first.run), narrow = std::move(second.run), from_size = item_size(from),
       to_size = item_size(to)](const void* x, void* y, std::size_t n) {
        constexpr std::size_t kBlock = 1024;
        float middle[kBlock];
        for (std::size_t i = 0; i < n; i += kBlock) {
          const std::size_t count = std::min(kBlock, n - i);
          widen(static_cast<const std::byte*>(x) + i * from_size, middle, count);
          narrow(middle, static_cast<std::byte*>(y) + i * to_size, count);
        }
      },
      cost};
}

}  // namespace

Conversion conversion(DType from, DType to, const ConvertOptions& options) {
  if (is_narrow(from) || is_narrow(to)) return narrow_conversion(from, to, options);
  if (auto integers = truncation(from, to)) return std::move(*integers);
  if (to == DType::float32) {
    if (from == DType::float16) return kernel_conversion(kernels::f16_to_f32.resolve(), 0.2);
    if (from == DType::bfloat16) return kernel_conversion(kernels::bf16_to_f32.resolve(), 0.2);
  }
  if (from == DType::float32) {
    if (to == DType::float16) return kernel_conversion(kernels::f32_to_f16.resolve(), 0.2);
    if (to == DType::bfloat16) return kernel_conversion(kernels::f32_to_bf16.resolve(), 0.2);
  }
  if (through_float32(from, to)) return in_two_steps(from, to);
  if (from == DType::float64 && to == DType::float16)
    return kernel_conversion(kernels::f64_to_f16.resolve(), 0.4);
  if (const auto number = number_of(from), other = number_of(to); number && other)
    return {[run = kernels::cast_numbers.resolve(), number = *number, other = *other](
                const void* x, void* y, std::size_t n) { run(number, other, x, y, n); },
            0.2};
  const bool text = from == DType::string || to == DType::string;
  return {wide_loop(from, to), text ? 60.0 : 0.6};
}

}  // namespace sdx::ops
