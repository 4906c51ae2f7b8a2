// Images of formats that are read here, where the build has codecs, and what every build refuses.
#include <doctest/doctest.h>

#include <string>

#include "base/interrupt.h"
#include "base/memory_budget.h"
#include "codecs/decode.h"

using namespace sdx;

namespace {

Tensor decode(const std::string& file, std::string_view pixel_format = "RGB") {
  return codecs::decode(std::as_bytes(std::span(file)), pixel_format);
}

// The kind of the error, and its words.
std::pair<ErrorKind, std::string> error_of(const std::string& file) {
  try {
    decode(file);
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {ErrorKind::internal, "no error"};
}

bool built(std::string_view format) { return codecs::formats().find(format) != std::string::npos; }

const std::string kPixmap = "P6 2 1 255 abcdef";

}  // namespace

TEST_CASE("bytes of no known format are undecodable") {
  CHECK_THROWS_AS(decode(""), codecs::Undecodable);
  CHECK_THROWS_AS(decode("none"), codecs::Undecodable);
}

TEST_CASE("a format without codec is named, and what helps") {
  for (const char* file : {"BM", "P6 ", "\xff\xd8\xff", "\x89PNG\r\n\x1a\n", "RIFF    WEBP"}) {
    const auto [kind, text] = error_of(file);
    if (kind == ErrorKind::invalid_argument) continue;  // the codec is there and the file is cut
    CHECK(kind == ErrorKind::unsupported);
    CHECK(text.find("SDX_IMAGE_CODECS") != std::string::npos);
  }
}

TEST_CASE("channels come in the order that is asked for") {
  if (!built("PNM")) return;
  const Tensor rgb = decode(kPixmap);
  CHECK(rgb.shape() == Shape{1, 2, 3});
  CHECK(std::string(rgb.data<char>(), 6) == "abcdef");
  CHECK(std::string(decode(kPixmap, "BGR").data<char>(), 6) == "cbafed");
  const Tensor gray = decode("P6 1 1 255 \xff\x80\x01", "Grayscale");
  CHECK(gray.shape() == Shape{1, 1, 1});
  CHECK(*gray.data<uint8_t>() == (255 * 19595 + 128 * 38470 + 7471 + 0x8000) >> 16);
}

TEST_CASE("sizes are compared with the file and with the limits before memory is taken") {
  if (!built("PNM")) return;
  CHECK(error_of("P6 1000 1000 255 abc").first == ErrorKind::invalid_argument);
  CHECK(error_of("P6 99999999 99999999 255 abc").first == ErrorKind::unsupported);
  CHECK(error_of("P6 0 1 255 ").second == "PNM: the image has 0 x 1 pixels");
  CHECK(error_of("P6 99999999999999999999 1 255 ").first == ErrorKind::invalid_argument);
  const std::string large = "P5 100 100 255 " + std::string(10000, 'x');
  CHECK(decode(large).count() == 30000);
  const MemoryBudget::Scope scope(std::make_shared<MemoryBudget>(29999, "run"));
  CHECK(error_of(large).first == ErrorKind::out_of_memory);
}

TEST_CASE("a run that is to end ends in the middle of an image") {
  if (!built("PNM")) return;
  const std::atomic<bool> cancel = true;
  const std::function<bool()> poll;
  const Interrupt interrupt(&cancel, std::nullopt, poll);
  CHECK_THROWS_AS(decode(kPixmap), Interrupted);
}
