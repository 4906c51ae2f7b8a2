#include "onnx/wire.h"

#include <cstring>

namespace sdx::onnx {
namespace {

// Groups nest only in files made to hurt: ONNX has none.
constexpr int kMaxGroups = 32;

uint64_t take_long_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (std::size_t i = 0; i < 10; ++i) {
    check(i < bytes.size(), "malformed protobuf: a number is cut off at the end");
    const auto byte = static_cast<uint8_t>(bytes[i]);
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      bytes.remove_prefix(i + 1);
      return value;
    }
  }
  fail(ErrorKind::invalid_model, "malformed protobuf: a number has more than 10 bytes");
}

// Long lists come one small number after the other.
inline uint64_t take_varint(std::string_view& bytes) {
  if (bytes.empty() || static_cast<uint8_t>(bytes[0]) >= 0x80) return take_long_varint(bytes);
  const auto value = static_cast<uint8_t>(bytes[0]);
  bytes.remove_prefix(1);
  return value;
}

template <class T>
uint64_t take_fixed(std::string_view& bytes) {
  check(bytes.size() >= sizeof(T), "malformed protobuf: ", sizeof(T), " bytes expected, ",
        bytes.size(), " left");
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes.remove_prefix(sizeof(T));
  return value;
}

}  // namespace

uint64_t take_number(std::string_view& bytes, WireType type) {
  if (type == WireType::fixed32) return take_fixed<uint32_t>(bytes);
  if (type == WireType::fixed64) return take_fixed<uint64_t>(bytes);
  return take_varint(bytes);
}

bool Cursor::next() {
  // A number in a field numbered below 16, with nothing that must be checked.
  if (!rest_.empty() && (rest_[0] & 0x87) == 0 && rest_[0] != 0) {
    field_ = static_cast<uint32_t>(rest_[0]) >> 3;
    type_ = WireType::varint;
    rest_.remove_prefix(1);
    number_ = take_varint(rest_);
    return true;
  }
  int open_groups = 0;
  while (!rest_.empty()) {
    const uint64_t tag = take_varint(rest_);
    const uint64_t field = tag >> 3;
    const auto type = static_cast<int>(tag & 7);
    check(field > 0 && field < (1u << 29), "malformed protobuf: field number ", field);
    if (type == 3) {
      check(++open_groups <= kMaxGroups, "malformed protobuf: groups nested too deep");
      continue;
    }
    if (type == 4) {
      check(--open_groups >= 0, "malformed protobuf: a group ends that never began");
      continue;
    }
    field_ = static_cast<uint32_t>(field);
    if (type == 2) {
      const uint64_t size = take_varint(rest_);
      check(size <= rest_.size(), "malformed protobuf: field ", field, " claims ", size,
            " bytes, but only ", rest_.size(), " are left");
      bytes_ = rest_.substr(0, size);
      rest_.remove_prefix(size);
    } else {
      check(type == 0 || type == 1 || type == 5, "malformed protobuf: wire type ", type);
      number_ = take_number(rest_, static_cast<WireType>(type));
    }
    type_ = static_cast<WireType>(type);
    if (open_groups == 0) return true;
  }
  check(open_groups == 0, "malformed protobuf: a group never ends");
  return false;
}

void Cursor::wrong_type() const {
  fail(ErrorKind::invalid_model, "malformed protobuf: field ", field_, " has wire type ",
       static_cast<int>(type_));
}

uint64_t Cursor::number(WireType type) const {
  if (type_ != type) wrong_type();
  return number_;
}

std::string_view Cursor::bytes() const {
  if (type_ != WireType::bytes) wrong_type();
  return bytes_;
}

std::string_view Cursor::text() const {
  const std::string_view text = bytes();
  check(is_utf8(text), "malformed protobuf: the text of field ", field_, " is not UTF-8");
  return text;
}

bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* const end = at + text.size();
  while (at < end) {
    const uint8_t lead = *at++;
    if (lead < 0x80) continue;
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || end - at < more) return false;
    uint32_t code = lead & (0x3f >> more);
    for (int i = 0; i < more; ++i) {
      if ((*at & 0xc0) != 0x80) return false;
      code = code << 6 | (*at++ & 0x3f);
    }
    // Overlong forms, surrogates, and what lies beyond Unicode.
    if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
        (more == 3 && (code < 0x10000 || code > 0x10ffff)))
      return false;
  }
  return true;
}

}  // namespace sdx::onnx
