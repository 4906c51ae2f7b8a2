// What the codecs share: each is a function decode_FORMAT in a file of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <sstream>
#include <utility>

#include "base/tensor.h"
#include "codecs/decode.h"

namespace sdx::codecs {

using Bytes = std::span<const uint8_t>;

struct Layout {
  int channels = 3;       // 3, or 1: levels of grey
  bool reversed = false;  // blue, green, red
};

// "the image is damaged: ..." and the like, in the words of the parts.
template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Undecodable(text.str());
}
template <class... Parts>
void require(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    refuse(parts...);
}

// Throws where the size is none that is decoded: before anything of it is allocated.
void check_size(int64_t width, int64_t height);

// Ends the work where the run is to end.
void raise_if_stopped();

// Memory for samples while an image is decoded; counts as values of the run do.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : tensor_(Tensor::allocate(DType::uint8, {bytes})) {}
  uint8_t* data() { return tensor_.data<uint8_t>(); }
  int64_t size() const { return tensor_.count(); }

 private:
  Tensor tensor_;
};

// What a library will take on its own counts for as long as this lives.
std::shared_ptr<void> claim_memory(int64_t bytes);

// The result, filled row by row from samples of 8 bits of whatever the file has. Conversions are
// those of Pillow, by which the standard's reference decodes: transparency is dropped.
class Canvas {
 public:
  Canvas(Layout layout, int64_t width, int64_t height);
  int64_t width() const { return width_; }
  int64_t height() const { return height_; }

  // Pixels lie `step` bytes apart.
  void put_gray(int64_t y, const uint8_t* pixels, std::ptrdiff_t step = 1);
  void put_rgb(int64_t y, const uint8_t* pixels, std::ptrdiff_t step = 3);
  void put_cmyk(int64_t y, const uint8_t* pixels, std::ptrdiff_t step = 4);

  Tensor take() { return std::move(image_); }

 private:
  uint8_t* row(int64_t y);
  void put_pixel(uint8_t* to, int red, int green, int blue) const;

  Layout layout_;
  int64_t width_, height_;
  Tensor image_;
};

}  // namespace sdx::codecs
