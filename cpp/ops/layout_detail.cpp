// Layout changes of whole tensors, on all threads.
#include "kernels/transpose.h"
#include "ops/layout.h"

namespace sdx::ops {
namespace {

constexpr int64_t kPixels = 256;
constexpr double kCost = 0.4;  // nanoseconds an element

// Calls move(image, first pixel, pixel count).
template <class Move>
void for_blocks(const Frame& f, int64_t images, int64_t channels, int64_t pixels, Move&& move) {
  const int64_t blocks = (pixels + kPixels - 1) / kPixels;
  if (images * blocks * channels == 0) return;
  const double cost = kCost * static_cast<double>(pixels) * static_cast<double>(channels) /
                      static_cast<double>(blocks);
  f.parallel_for(split_work(images * blocks, cost), [&](Range r) {
    for (int64_t i = r.begin; i < r.end; ++i) {
      const int64_t block = i % blocks;
      const int64_t begin = pixels * block / blocks, end = pixels * (block + 1) / blocks;
      move(i / blocks, begin, static_cast<std::size_t>(end - begin));
    }
  });
}

const uint32_t* bits(const float* x) { return reinterpret_cast<const uint32_t*>(x); }
uint32_t* bits(float* x) { return reinterpret_cast<uint32_t*>(x); }

}  // namespace

void to_channels_last(const Frame& f, int64_t images, int64_t channels, int64_t pixels,
                      const float* from, float* to) {
  const auto transpose = kernels::transpose_32.resolve();
  for_blocks(f, images, channels, pixels, [&](int64_t image, int64_t first, std::size_t count) {
    const int64_t base = image * channels * pixels;
    transpose(static_cast<std::size_t>(channels), count, bits(from + base + first),
              static_cast<std::size_t>(pixels), bits(to + base + first * channels),
              static_cast<std::size_t>(channels));
  });
}

void to_channels_first(const Frame& f, int64_t images, int64_t channels, int64_t pixels,
                       const float* from, float* to) {
  const auto transpose = kernels::transpose_32.resolve();
  for_blocks(f, images, channels, pixels, [&](int64_t image, int64_t first, std::size_t count) {
    const int64_t base = image * channels * pixels;
    transpose(count, static_cast<std::size_t>(channels), bits(from + base + first * channels),
              static_cast<std::size_t>(channels), bits(to + base + first),
              static_cast<std::size_t>(pixels));
  });
}

}  // namespace sdx::ops
