// Depthwise convolutions: every tier against sums in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "fenced.h"
#include "kernels/depthwise.h"
#include "kernels/gemm.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

using test::complete_window;
using test::Fenced;
using test::random_floats;

void check_depthwise(std::size_t tier, Window window, std::size_t channels, std::ptrdiff_t pad_end,
                     Epilogue epilogue = {}, std::size_t group = 1) {
  const std::size_t x_step = channels + 3, y_step = channels + 1;
  complete_window(window, x_step, pad_end);
  const std::size_t pixels = test::output_pixels(window), taps = test::tap_count(window);
  const auto x = random_floats((test::input_pixels(window) - 1) * x_step + channels, 1);
  const auto weights = random_floats(channels * group * taps, 2);
  const auto bias = random_floats(channels, 3);
  const auto residual = random_floats(pixels * channels, 4);
  if (epilogue.column_bias) epilogue.column_bias = bias.data();
  if (epilogue.residual) epilogue.residual = residual.data();
  epilogue.residual_stride = channels;
  Fenced<float> y(pixels ? (pixels - 1) * y_step + channels : 0);
  const DepthwiseArgs args{.window = window,
                           .channels = channels,
                           .group = group,
                           .x = x.data(),
                           .weights = weights.data(),
                           .y = y.data(),
                           .y_step = y_step,
                           .epilogue = epilogue};
  const std::size_t rows = window.axis[0].output * window.axis[1].output;
  depthwise.variants[tier].run(args, 0, rows / 2);
  depthwise.variants[tier].run(args, rows / 2, rows);
  double worst = 0;
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t c = 0; c < channels; ++c) {
      double v = epilogue.column_bias ? bias[c] : 0;
      test::for_each_tap(window, i, [&](std::ptrdiff_t at, std::size_t tap) {
        for (std::size_t j = 0; j < group; ++j)
          v += static_cast<double>(
                   x.data()[at + static_cast<std::ptrdiff_t>(c / group * group + j)]) *
               weights[(tap * group + j) * channels + c];
      });
      if (epilogue.residual && !epilogue.residual_last) v += residual[i * channels + c];
      v = test::reference_activation(v, epilogue);
      if (epilogue.residual && epilogue.residual_last) v += residual[i * channels + c];
      worst = std::max(worst, std::abs(v - y[i * y_step + c]));
    }
  CAPTURE(isa_name(depthwise.variants[tier].isa));
  CAPTURE(channels);
  CAPTURE(taps);
  CAPTURE(pixels);
  CHECK(worst <= 0x1p-24 * static_cast<double>(8 + taps * group));
}

template <class F>
void for_each_tier(F f) {
  for (std::size_t tier = 0; tier < kIsaCount; ++tier)
    if (depthwise.variants[tier].isa <= host_isa()) f(tier);
}

TEST_CASE("depthwise convolutions of every window") {
  for_each_tier([](std::size_t tier) {
    for (const std::size_t taps : {1, 2, 3, 4, 5, 7, 9})
      for (const std::size_t stride : {1, 2, 3})
        for (const std::size_t dilation : {1, 2})
          for (const std::size_t width : {1, 2, 5, 6, 7, 8, 17, 24}) {
            const auto pad = static_cast<std::ptrdiff_t>(taps * dilation / 2);
            const WindowAxis across{
                .input = width, .taps = taps, .stride = stride, .dilation = dilation, .pad = pad};
            const WindowAxis down{.input = 5, .taps = 3, .stride = stride, .pad = 1};
            check_depthwise(tier, {{{}, down, across}}, 1 + width, pad > 3 ? 3 : pad);
            check_depthwise(tier, {{{}, {}, across}}, 16, 0);
            if (width == 8) check_depthwise(tier, {{down, down, across}}, 70, 2);
          }
  });
}

TEST_CASE("depthwise convolutions of wide windows") {
  for_each_tier([](std::size_t tier) {
    for (const std::size_t taps : {8, 9, 13, 31})
      for (const std::size_t stride : {1, 2})
        for (const std::size_t width : {4, 15, 29, 90}) {
          const auto pad = static_cast<std::ptrdiff_t>(taps / 2);
          const WindowAxis across{.input = width, .taps = taps, .stride = stride, .pad = pad};
          check_depthwise(tier, {{{}, {}, across}}, 37, pad);
          if (taps > 13) continue;
          const WindowAxis down{.input = 11, .taps = taps, .stride = stride, .pad = pad};
          check_depthwise(tier, {{{}, down, across}}, 37, pad);
        }
    for (const std::size_t dilation : {2, 5}) {
      const auto pad = static_cast<std::ptrdiff_t>(dilation);
      const WindowAxis axis{.input = 30, .taps = 3, .dilation = dilation, .pad = pad};
      check_depthwise(tier, {{{}, axis, axis}}, 37, pad);
    }
  });
}

TEST_CASE("depthwise convolutions of rows that are cut into tiles") {
  for_each_tier([](std::size_t tier) {
    for (const std::size_t taps : {3, 5, 7, 21})
      for (const std::size_t stride : {1, 2})
        for (const std::size_t width : {13, 70, 131})
          for (const std::size_t channels : {5, 37}) {
            const auto pad = static_cast<std::ptrdiff_t>(taps / 2);
            const WindowAxis across{.input = width, .taps = taps, .stride = stride, .pad = pad};
            const WindowAxis down{.input = 9, .taps = taps, .stride = stride, .pad = pad};
            check_depthwise(tier, {{{}, down, across}}, channels, pad);
          }
    // Rows and columns that no window meets, and pixels that share sets of a cache.
    const WindowAxis apart{.input = 20, .taps = 3, .stride = 5};
    const WindowAxis axis{.input = 12, .taps = 3, .pad = 1};
    check_depthwise(tier, {{{}, apart, axis}}, 37, 0);
    check_depthwise(tier, {{{}, axis, axis}}, 253, 1);
  });
}

TEST_CASE("convolutions of groups of few channels") {
  const float given = 0;
  for_each_tier([&](std::size_t tier) {
    for (const std::size_t group : {2, 4, 8})
      for (const std::size_t taps : {3, 4})
        for (const std::size_t stride : {1, 2}) {
          if (gemm_tiling.variants[tier].run().lanes % group != 0) continue;
          const WindowAxis axis{.input = 21, .taps = taps, .stride = stride, .pad = 1};
          check_depthwise(tier, {{{}, axis, axis}}, 40, 1,
                          {.column_bias = &given, .activation = Activation::relu}, group);
          if (taps == 3)
            for (const std::size_t width : {5, 7, 65})
              check_depthwise(tier, {{{}, axis, {.input = width, .taps = 3, .pad = 1}}}, 40, 1, {},
                              group);
        }
  });
}

TEST_CASE("depthwise epilogues") {
  const float given = 0;
  for_each_tier([&](std::size_t tier) {
    for (const Activation activation : {Activation::none, Activation::relu, Activation::clip,
                                        Activation::leaky_relu, Activation::hard_swish})
      for (const bool last : {false, true})
        for (const std::size_t taps : {3, 4})
          check_depthwise(
              tier,
              {{{}, {.input = 9, .taps = taps, .pad = 1}, {.input = 11, .taps = taps, .pad = 1}}},
              37, 1,
              {.column_bias = &given,
               .residual = &given,
               .alpha = -0.25f,
               .beta = 1.5f,
               .activation = activation,
               .residual_last = last});
  });
}

}  // namespace
}  // namespace sdx::kernels
