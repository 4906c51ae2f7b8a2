// Numbers as strings and back, as Cast wants them.
#pragma once

#include <charconv>
#include <cmath>
#include <concepts>
#include <string>
#include <string_view>

namespace sdx::ops {

// The shortest text that reads back as x: "0.1", "1.0", "1e-05", "1e+20"; "NaN", "INF", "-INF".
std::string float_text(float x);
std::string float_text(double x);

// A number or one of the names above in any case, blanks around it ignored. Throws
// `invalid_argument` for other text.
double parse_double(std::string_view text);
// The same, read as the nearest float without rounding twice.
float parse_float(std::string_view text);
// Integers exactly, anything else through double.
int64_t parse_int64(std::string_view text);
uint64_t parse_uint64(std::string_view text);

}  // namespace sdx::ops
