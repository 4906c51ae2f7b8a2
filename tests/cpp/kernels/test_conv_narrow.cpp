// Convolutions from few channels into few outputs: every tier against sums in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fenced.h"
#include "kernels/conv_narrow.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

using test::Fenced;
using test::random_floats;

void check_narrow(std::size_t tier, Window window, std::size_t channels, std::size_t outputs,
                  std::size_t slack = 0, Epilogue epilogue = {}) {
  const std::size_t x_step = channels + slack, y_step = outputs + slack;
  test::complete_window(window, x_step, 1);
  const std::size_t pixels = test::output_pixels(window), taps = test::tap_count(window);
  const std::size_t step = narrow_outputs(outputs);
  REQUIRE(fits_narrow(window, channels));
  const auto x = random_floats((test::input_pixels(window) - 1) * x_step + channels, 1);
  auto packed = random_floats(step * taps * channels, 2);
  for (std::size_t i = 0; i < packed.size(); ++i)
    if (i % step >= outputs) packed[i] = 0;
  const auto bias = random_floats(outputs, 3);
  if (epilogue.column_bias) epilogue.column_bias = bias.data();
  const auto residual = random_floats(pixels * outputs, 4);
  if (epilogue.residual) epilogue.residual = residual.data();
  epilogue.residual_stride = outputs;
  Fenced<float> y(pixels ? (pixels - 1) * y_step + outputs : 0);
  const ConvArgs args{.window = window,
                      .channels = channels,
                      .outputs = outputs,
                      .x = x.data(),
                      .packed = packed.data(),
                      .y = y.data(),
                      .y_step = y_step,
                      .epilogue = epilogue};
  const std::size_t rows = window.axis[0].output * window.axis[1].output;
  conv_narrow.variants[tier].run(args, 0, rows / 2);
  conv_narrow.variants[tier].run(args, rows / 2, rows);
  double worst = 0;
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t o = 0; o < outputs; ++o) {
      double v = epilogue.column_bias ? bias[o] : 0;
      test::for_each_tap(window, i, [&](std::ptrdiff_t at, std::size_t tap) {
        for (std::size_t c = 0; c < channels; ++c)
          v += static_cast<double>(x.data()[at + static_cast<std::ptrdiff_t>(c)]) *
               packed[(c * taps + tap) * step + o];
      });
      if (epilogue.residual && !epilogue.residual_last) v += residual[i * outputs + o];
      v = test::reference_activation(v, epilogue);
      if (epilogue.residual && epilogue.residual_last) v += residual[i * outputs + o];
      worst = std::max(worst, std::abs(v - y[i * y_step + o]));
    }
  CAPTURE(isa_name(conv_narrow.variants[tier].isa));
  CAPTURE(channels);
  CAPTURE(outputs);
  CAPTURE(pixels);
  CHECK(worst <= 0x1p-24 * static_cast<double>(8 + taps * channels));
}

template <class F>
void for_each_tier(F f) {
  for (std::size_t tier = 0; tier < kIsaCount; ++tier)
    if (conv_narrow.variants[tier].isa <= host_isa()) f(tier);
}

TEST_CASE("narrow convolutions") {
  for_each_tier([](std::size_t tier) {
    for (std::size_t outputs = 1; outputs <= kNarrowOutputs; ++outputs)
      for (const std::size_t channels : {1, 5, 8})
        for (const std::size_t width : {1, 7, 16, 40, 130}) {
          const WindowAxis across{.input = width, .taps = 5, .pad = 2};
          const WindowAxis down{.input = 6, .taps = 3, .stride = 1 + outputs % 2, .pad = 1};
          check_narrow(tier, {{{}, down, across}}, channels, outputs);
          check_narrow(tier, {{{}, {}, {.input = width, .taps = 4, .dilation = 3, .pad = 9}}},
                       channels, outputs, 2);
        }
    // Wider than a stretch, and with rows that no tap meets.
    check_narrow(tier, {{{}, {}, {.input = 1500, .taps = 11, .dilation = 5, .pad = 25}}}, 8, 8);
    check_narrow(tier,
                 {{{}, {.input = 9, .taps = 2, .stride = 4}, {.input = 33, .taps = 3, .pad = 1}}},
                 3, 5);
    check_narrow(tier,
                 {{{}, {.input = 3, .taps = 5, .dilation = 2, .pad = 9}, {.input = 33, .taps = 3}}},
                 3, 5);
  });
}

TEST_CASE("epilogues of narrow convolutions") {
  const float given = 0;
  for_each_tier([&](std::size_t tier) {
    for (const Activation activation :
         {Activation::none, Activation::relu, Activation::clip, Activation::leaky_relu,
          Activation::sigmoid, Activation::tanh, Activation::hard_swish})
      for (const bool last : {false, true})
        for (const std::size_t outputs : {1, 3, 8})
          for (const std::size_t slack : {0, 2})
            check_narrow(
                tier, {{{}, {.input = 5, .taps = 3, .pad = 1}, {.input = 19, .taps = 5, .pad = 2}}},
                20, outputs, slack,
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
