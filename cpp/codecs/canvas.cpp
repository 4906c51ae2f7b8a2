#include <algorithm>

#include "base/interrupt.h"
#include "base/memory_budget.h"
#include "codecs/codec.h"

namespace sdx::codecs {
namespace {

// Twice what Pillow warns of and so what it refuses: a file of a few bytes can ask for as many.
constexpr int64_t kMostPixels = 2 * (int64_t{1} << 30) / 4 / 3;

int scaled(int a, int b) {  // a * b / 255, rounded
  const int product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

}  // namespace

void check_size(int64_t width, int64_t height) {
  require(width > 0 && height > 0, "the image has ", width, " x ", height, " pixels");
  if (width > kMostPixels || height > kMostPixels / width)
    fail(ErrorKind::unsupported, "the image has ", width, " x ", height, " pixels, more than ",
         kMostPixels);
}

void raise_if_stopped() {
  if (Interrupt* const interrupt = Interrupt::current()) interrupt->raise_if_stopped();
}

std::shared_ptr<void> claim_memory(int64_t bytes) {
  const auto& budget = MemoryBudget::current();
  if (!budget) return nullptr;
  const auto size = static_cast<std::size_t>(bytes);
  if (!budget->take(size))
    fail(ErrorKind::out_of_memory, "decoding the image takes ", budget->refusal(size));
  return {budget.get(), [size, budget](void*) { budget->give_back(size); }};
}

Canvas::Canvas(Layout layout, int64_t width, int64_t height)
    : layout_(layout), width_(width), height_(height) {
  check_size(width, height);
  image_ = Tensor::allocate(DType::uint8, {height, width, layout.channels});
}

uint8_t* Canvas::row(int64_t y) {
  raise_if_stopped();
  return image_.data<uint8_t>() + y * width_ * layout_.channels;
}

void Canvas::put_pixel(uint8_t* to, int red, int green, int blue) const {
  if (layout_.channels == 1) {  // ITU-R 601-2, in 16 bits
    *to = static_cast<uint8_t>((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
    return;
  }
  to[0] = static_cast<uint8_t>(layout_.reversed ? blue : red);
  to[1] = static_cast<uint8_t>(green);
  to[2] = static_cast<uint8_t>(layout_.reversed ? red : blue);
}

void Canvas::put_gray(int64_t y, const uint8_t* pixels, std::ptrdiff_t step) {
  uint8_t* to = row(y);
  for (int64_t x = 0; x < width_; ++x, pixels += step)
    for (int channel = 0; channel < layout_.channels; ++channel) *to++ = *pixels;
}

void Canvas::put_rgb(int64_t y, const uint8_t* pixels, std::ptrdiff_t step) {
  uint8_t* to = row(y);
  for (int64_t x = 0; x < width_; ++x, pixels += step, to += layout_.channels)
    put_pixel(to, pixels[0], pixels[1], pixels[2]);
}

void Canvas::put_cmyk(int64_t y, const uint8_t* pixels, std::ptrdiff_t step) {
  uint8_t* to = row(y);
  for (int64_t x = 0; x < width_; ++x, pixels += step, to += layout_.channels) {
    const int light = 255 - pixels[3];
    const auto channel = [&](int i) { return std::max(light - scaled(pixels[i], light), 0); };
    put_pixel(to, channel(0), channel(1), channel(2));
  }
}

}  // namespace sdx::codecs
