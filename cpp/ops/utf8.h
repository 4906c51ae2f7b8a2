// Code points of UTF-8 text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sdx::ops {

// The code point at `at`, which moves behind it. A byte that begins no valid sequence stands for
// itself, so that any bytes can be read.
uint32_t read_code_point(std::string_view text, std::size_t& at);
void append_code_point(std::string& text, uint32_t code);

// White space as Unicode defines it.
bool is_space(uint32_t code);
// Simple case mapping, without a locale, of the Latin, Greek, Cyrillic and Armenian scripts.
uint32_t to_lower(uint32_t code);
uint32_t to_upper(uint32_t code);
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);

}  // namespace sdx::ops
