// Code points of UTF-8 text, and their case.
#include "ops/utf8.h"

namespace sdx::ops {
namespace {

// Letters first .. last in steps of `step` whose lower case lies `distance` above.
struct CaseRange {
  uint32_t first, last, step, distance;
};

constexpr CaseRange kCases[] = {
    {'A', 'Z', 1, 32},          // ASCII
    {0xc0, 0xd6, 1, 32},        // Latin-1
    {0xd8, 0xde, 1, 32},        //
    {0x100, 0x12e, 2, 1},       // Latin Extended-A
    {0x132, 0x136, 2, 1},       //
    {0x139, 0x147, 2, 1},       //
    {0x14a, 0x176, 2, 1},       //
    {0x179, 0x17d, 2, 1},       //
    {0x1cd, 0x1db, 2, 1},       // Latin Extended-B
    {0x1de, 0x1ee, 2, 1},       //
    {0x1f8, 0x21e, 2, 1},       //
    {0x222, 0x232, 2, 1},       //
    {0x386, 0x386, 1, 38},      // Greek
    {0x388, 0x38a, 1, 37},      //
    {0x38c, 0x38c, 1, 64},      //
    {0x38e, 0x38f, 1, 63},      //
    {0x391, 0x3a1, 1, 32},      //
    {0x3a3, 0x3ab, 1, 32},      //
    {0x400, 0x40f, 1, 80},      // Cyrillic
    {0x410, 0x42f, 1, 32},      //
    {0x460, 0x480, 2, 1},       //
    {0x48a, 0x4be, 2, 1},       //
    {0x4c1, 0x4cd, 2, 1},       //
    {0x4d0, 0x52e, 2, 1},       //
    {0x531, 0x556, 1, 48},      // Armenian
    {0x1e00, 0x1e94, 2, 1},     // Latin Extended Additional
    {0x1ea0, 0x1efe, 2, 1},     //
    {0xff21, 0xff3a, 1, 32},    // full width
    {0x10400, 0x10427, 1, 40},  // Deseret
};

template <class Change>
std::string change_case(std::string_view text, Change change) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const uint32_t code = read_code_point(text, at);
    const uint32_t changed = change(code);
    if (changed == code) {
      result.append(text, begin, at - begin);
    } else {
      append_code_point(result, changed);
    }
  }
  return result;
}

}  // namespace

uint32_t read_code_point(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const uint32_t first = byte(at++);
  if (first < 0xc2 || first > 0xf4) return first;
  const std::size_t more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
  if (text.size() - at < more) return first;
  uint32_t code = first & (0x3fu >> more);
  for (std::size_t i = 0; i < more; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return first;
    code = code << 6 | (byte(at + i) & 0x3f);
  }
  at += more;
  return code;
}

void append_code_point(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  text += static_cast<char>((0xff00u >> (more + 1) & 0xff) | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i) text += static_cast<char>(0x80 | (code >> (6 * i) & 0x3f));
}

bool is_space(uint32_t code) {
  return (code >= 0x9 && code <= 0xd) || (code >= 0x1c && code <= 0x20) || code == 0x85 ||
         code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
         code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

uint32_t to_lower(uint32_t code) {
  for (const CaseRange& range : kCases)
    if (code >= range.first && code <= range.last && (code - range.first) % range.step == 0)
      return code + range.distance;
  return code == 0x178 ? 0xff : code;  // the one Latin-1 letter whose capital lies beyond
}

uint32_t to_upper(uint32_t code) {
  if (code == 0xff) return 0x178;
  if (code == 0x3c2) return 0x3a3;  // final sigma
  for (const CaseRange& range : kCases) {
    const uint32_t capital = code - range.distance;
    if (code >= range.first + range.distance && capital <= range.last &&
        (capital - range.first) % range.step == 0)
      return capital;
  }
  return code;
}

std::string to_lower(std::string_view text) {
  return change_case(text, [](uint32_t code) { return to_lower(code); });
}
std::string to_upper(std::string_view text) {
  return change_case(text, [](uint32_t code) { return to_upper(code); });
}

}  // namespace sdx::ops
