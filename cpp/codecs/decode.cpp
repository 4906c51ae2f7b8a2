#include "codecs/decode.h"

#include <algorithm>

#include "codecs/codec.h"

namespace sdx::codecs {

#define SDX_IMAGE_CODEC(format) Tensor decode_##format(Bytes file, Layout layout);
#include "image_codecs.inc"
#undef SDX_IMAGE_CODEC

namespace {

using Decode = Tensor(Bytes file, Layout layout);

struct Built {
  std::string_view format;
  Decode* decode;
};

// Ends with none: there may be no codecs.
constexpr Built kBuilt[] = {
#define SDX_IMAGE_CODEC(format) {#format, decode_##format},
#include "image_codecs.inc"
#undef SDX_IMAGE_CODEC
    {"", nullptr}};

bool begins(Bytes file, std::string_view magic, std::size_t at = 0) {
  return file.size() >= at + magic.size() &&
         std::equal(magic.begin(), magic.end(), file.begin() + static_cast<std::ptrdiff_t>(at),
                    [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; });
}

struct Format {
  std::string_view format;  // as its file here is called
  const char* name;         // as CMake's option and messages have it
  bool (*recognise)(Bytes);
};

using namespace std::string_view_literals;

constexpr Format kFormats[] = {
    {"bmp", "BMP", [](Bytes file) { return begins(file, "BM"); }},
    {"pnm", "PNM",
     [](Bytes file) {
       return file.size() > 2 && file[0] == 'P' && file[1] >= '1' && file[1] <= '6' &&
              (file[2] == ' ' || file[2] == '#' || (file[2] >= '\t' && file[2] <= '\r'));
     }},
    {"jpeg", "JPEG", [](Bytes file) { return begins(file, "\xff\xd8\xff"); }},
    {"png", "PNG", [](Bytes file) { return begins(file, "\x89PNG\r\n\x1a\n"); }},
    {"tiff", "TIFF",
     [](Bytes file) {
       return begins(file, "II*\0"sv) || begins(file, "MM\0*"sv) || begins(file, "II+\0"sv) ||
              begins(file, "MM\0+"sv);
     }},
    {"webp", "WEBP", [](Bytes file) { return begins(file, "RIFF") && begins(file, "WEBP", 8); }},
    {"jpeg2000", "JPEG2000", [](Bytes file) {
       return begins(file, "\xff\x4f\xff\x51") || begins(file, "\0\0\0\fjP  \r\n\x87\n"sv);
     }}};

Decode* find(std::string_view format) {
  return std::find_if(std::begin(kBuilt), std::end(kBuilt) - 1,
                      [&](const Built& built) { return built.format == format; })
      ->decode;
}

}  // namespace

std::string formats() {
  std::string text;
  for (const Format& format : kFormats)
    if (find(format.format)) text += (text.empty() ? "" : ", ") + std::string(format.name);
  return text;
}

Tensor decode(std::span<const std::byte> encoded, std::string_view pixel_format) {
  const Bytes file(reinterpret_cast<const uint8_t*>(encoded.data()), encoded.size());
  const Layout layout{.channels = pixel_format == "Grayscale" ? 1 : 3,
                      .reversed = pixel_format == "BGR"};
  for (const Format& format : kFormats) {
    if (!format.recognise(file)) continue;
    Decode* const decode = find(format.format);
    if (!decode)
      fail(ErrorKind::unsupported, "the image is ", format.name, ", for which this build has no ",
           "codec: configure it with SDX_IMAGE_CODECS=AUTO where the library is installed, or ",
           "give the session an image decoder");
    try {
      return decode(file, layout);
    } catch (const Undecodable& error) {
      throw Undecodable(std::string(format.name) + ": " + error.what());
    }
  }
  throw Undecodable("the bytes are no image of a known format");
}

}  // namespace sdx::codecs
