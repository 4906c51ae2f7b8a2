// Pools: every tier, channels-last and by planes, against the definition in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fenced.h"
#include "kernels/pool.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

using test::Fenced;
using test::random_floats;

// What the window of an output pixel gives over x, whose pixels are x_step floats apart.
struct Pooled {
  double maximum = -std::numeric_limits<double>::infinity();
  double average = 0;
};

Pooled reference(const PoolArgs& args, std::size_t pixel, const float* x) {
  Pooled pooled;
  double count = 0;
  test::for_each_tap(args.window, pixel, [&](std::ptrdiff_t at, std::size_t) {
    pooled.maximum = std::max(pooled.maximum, static_cast<double>(x[at]));
    pooled.average += x[at];
    ++count;
  });
  if (args.count_padding) {
    Window padded = args.window;
    for (int d = 0; d < 3; ++d) {
      padded.axis[d].input += static_cast<std::size_t>(padded.axis[d].pad + args.pad_end[d]);
      padded.axis[d].pad = 0;
    }
    count = 0;
    test::for_each_tap(padded, pixel, [&](std::ptrdiff_t, std::size_t) { ++count; });
  }
  pooled.average /= count;
  return pooled;
}

double difference(double a, double b) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  return a == b ? 0 : std::abs(a - b);
}

void check_pool(std::size_t tier, Window window, std::size_t channels, std::ptrdiff_t pad_end,
                bool count_padding) {
  const std::size_t x_step = channels + 1, y_step = channels + 2;
  test::complete_window(window, x_step, pad_end);
  const std::size_t pixels = test::output_pixels(window);
  if (pixels == 0) return;
  const std::size_t inputs = test::input_pixels(window);
  const auto x = random_floats((inputs - 1) * x_step + channels, 1);
  Fenced<float> y((pixels - 1) * y_step + channels);
  PoolArgs args{.window = window,
                .channels = channels,
                .x = x.data(),
                .y = y.data(),
                .y_step = y_step,
                .count_padding = count_padding};
  for (int d = 0; d < 3; ++d)
    args.pad_end[d] = window.axis[d].taps > 1 || window.axis[d].pad ? pad_end : 0;
  CAPTURE(channels);
  CAPTURE(pixels);
  CAPTURE(test::tap_count(window));
  CAPTURE(count_padding);
  for (const bool average : {false, true}) {
    const auto& kernel = average ? average_pool : max_pool;
    CAPTURE(isa_name(kernel.variants[tier].isa));
    kernel.variants[tier].run(args, 0, pixels / 3);
    kernel.variants[tier].run(args, pixels / 3, pixels);
    double worst = 0;
    for (std::size_t i = 0; i < pixels; ++i)
      for (std::size_t c = 0; c < channels; ++c) {
        const Pooled expected = reference(args, i, x.data() + c);
        worst = std::max(
            worst, difference(average ? expected.average : expected.maximum, y[i * y_step + c]));
      }
    CHECK(worst <= (average ? 1e-6 : 0.0));
  }

  test::complete_window(window, 1, pad_end);
  PlanePoolArgs planes{.pool = args, .x_plane = inputs, .y_plane = pixels};
  const std::size_t count = std::min<std::size_t>(channels, 3);
  const auto plane_x = random_floats(count * inputs, 2);
  Fenced<float> plane_y(count * pixels);
  planes.pool.window = window;
  planes.pool.channels = count;
  planes.pool.x = plane_x.data();
  planes.pool.y = plane_y.data();
  for (const bool average : {false, true}) {
    const auto& kernel = average ? average_pool_planes : max_pool_planes;
    CAPTURE(isa_name(kernel.variants[tier].isa));
    kernel.variants[tier].run(planes, 0, 1);
    kernel.variants[tier].run(planes, 1, count);
    double worst = 0;
    for (std::size_t p = 0; p < count; ++p)
      for (std::size_t i = 0; i < pixels; ++i) {
        const Pooled expected = reference(planes.pool, i, plane_x.data() + p * inputs);
        worst = std::max(worst, difference(average ? expected.average : expected.maximum,
                                           plane_y[p * pixels + i]));
      }
    CHECK(worst <= (average ? 1e-6 : 0.0));
  }
}

template <class F>
void for_each_tier(F f) {
  for (std::size_t tier = 0; tier < kIsaCount; ++tier)
    if (max_pool.variants[tier].isa <= host_isa()) f(tier);
}

TEST_CASE("pools of every window") {
  for_each_tier([](std::size_t tier) {
    for (const std::size_t taps : {1, 2, 3, 4, 5})
      for (const std::size_t stride : {1, 2, 3, 4})
        for (const std::size_t dilation : {1, 2})
          for (const std::ptrdiff_t pad : {0, 1, 4})
            for (const bool count_padding : {false, true}) {
              const WindowAxis across{
                  .input = 21, .taps = taps, .stride = stride, .dilation = dilation, .pad = pad};
              const WindowAxis down{.input = 7, .taps = 2, .stride = stride, .pad = pad};
              check_pool(tier, {{{}, {}, across}}, 17, pad, count_padding);
              check_pool(tier, {{{}, down, across}}, 5, pad + 1, count_padding);
              check_pool(tier, {{down, down, across}}, 1, pad, count_padding);
            }
  });
}

TEST_CASE("pools of large windows and long rows") {
  for_each_tier([](std::size_t tier) {
    check_pool(tier, {{{}, {.input = 14, .taps = 14}, {.input = 15, .taps = 15}}}, 40, 0, false);
    check_pool(tier, {{{}, {}, {.input = 3000, .taps = 3, .stride = 2, .pad = 1}}}, 2, 1, true);
    check_pool(tier, {{{}, {}, {.input = 3000, .taps = 1500, .stride = 700}}}, 2, 0, false);
    check_pool(tier, {{{}, {}, {.input = 9, .taps = 1, .stride = 4}}}, 33, 0, false);
    check_pool(tier, {{{}, {}, {.input = 1000, .taps = 5, .stride = 4, .pad = 2}}}, 2, 2, true);
  });
}

TEST_CASE("a maximum keeps NaN wherever it stands") {
  for_each_tier([](std::size_t tier) {
    for (std::size_t at = 0; at < 3; ++at)
      for (const std::size_t channels : {std::size_t{1}, std::size_t{16}}) {
        Fenced<float> x(3 * channels), y(channels);
        std::fill(x.begin(), x.end(), 1.0f);
        for (std::size_t c = 0; c < channels; ++c) x[at * channels + c] = NAN;
        Window window{{{}, {}, {.input = 3, .taps = 3, .input_step = channels}}};
        const PoolArgs args{
            .window = window, .channels = channels, .x = x.data(), .y = y.data(), .y_step = 0};
        max_pool.variants[tier].run(args, 0, 1);
        CHECK(std::isnan(y[0]));
        if (channels > 1) continue;
        y[0] = 0;
        max_pool_planes.variants[tier].run({.pool = args, .x_plane = 3, .y_plane = 1}, 0, 1);
        CHECK(std::isnan(y[0]));
      }
  });
}

}  // namespace
}  // namespace sdx::kernels
