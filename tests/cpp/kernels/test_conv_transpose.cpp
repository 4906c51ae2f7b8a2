// Gathering of transposed convolutions: every tier against scattering in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fenced.h"
#include "kernels/conv_transpose.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

void check_gather(std::size_t tier, Window window, std::size_t outputs, Epilogue epilogue,
                  bool weighted = false, std::size_t slack = 1) {
  test::complete_window(window, 1, 1);
  const std::size_t columns = test::output_pixels(window), taps = test::tap_count(window);
  const std::size_t pixels = test::input_pixels(window), y_step = outputs + slack;
  const std::size_t x_step = outputs + 3;
  const auto x = test::random_floats(
      weighted ? (columns - 1) * x_step + outputs : columns * taps * outputs, 1);
  const auto weights = test::random_floats(taps * outputs, 4);
  const auto bias = test::random_floats(outputs, 2);
  const auto residual = test::random_floats(pixels * outputs, 3);
  if (epilogue.column_bias) epilogue.column_bias = bias.data();
  if (epilogue.residual) epilogue.residual = residual.data();
  epilogue.residual_stride = outputs;
  test::Fenced<float> y((pixels - 1) * y_step + outputs);
  const GatherArgs args{.window = window,
                        .outputs = outputs,
                        .columns = x.data(),
                        .weights = weighted ? weights.data() : nullptr,
                        .x_step = x_step,
                        .y = y.data(),
                        .y_step = y_step,
                        .epilogue = epilogue};
  conv_transpose_gather.variants[tier].run(args, 0, pixels / 2);
  conv_transpose_gather.variants[tier].run(args, pixels / 2, pixels);
  std::vector<double> sums(pixels * outputs);
  for (std::size_t column = 0; column < columns; ++column)
    test::for_each_tap(window, column, [&](std::ptrdiff_t at, std::size_t tap) {
      for (std::size_t o = 0; o < outputs; ++o)
        sums[static_cast<std::size_t>(at) * outputs + o] +=
            weighted ? static_cast<double>(x[column * x_step + o]) * weights[tap * outputs + o]
                     : x[(column * taps + tap) * outputs + o];
    });
  double worst = 0;
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t o = 0; o < outputs; ++o) {
      double v = sums[i * outputs + o] + (epilogue.column_bias ? bias[o] : 0);
      if (epilogue.residual) v += residual[i * outputs + o];
      v = test::reference_activation(v, epilogue);
      worst = std::max(worst, std::abs(v - y[i * y_step + o]));
    }
  CAPTURE(isa_name(conv_transpose_gather.variants[tier].isa));
  CAPTURE(outputs);
  CAPTURE(taps);
  CHECK(worst <= 0x1p-24 * static_cast<double>(8 + taps));
}

TEST_CASE("transposed convolutions gather what falls on each pixel") {
  const float given = 0;
  for (std::size_t tier = 0; tier < kIsaCount; ++tier) {
    if (conv_transpose_gather.variants[tier].isa > host_isa()) continue;
    for (const std::size_t taps : {1, 2, 3, 7})
      for (const std::size_t stride : {1, 2, 3})
        for (const std::size_t dilation : {1, 2})
          for (const std::size_t outputs : {1, 4, 19, 32}) {
            const WindowAxis across{
                .input = 17, .taps = taps, .stride = stride, .dilation = dilation, .pad = 1};
            const WindowAxis down{.input = 8, .taps = taps, .stride = stride, .pad = 0};
            const Activation activation = outputs > 4   ? Activation::relu
                                          : outputs > 1 ? Activation::silu
                                                        : Activation::none;
            check_gather(tier, {{{}, down, across}}, outputs,
                         {.column_bias = &given, .activation = activation});
            check_gather(tier, {{{}, down, across}}, outputs, {.column_bias = &given}, true);
            check_gather(tier, {{{}, down, across}}, outputs,
                         {.column_bias = &given, .activation = activation}, false, 0);
            check_gather(tier, {{{.input = 3, .taps = 2}, {}, across}}, outputs,
                         {.residual = &given, .activation = activation});
          }
  }
}

}  // namespace
}  // namespace sdx::kernels
