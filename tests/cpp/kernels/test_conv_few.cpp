// Convolutions into few outputs: every tier against sums in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fenced.h"
#include "kernels/conv_few.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

using test::Fenced;
using test::random_floats;

void check_few(std::size_t tier, Window window, std::size_t channels, std::size_t outputs,
               std::size_t slack = 0, Epilogue epilogue = {}) {
  const std::size_t x_step = channels + slack, y_step = outputs + slack;
  test::complete_window(window, x_step, 1);
  const std::size_t pixels = test::output_pixels(window), taps = test::tap_count(window);
  const std::size_t tap_step = few_tap_step(channels);
  const auto x = random_floats((test::input_pixels(window) - 1) * x_step + channels, 1);
  auto packed = random_floats(outputs * taps * tap_step, 2);
  for (std::size_t i = 0; i < packed.size(); ++i)
    if (i % tap_step >= channels) packed[i] = 0;
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
  conv_few.variants[tier].run(args, 0, rows / 2);
  conv_few.variants[tier].run(args, rows / 2, rows);
  double worst = 0;
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t o = 0; o < outputs; ++o) {
      double v = epilogue.column_bias ? bias[o] : 0;
      test::for_each_tap(window, i, [&](std::ptrdiff_t at, std::size_t tap) {
        for (std::size_t c = 0; c < channels; ++c)
          v += static_cast<double>(x.data()[at + static_cast<std::ptrdiff_t>(c)]) *
               packed[(o * taps + tap) * tap_step + c];
      });
      if (epilogue.residual && !epilogue.residual_last) v += residual[i * outputs + o];
      v = test::reference_activation(v, epilogue);
      if (epilogue.residual && epilogue.residual_last) v += residual[i * outputs + o];
      worst = std::max(worst, std::abs(v - y[i * y_step + o]));
    }
  CAPTURE(isa_name(conv_few.variants[tier].isa));
  CAPTURE(channels);
  CAPTURE(outputs);
  CAPTURE(pixels);
  CHECK(worst <= 0x1p-24 * static_cast<double>(8 + taps * channels));
}

template <class F>
void for_each_tier(F f) {
  for (std::size_t tier = 0; tier < kIsaCount; ++tier)
    if (conv_few.variants[tier].isa <= host_isa()) f(tier);
}

TEST_CASE("convolutions into few outputs") {
  for_each_tier([](std::size_t tier) {
    for (const std::size_t outputs : {1, 2, 3, 4})
      for (const std::size_t channels : {1, 7, 16, 33, 64})
        for (const std::size_t width : {1, 2, 5, 12, 27})
          for (const std::size_t stride : {1, 2}) {
            const WindowAxis across{.input = width, .taps = 3, .stride = stride, .pad = 1};
            const WindowAxis down{.input = 4, .taps = 3, .stride = stride, .pad = 1};
            check_few(tier, {{{}, down, across}}, channels, outputs);
            if (width == 27) {
              check_few(tier, {{{}, {}, {.input = width}}}, channels, outputs, 3);
              check_few(tier, {{down, down, {.input = width, .taps = 4, .dilation = 2, .pad = 3}}},
                        channels, outputs, 1);
            }
          }
  });
}

TEST_CASE("epilogues of convolutions into few outputs") {
  const float given = 0;
  for_each_tier([&](std::size_t tier) {
    for (const Activation activation :
         {Activation::none, Activation::relu, Activation::clip, Activation::leaky_relu,
          Activation::sigmoid, Activation::tanh, Activation::hard_swish})
      for (const bool last : {false, true})
        for (const std::size_t outputs : {1, 3})
          for (const std::size_t slack : {0, 2})
            check_few(tier,
                      {{{}, {.input = 5, .taps = 3, .pad = 1}, {.input = 19, .taps = 5, .pad = 2}}},
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
