// A cursor over the protobuf wire format. It checks every length before use and allocates nothing.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace sdx::onnx {

// How a field is stored. Groups (3 and 4) are skipped and never shown.
enum class WireType : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

static_assert(std::endian::native == std::endian::little,
              "numbers are read as they lie in the file");

// Walks the fields of one message:
//   for (Cursor c(message); c.next();) switch (c.field()) { case 1: x = c.integer(); break; ... }
// Fields that are not asked for are skipped unread. Every function throws `invalid_model`.
class Cursor {
 public:
  explicit Cursor(std::string_view message) : rest_(message) {}

  // Moves to the next field; false at the end.
  bool next();
  uint32_t field() const { return field_; }
  WireType type() const { return type_; }

  // The field's value. Each throws where the field is stored in another way.
  int64_t integer() const { return static_cast<int64_t>(number(WireType::varint)); }
  float float32() const {
    return std::bit_cast<float>(static_cast<uint32_t>(number(WireType::fixed32)));
  }
  // The bits of a number stored as `type`.
  uint64_t number(WireType type) const;
  std::string_view bytes() const;
  // The same, checked to be UTF-8: for names.
  std::string_view text() const;

  // Calls f with the bits of the numbers that follow under this one's tag, or of some of them, and
  // moves behind them: lists of thousands are written so.
  template <class F>
  void run_on(F&& f);

 private:
  [[noreturn]] void wrong_type() const;

  std::string_view rest_;
  uint32_t field_ = 0;
  WireType type_ = WireType::varint;
  uint64_t number_ = 0;     // of varint, fixed64 and fixed32 fields
  std::string_view bytes_;  // of length-delimited fields
};

template <class F>
void Cursor::run_on(F&& f) {
  if (field_ >= 16) return;
  const char tag = static_cast<char>(field_ << 3 | static_cast<uint32_t>(type_));
  const char* at = rest_.data();
  const char* const end = at + rest_.size();
  if (type_ == WireType::fixed32) {
    for (uint32_t bits; end - at > 4 && *at == tag; at += 5) {
      std::memcpy(&bits, at + 1, 4);
      f(uint64_t{bits});
    }
  } else if (type_ == WireType::varint) {
    constexpr int kBits = 7, kMostBits = 28;  // longer numbers are left to `next`
    while (end - at > 1 && *at == tag) {
      const char* byte = at + 1;
      uint64_t value = *byte & 0x7f;
      int shift = kBits;
      for (; (*byte & 0x80) != 0 && shift <= kMostBits && byte + 1 < end; shift += kBits)
        value |= static_cast<uint64_t>(*++byte & 0x7f) << shift;
      if ((*byte & 0x80) != 0) break;
      at = byte + 1;
      f(value);
    }
  }
  rest_.remove_prefix(static_cast<std::size_t>(at - rest_.data()));
}

// Reads one number off the front of `bytes`, as the bits it is stored as.
uint64_t take_number(std::string_view& bytes, WireType type);

// Calls f with the bits of each number of field `field` of `message`, packed or not.
template <class F>
void for_each_number(std::string_view message, uint32_t field, WireType type, F&& f) {
  for (Cursor c(message); c.next();) {
    if (c.field() != field) continue;
    if (c.type() == WireType::bytes) {
      for (std::string_view packed = c.bytes(); !packed.empty();) f(take_number(packed, type));
    } else {
      f(c.number(type));
      c.run_on(f);
    }
  }
}

bool is_utf8(std::string_view text);

}  // namespace sdx::onnx
