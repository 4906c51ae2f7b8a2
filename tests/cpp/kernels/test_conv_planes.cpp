// Convolutions of planes, and transposed ones: every tier against sums in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fenced.h"
#include "kernels/conv_planes.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

struct Case {
  Window window;
  std::size_t channels, outputs;
  Activation activation = Activation::none;
};

void check_planes(const Kernel<ConvPlanes, kIsaCount>& kernel, std::size_t tier, Case c) {
  const bool transposed = &kernel == &conv_transpose_planes;
  test::complete_window(c.window, 1, 1);
  const PlaneTile tile = conv_planes_tile(c.window, transposed, c.channels);
  REQUIRE(tile.rows > 0);
  const std::size_t taps = test::tap_count(c.window);
  const std::size_t windows = test::output_pixels(c.window);
  const std::size_t x_plane = transposed ? windows : test::input_pixels(c.window);
  const std::size_t y_plane = transposed ? test::input_pixels(c.window) : windows;
  const auto x = test::random_floats(c.channels * x_plane, 1);
  const auto weights = test::random_floats(c.outputs * c.channels * taps, 2);
  const auto bias = test::random_floats(c.outputs, 3);
  std::vector<float> packed(plane_outputs(c.outputs) * c.channels * taps);
  pack_planes({.window = c.window,
               .transposed = transposed,
               .channels = c.channels,
               .outputs = c.outputs,
               .weights = weights.data(),
               .output_step = c.channels * taps,
               .channel_step = taps},
              packed.data());
  test::Fenced<float> y(c.outputs * y_plane);
  const ConvPlanesArgs args{
      .window = c.window,
      .channels = c.channels,
      .outputs = c.outputs,
      .x = x.data(),
      .packed = packed.data(),
      .y = y.data(),
      .epilogue = {
          .column_bias = bias.data(), .alpha = -0.25f, .beta = 1.5f, .activation = c.activation}};
  const std::size_t rows = plane_axis(c.window.axis[1], transposed).cells;
  const std::size_t columns = plane_axis(c.window.axis[2], transposed).cells;
  for (std::size_t row = 0; row < rows; row += tile.rows)
    for (std::size_t column = 0; column < columns; column += tile.columns)
      kernel.variants[tier].run(args, {row, std::min(row + tile.rows, rows), column,
                                       std::min(column + tile.columns, columns)});
  std::vector<double> sums(c.outputs * y_plane);
  for (std::size_t o = 0; o < c.outputs; ++o)
    for (std::size_t i = 0; i < windows; ++i)
      test::for_each_tap(c.window, i, [&](std::ptrdiff_t offset, std::size_t tap) {
        const auto at = static_cast<std::size_t>(offset);
        for (std::size_t k = 0; k < c.channels; ++k)
          sums[o * y_plane + (transposed ? at : i)] +=
              static_cast<double>(x[k * x_plane + (transposed ? i : at)]) *
              weights[(o * c.channels + k) * taps + tap];
      });
  double worst = 0;
  for (std::size_t o = 0; o < c.outputs; ++o)
    for (std::size_t i = 0; i < y_plane; ++i) {
      const double v = test::reference_activation(sums[o * y_plane + i] + bias[o], args.epilogue);
      worst = std::max(worst, std::abs(v - y[o * y_plane + i]));
    }
  CAPTURE(isa_name(kernel.variants[tier].isa));
  CAPTURE(c.channels);
  CAPTURE(c.outputs);
  CAPTURE(taps);
  CAPTURE(y_plane);
  CHECK(worst <= 0x1p-24 * static_cast<double>(8 + taps * c.channels));
}

void check_all(const Kernel<ConvPlanes, kIsaCount>& kernel, std::size_t most_stride) {
  for (std::size_t tier = 0; tier < kIsaCount; ++tier) {
    if (kernel.variants[tier].isa > host_isa()) continue;
    for (const std::size_t taps : {1, 2, 3, 5})
      for (const std::size_t stride : {1, 2, 3, 5})
        for (const std::size_t dilation : {1, 2})
          for (const std::size_t width : {7, 16, 33, 150}) {
            if (stride > most_stride || taps * dilation > width) continue;
            const auto pad = static_cast<std::ptrdiff_t>(width == 16 ? 0 : taps / 2);
            const WindowAxis across{
                .input = width, .taps = taps, .stride = stride, .dilation = dilation, .pad = pad};
            const WindowAxis down{.input = 13,
                                  .taps = taps,
                                  .stride = width == 7 ? 1 : stride,
                                  .dilation = dilation,
                                  .pad = pad};
            check_planes(kernel, tier, {{{{}, down, across}}, 3, 1 + width % 16});
            check_planes(kernel, tier, {{{{}, {}, across}}, 2, taps, Activation::clip});
          }
    const WindowAxis axis{.input = 20, .taps = 4, .stride = 2, .pad = 1};
    for (const std::size_t outputs : {1, 2, 3, 6, 8, 17})
      for (const Activation activation : {Activation::relu, Activation::silu})
        check_planes(kernel, tier, {{{{}, axis, axis}}, 4, outputs, activation});
    // Rows that no tile holds whole.
    const WindowAxis wide{.input = 1500, .taps = 9, .stride = 2, .pad = 4};
    check_planes(kernel, tier, {{{{}, {}, wide}}, 20, 2});
    const WindowAxis filter{.input = 600, .taps = 201, .pad = 100};
    for (const std::size_t outputs : {1, 8})
      check_planes(kernel, tier, {{{{}, {}, filter}}, 4, outputs});
  }
}

TEST_CASE("convolutions of planes") { check_all(conv_planes, 5); }
TEST_CASE("transposed convolutions of planes") { check_all(conv_transpose_planes, 3); }

TEST_CASE("windows that planes do not take") {
  const WindowAxis axis{.input = 100, .output = 98, .taps = 3};
  CHECK(conv_planes_tile({{{}, axis, axis}}, false, 8).rows > 0);
  CHECK(conv_planes_tile({{axis, axis, axis}}, false, 8).rows == 0);
  CHECK(conv_planes_tile({{{}, axis, axis}}, false, 1000).rows == 0);
  const WindowAxis far{.input = 100, .output = 20, .taps = 3, .stride = 5};
  CHECK(conv_planes_tile({{{}, far, far}}, false, 2).rows > 0);
  CHECK(conv_planes_tile({{{}, far, far}}, true, 2).rows == 0);
}

}  // namespace
}  // namespace sdx::kernels
