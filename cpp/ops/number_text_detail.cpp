// Formatting and parsing of numbers, independent of locales.
#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "ops/number_cast.h"
#include "ops/number_text.h"

namespace sdx::ops {
namespace {

template <class T>
std::string shortest(T x) {
  if (std::isnan(x)) return "NaN";
  if (std::isinf(x)) return x < 0 ? "-INF" : "INF";
  // From 1e16 on, and below 1e-4, digits of a plain number would be zeros.
  const T size = std::abs(x);
  const bool plain = size == 0 || (size >= T(1e-4) && size < T(1e16));
  char buffer[64];
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, x, format).ptr;
  std::string text(buffer, end);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

[[noreturn]] void refuse(std::string_view text) {
  fail(ErrorKind::invalid_argument, "'", text.substr(0, 64), "' is not a number");
}

template <class T>
T parse_real(std::string_view text) {
  std::string_view rest = trim(text);
  if (!rest.empty() && rest.front() == '+') {
    rest.remove_prefix(1);
    if (!rest.empty() && rest.front() == '-') refuse(text);
  }
  // from_chars knows "inf", "infinity" and "nan" in any case.
  T value{};
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (end != rest.data() + rest.size() || rest.empty()) refuse(text);
  if (error == std::errc::result_out_of_range) {
    // Too large, or too small: the exponent says which.
    const auto mark = rest.find_first_of("eE");
    const bool small =
        (mark != std::string_view::npos && mark + 1 < rest.size() && rest[mark + 1] == '-') ||
        rest.find_first_of("123456789") > rest.find('.');
    const T size = small ? T(0) : std::numeric_limits<T>::infinity();
    return rest.front() == '-' ? -size : size;
  }
  if (error != std::errc{}) refuse(text);
  return value;
}

template <class T>
T parse_integer(std::string_view text) {
  std::string_view rest = trim(text);
  if (rest.size() > 1 && rest.front() == '+' && rest[1] != '-') rest.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error == std::errc{} && end == rest.data() + rest.size()) return value;
  return truncate_to<T>(parse_real<double>(text));
}

}  // namespace

std::string float_text(float x) { return shortest(x); }
std::string float_text(double x) { return shortest(x); }
double parse_double(std::string_view text) { return parse_real<double>(text); }
float parse_float(std::string_view text) { return parse_real<float>(text); }
int64_t parse_int64(std::string_view text) { return parse_integer<int64_t>(text); }
uint64_t parse_uint64(std::string_view text) { return parse_integer<uint64_t>(text); }

}  // namespace sdx::ops
