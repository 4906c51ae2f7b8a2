// Depthwise convolutions of planes: every tier against sums in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "fenced.h"
#include "kernels/depthwise_planes.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

void check_planes(std::size_t tier, Window window, std::size_t channels,
                  Activation activation = Activation::none) {
  test::complete_window(window, 1, 2);
  REQUIRE(fits_planes(window));
  const std::size_t images = 2, planes = images * channels, taps = test::tap_count(window);
  const std::size_t inputs = test::input_pixels(window), outputs = test::output_pixels(window);
  const auto x = test::random_floats(planes * inputs, 1);
  const auto weights = test::random_floats(taps * channels, 2);
  const auto bias = test::random_floats(channels, 3);
  test::Fenced<float> y(planes * outputs);
  const DepthwisePlanesArgs args{
      .window = window,
      .channels = channels,
      .x = x.data(),
      .weights = weights.data(),
      .y = y.data(),
      .epilogue = {
          .column_bias = bias.data(), .alpha = -0.25f, .beta = 1.5f, .activation = activation}};
  depthwise_planes.variants[tier].run(args, 0, planes / 3);
  depthwise_planes.variants[tier].run(args, planes / 3, planes);
  double worst = 0;
  for (std::size_t p = 0; p < planes; ++p)
    for (std::size_t i = 0; i < outputs; ++i) {
      double v = bias[p % channels];
      test::for_each_tap(window, i, [&](std::ptrdiff_t at, std::size_t tap) {
        v += static_cast<double>(x[p * inputs + static_cast<std::size_t>(at)]) *
             weights[tap * channels + p % channels];
      });
      v = test::reference_activation(v, args.epilogue);
      worst = std::max(worst, std::abs(v - y[p * outputs + i]));
    }
  CAPTURE(isa_name(depthwise_planes.variants[tier].isa));
  CAPTURE(taps);
  CAPTURE(outputs);
  CHECK(worst <= 0x1p-24 * static_cast<double>(8 + taps));
}

TEST_CASE("depthwise convolutions of planes") {
  for (std::size_t tier = 0; tier < kIsaCount; ++tier) {
    if (depthwise_planes.variants[tier].isa > host_isa()) continue;
    for (const std::size_t taps : {1, 3, 4, 5, 7, 9})
      for (const std::size_t stride : {1, 2})
        for (const std::size_t dilation : {1, 2})
          for (const std::size_t width : {1, 7, 16, 33, 150}) {
            const auto pad = static_cast<std::ptrdiff_t>(taps * dilation / 2);
            const WindowAxis across{
                .input = width, .taps = taps, .stride = stride, .dilation = dilation, .pad = pad};
            const WindowAxis down{.input = 60,
                                  .taps = taps < 5 ? 3 : taps,
                                  .stride = width == 7 ? 3 : stride,
                                  .dilation = width == 16 ? dilation : 1,
                                  .pad = 2};
            if (taps * dilation > width + 2) continue;
            check_planes(tier, {{{}, down, across}}, 3,
                         width == 33 ? Activation::silu : Activation::none);
            check_planes(tier, {{{}, {}, across}}, 2);
          }
    const WindowAxis axis{.input = 20, .taps = 3, .pad = 1};
    for (const Activation activation : {Activation::relu, Activation::clip, Activation::tanh})
      check_planes(tier, {{{}, axis, axis}}, 2, activation);
  }
}

}  // namespace
}  // namespace sdx::kernels
