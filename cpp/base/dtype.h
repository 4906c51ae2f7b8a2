// Element types. The numbers are those of TensorProto.DataType (onnx.proto).
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "base/error.h"
#include "base/half.h"

namespace sdx {

enum class DType : uint8_t {
  undefined = 0,
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  string = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  complex64 = 14,
  complex128 = 15,
  bfloat16 = 16,
  float8e4m3fn = 17,
  float8e4m3fnuz = 18,
  float8e5m2 = 19,
  float8e5m2fnuz = 20,
  uint4 = 21,
  int4 = 22,
  float4e2m1 = 23,
  float8e8m0 = 24,
  uint2 = 25,
  int2 = 26,
  float6e2m3 = 27,
  float6e3m2 = 28,
};
inline constexpr int kDTypeCount = 29;

// Bytes of one element in memory. Types narrower than a byte take one byte an element, integers
// sign- or zero-extended, floats as their code: only files pack them. A string is a std::string.
std::size_t item_size(DType dtype);

// Bits of one element as ONNX packs it in a file; 0 for strings.
int file_bits(DType dtype);

// "float32", "int64", "bool", ... as NumPy and ml_dtypes spell them; the inverse throws.
std::string_view dtype_name(DType dtype);
DType dtype_from_name(std::string_view name);
// Whether `code` is a TensorProto.DataType that this build knows.
bool is_known_dtype(int64_t code);

bool is_float(DType dtype);             // float16, bfloat16, float32, float64
bool is_small_float(DType dtype);       // float8, float6 and float4 types
bool is_signed_integer(DType dtype);    // int2 .. int64
bool is_unsigned_integer(DType dtype);  // uint2 .. uint64
inline bool is_integer(DType d) { return is_signed_integer(d) || is_unsigned_integer(d); }

std::ostream& operator<<(std::ostream& out, DType dtype);

// The element type that stores values of C++ type T.
template <class T>
inline constexpr DType dtype_of = DType::undefined;
template <>
inline constexpr DType dtype_of<float> = DType::float32;
template <>
inline constexpr DType dtype_of<double> = DType::float64;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::uint8;
template <>
inline constexpr DType dtype_of<int8_t> = DType::int8;
template <>
inline constexpr DType dtype_of<uint16_t> = DType::uint16;
template <>
inline constexpr DType dtype_of<int16_t> = DType::int16;
template <>
inline constexpr DType dtype_of<uint32_t> = DType::uint32;
template <>
inline constexpr DType dtype_of<int32_t> = DType::int32;
template <>
inline constexpr DType dtype_of<uint64_t> = DType::uint64;
template <>
inline constexpr DType dtype_of<int64_t> = DType::int64;
template <>
inline constexpr DType dtype_of<bool> = DType::boolean;
template <>
inline constexpr DType dtype_of<std::string> = DType::string;
template <>
inline constexpr DType dtype_of<Half> = DType::float16;
template <>
inline constexpr DType dtype_of<BFloat16> = DType::bfloat16;

template <class... Ts>
struct TypeList {};
using FloatTypes = TypeList<float, double, Half, BFloat16>;
using IntegerTypes =
    TypeList<int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t>;
using NumberTypes = TypeList<float, double, Half, BFloat16, int8_t, int16_t, int32_t, int64_t,
                             uint8_t, uint16_t, uint32_t, uint64_t>;
using NumberAndBoolTypes = TypeList<float, double, Half, BFloat16, int8_t, int16_t, int32_t,
                                    int64_t, uint8_t, uint16_t, uint32_t, uint64_t, bool>;

// Calls f.template operator()<T>() for the T of `list` that stores `dtype`:
//   return dispatch(FloatTypes{}, dtype, [&]<class T>() -> Step { ... });
// Throws `unsupported` where none does.
template <class... Ts, class F>
decltype(auto) dispatch(TypeList<Ts...>, DType dtype, F&& f) {
  using First = std::tuple_element_t<0, std::tuple<Ts...>>;
  using Result = decltype(f.template operator()<First>());
  const auto refuse = [&] {
    fail(ErrorKind::unsupported, "element type ", dtype_name(dtype), " is not supported here");
  };
  if constexpr (std::is_void_v<Result>) {
    if (!((dtype == dtype_of<Ts> && (f.template operator()<Ts>(), true)) || ...)) refuse();
  } else {
    Result result{};
    if (!((dtype == dtype_of<Ts> && (result = f.template operator()<Ts>(), true)) || ...)) refuse();
    return result;
  }
}

// The unsigned type of `bytes` bytes, for work that only moves elements:
//   dispatch_size(item_size(dtype), [&]<class T>() -> Step { ... });
template <class F>
decltype(auto) dispatch_size(std::size_t bytes, F&& f) {
  switch (bytes) {
    case 1:
      return f.template operator()<uint8_t>();
    case 2:
      return f.template operator()<uint16_t>();
    case 4:
      return f.template operator()<uint32_t>();
    case 8:
      return f.template operator()<uint64_t>();
    default:
      fail(ErrorKind::unsupported, "elements of ", bytes, " bytes are not supported here");
  }
}

}  // namespace sdx
