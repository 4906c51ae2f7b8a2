#include <doctest/doctest.h>

#include "onnx/message.h"
#include "onnx/wire.h"

using namespace sdx;
using namespace sdx::onnx;
using sdx::onnx::test::Message;

TEST_CASE("the cursor reads every kind of field and skips groups") {
  Message message;
  message.integer(1, -1).float32(2, 1.5F).bytes(3, "abc");
  message.varint(4 << 3 | 3).integer(9, 7).varint(4 << 3 | 4);  // a group with a field in it
  message.varint(5 << 3 | 1).fixed(0x0102030405060708, 8);
  Cursor c(message.encoded());
  REQUIRE(c.next());
  CHECK(c.field() == 1);
  CHECK(c.integer() == -1);
  CHECK_THROWS_AS(c.bytes(), Error);
  REQUIRE(c.next());
  CHECK(c.float32() == 1.5F);
  REQUIRE(c.next());
  CHECK(c.text() == "abc");
  CHECK_THROWS_AS(c.integer(), Error);
  REQUIRE(c.next());
  CHECK(c.field() == 5);
  CHECK(c.number(WireType::fixed64) == 0x0102030405060708);
  CHECK(!c.next());
}

TEST_CASE("a message cut off anywhere is an error or ends at a field") {
  Message message;
  message.integer(1, 300).bytes(2, "abcdef").float32(3, 1);
  const std::string& whole = message.encoded();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Cursor c(std::string_view(whole).substr(0, size));
    try {
      while (c.next()) {
      }
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::invalid_model);
    }
  }
}

TEST_CASE("malformed fields are errors") {
  const auto refuses = [](const Message& message) {
    Cursor c(message.encoded());
    CHECK_THROWS_AS(c.next(), Error);
  };
  refuses(Message().varint(0));                                     // field 0
  refuses(Message().varint(1 << 3 | 6));                            // wire type 6
  refuses(Message().varint(1 << 3 | 4));                            // end of no group
  refuses(Message().varint(1 << 3 | 3));                            // a group without an end
  refuses(Message().varint(1 << 3 | 2).varint(uint64_t{1} << 63));  // longer than the file
  refuses(
      Message().varint(1 << 3).fixed(~uint64_t{0}, 8).fixed(~uint64_t{0}, 8));  // endless varint
}

TEST_CASE("lists of numbers are read packed and unpacked alike") {
  Message packed, message;
  packed.varint(1).varint(300);
  message.integer(7, 5).bytes(7, packed.encoded()).integer(8, 9);
  std::vector<uint64_t> numbers;
  for_each_number(message.encoded(), 7, WireType::varint,
                  [&](uint64_t n) { numbers.push_back(n); });
  CHECK(numbers == std::vector<uint64_t>{5, 1, 300});
}

TEST_CASE("runs of numbers under one tag end where another field begins") {
  const std::vector<uint64_t> wanted{0, 127, 128, 300, ~uint64_t{}, (1ull << 28), 1ull << 35, 2};
  for (const uint32_t field : {7u, 16u}) {
    Message message;
    for (const uint64_t number : wanted) message.integer(field, static_cast<int64_t>(number));
    message.integer(8, 9).integer(field, 3);
    std::vector<uint64_t> numbers;
    for_each_number(message.encoded(), field, WireType::varint,
                    [&](uint64_t n) { numbers.push_back(n); });
    std::vector<uint64_t> all = wanted;
    all.push_back(3);
    CHECK(numbers == all);
  }
  Message floats;
  for (const uint64_t bits : {1, 2, 3}) floats.varint(7 << 3 | 5).fixed(bits, 4);
  floats.integer(7, 4);
  std::vector<uint64_t> bits;
  const auto keep = [&](uint64_t n) { bits.push_back(n); };
  CHECK_THROWS_AS(for_each_number(floats.encoded(), 7, WireType::fixed32, keep), Error);
  CHECK(bits == std::vector<uint64_t>{1, 2, 3});
  for (const char* cut : {"\x38\x01\x38", "\x38\x01\x38\x80", "\x38\x01\x38\xff\xff"})
    CHECK_THROWS_AS(for_each_number(cut, 7, WireType::varint, keep), Error);
  CHECK_THROWS_AS(
      for_each_number(std::string_view("\x3d\1\1\1\1\x3d\1\1\1", 9), 7, WireType::fixed32, keep),
      Error);
}

TEST_CASE("names are UTF-8") {
  CHECK(is_utf8("plain"));
  CHECK(is_utf8("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
  for (const char* text : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
                           "\xf4\x90\x80\x80", "\xff", "\xe2\x82"})
    CHECK(!is_utf8(text));
}
