#include "base/dtype.h"

#include <array>
#include <ostream>

namespace sdx {
namespace {

enum class Family : uint8_t { none, floating, small_floating, signed_integer, unsigned_integer };

struct Traits {
  std::string_view name;
  uint8_t bytes;  // in memory
  uint8_t bits;   // in a file
  Family family;
};

constexpr std::array<Traits, kDTypeCount> kTraits = {{
    {"undefined", 0, 0, Family::none},
    {"float32", 4, 32, Family::floating},
    {"uint8", 1, 8, Family::unsigned_integer},
    {"int8", 1, 8, Family::signed_integer},
    {"uint16", 2, 16, Family::unsigned_integer},
    {"int16", 2, 16, Family::signed_integer},
    {"int32", 4, 32, Family::signed_integer},
    {"int64", 8, 64, Family::signed_integer},
    {"string", sizeof(std::string), 0, Family::none},
    {"bool", 1, 8, Family::none},
    {"float16", 2, 16, Family::floating},
    {"float64", 8, 64, Family::floating},
    {"uint32", 4, 32, Family::unsigned_integer},
    {"uint64", 8, 64, Family::unsigned_integer},
    {"complex64", 8, 64, Family::none},
    {"complex128", 16, 128, Family::none},
    {"bfloat16", 2, 16, Family::floating},
    {"float8_e4m3fn", 1, 8, Family::small_floating},
    {"float8_e4m3fnuz", 1, 8, Family::small_floating},
    {"float8_e5m2", 1, 8, Family::small_floating},
    {"float8_e5m2fnuz", 1, 8, Family::small_floating},
    {"uint4", 1, 4, Family::unsigned_integer},
    {"int4", 1, 4, Family::signed_integer},
    {"float4_e2m1fn", 1, 4, Family::small_floating},
    {"float8_e8m0fnu", 1, 8, Family::small_floating},
    {"uint2", 1, 2, Family::unsigned_integer},
    {"int2", 1, 2, Family::signed_integer},
    {"float6_e2m3fn", 1, 6, Family::small_floating},
    {"float6_e3m2fn", 1, 6, Family::small_floating},
}};

const Traits& traits(DType dtype) { return kTraits[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::size_t item_size(DType dtype) { return traits(dtype).bytes; }
int file_bits(DType dtype) { return traits(dtype).bits; }
std::string_view dtype_name(DType dtype) { return traits(dtype).name; }

DType dtype_from_name(std::string_view name) {
  for (int i = 1; i < kDTypeCount; ++i)
    if (kTraits[i].name == name) return static_cast<DType>(i);
  fail(ErrorKind::invalid_argument, "unknown element type '", name, "'");
}

bool is_known_dtype(int64_t code) { return code > 0 && code < kDTypeCount; }
bool is_float(DType dtype) { return traits(dtype).family == Family::floating; }
bool is_small_float(DType dtype) { return traits(dtype).family == Family::small_floating; }
bool is_signed_integer(DType dtype) { return traits(dtype).family == Family::signed_integer; }
bool is_unsigned_integer(DType dtype) { return traits(dtype).family == Family::unsigned_integer; }

std::ostream& operator<<(std::ostream& out, DType dtype) { return out << dtype_name(dtype); }

}  // namespace sdx
