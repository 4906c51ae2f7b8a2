// Portable bitmaps, graymaps and pixmaps (PBM, PGM, PPM), plain and binary, read here.
#include <algorithm>

#include "base/checked.h"
#include "codecs/codec.h"

namespace sdx::codecs {
namespace {

class Text {
 public:
  Text(Bytes file, uint64_t at) : file_(file), at_(at) {}
  uint64_t at() const { return at_; }

  // A number of at most `most`, spaces and comments before it skipped.
  uint32_t number(uint32_t most) {
    skip_space();
    require(at_ < file_.size(), "the file ends too early");
    const uint64_t begin = at_;
    uint64_t number = 0;
    for (; at_ < file_.size() && file_[at_] >= '0' && file_[at_] <= '9'; ++at_) {
      number = number * 10 + (file_[at_] - '0');
      require(number <= most, "a number is larger than ", most, ", at byte ", begin);
    }
    require(at_ > begin, "expected a number at byte ", begin);
    return static_cast<uint32_t>(number);
  }

  // A digit of a plain bitmap, which need not be apart from the next one.
  bool bit() {
    skip_space();
    require(at_ < file_.size(), "the file ends too early");
    const uint8_t digit = file_[at_++];
    require(digit == '0' || digit == '1', "expected 0 or 1 at byte ", at_ - 1);
    return digit == '1';
  }

  // The one space before binary samples.
  void end_header() {
    require(at_ < file_.size() && is_space(file_[at_]), "the file ends in its header");
    ++at_;
  }

 private:
  static bool is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }
  void skip_space() {
    for (; at_ < file_.size() && (is_space(file_[at_]) || file_[at_] == '#'); ++at_)
      if (file_[at_] == '#')
        while (at_ < file_.size() && file_[at_] != '\n' && file_[at_] != '\r') ++at_;
  }

  Bytes file_;
  uint64_t at_;
};

}  // namespace

Tensor decode_pnm(Bytes file, Layout layout) {
  const int kind = file[1] - '0';
  const bool plain = kind <= 3, bitmap = kind == 1 || kind == 4;
  const int channels = kind == 3 || kind == 6 ? 3 : 1;
  Text text(file, 2);
  const int64_t width = text.number(INT32_MAX), height = text.number(INT32_MAX);
  check_size(width, height);
  const uint32_t brightest = bitmap ? 1 : text.number(65535);
  require(brightest > 0, "the brightest level is 0");
  const int64_t count = width * channels, sample = brightest > 255 ? 2 : 1;
  const int64_t stride = bitmap ? (width + 7) / 8 : count * sample;
  if (!plain) text.end_header();
  // Plain samples take a digit each, and a space but for bits.
  const int64_t needed =
      plain ? (bitmap ? width * height : 2 * count * height - 1) : stride * height;
  require(fits(text.at(), static_cast<uint64_t>(needed), file.size()),
          "the file ends too early: ", height, " rows begin at ", text.at(), " of ", file.size());

  // Levels of 16 bits go beyond 255 as Pillow's do, which keeps a graymap's as they are.
  const uint32_t most = channels == 1 && brightest > 255 ? 65535 : 255;
  Scratch levels(count);
  Canvas canvas(layout, width, height);
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* from = plain ? nullptr : file.data() + text.at() + y * stride;
    for (int64_t i = 0; i < count; ++i) {
      uint32_t level;
      if (bitmap) {
        const bool black = plain ? text.bit() : (from[i / 8] >> (7 - i % 8) & 1) != 0;
        level = black ? 0 : 255;
      } else {
        level = plain         ? text.number(brightest)
                : sample == 1 ? from[i]
                              : static_cast<uint32_t>(from[2 * i] << 8 | from[2 * i + 1]);
        // Rounded to nearest, halves to even.
        const uint64_t scaled = uint64_t{level} * most * 2 + brightest;
        level = static_cast<uint32_t>(scaled / (2 * uint64_t{brightest}));
        if (scaled % (2 * uint64_t{brightest}) == 0 && level % 2 == 1) --level;
      }
      levels.data()[i] = static_cast<uint8_t>(std::min<uint32_t>(level, 255));
    }
    channels == 3 ? canvas.put_rgb(y, levels.data()) : canvas.put_gray(y, levels.data());
  }
  return canvas.take();
}

}  // namespace sdx::codecs
