// Convolutions over channels-last tensors: every tier against sums in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fenced.h"
#include "kernels/conv.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

using test::complete_window;
using test::Fenced;
using test::random_floats;

struct Problem {
  Window window;
  std::size_t channels, outputs;
  std::ptrdiff_t pad_end = 0;
  std::size_t slack = 0;  // floats between pixels beyond their channels
};

void check_conv(std::size_t tier, Problem p, Epilogue epilogue = {}, bool in_pieces = false,
                std::size_t parts = 1) {
  const std::size_t x_step = p.channels + p.slack, y_step = p.outputs + p.slack;
  complete_window(p.window, x_step, p.pad_end);
  const std::size_t pixels = test::output_pixels(p.window), taps = test::tap_count(p.window);
  const auto x = random_floats((test::input_pixels(p.window) - 1) * x_step + p.channels, 1);
  const auto weights = random_floats(p.outputs * p.channels * taps, 2);
  const auto bias = random_floats(p.outputs, 3);
  if (epilogue.column_bias) epilogue.column_bias = bias.data();
  const auto residual = random_floats(pixels * p.outputs, 4);
  if (epilogue.residual) epilogue.residual = residual.data();
  epilogue.residual_stride = p.outputs;

  const GemmTiling tiling = gemm_tiling.variants[tier].run();
  const std::size_t panels = panel_count(tiling, p.outputs);
  Fenced<float> packed(packed_b_floats(tiling, p.channels * taps, p.outputs));
  const std::size_t middle = parts > 1 ? p.channels * taps / 2 : 0;
  conv_pack.variants[tier].run({p.channels, p.outputs, taps, weights.data(), packed.data(), middle},
                               0, panels);
  if (middle > 0)
    conv_pack.variants[tier].run(
        {p.channels, p.outputs, taps, weights.data(), packed.data(), 0, middle}, 0, panels);
  Fenced<float> y(pixels ? (pixels - 1) * y_step + p.outputs : 0);
  ConvArgs args{.window = p.window,
                .channels = p.channels,
                .outputs = p.outputs,
                .x = x.data(),
                .packed = packed.data(),
                .y = y.data(),
                .y_step = y_step,
                .epilogue = epilogue,
                .parts = parts};
  const std::size_t row_step = in_pieces ? 11 : std::max<std::size_t>(pixels, 1);
  const std::size_t panel_step = in_pieces ? 1 : panels;
  for (std::size_t i = 0; i < pixels; i += row_step)
    for (std::size_t j = 0; j < panels; j += panel_step)
      for (args.part = 0; args.part < parts; ++args.part)
        conv.variants[tier].run(
            args, {i, std::min(i + row_step, pixels), j, std::min(j + panel_step, panels)});
  double worst = 0;
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t o = 0; o < p.outputs; ++o) {
      double v = epilogue.column_bias ? bias[o] : 0;
      test::for_each_tap(p.window, i, [&](std::ptrdiff_t at, std::size_t tap) {
        for (std::size_t c = 0; c < p.channels; ++c)
          v += static_cast<double>(x.data()[at + static_cast<std::ptrdiff_t>(c)]) *
               weights[(o * p.channels + c) * taps + tap];
      });
      if (epilogue.residual) v += residual[i * p.outputs + o];
      v = test::reference_activation(v, epilogue);
      worst = std::max(worst, std::abs(v - y[i * y_step + o]));
    }
  CAPTURE(isa_name(conv.variants[tier].isa));
  CAPTURE(p.channels);
  CAPTURE(p.outputs);
  CAPTURE(taps);
  CAPTURE(pixels);
  CHECK(worst <= 0x1p-24 * static_cast<double>(8 + p.channels * taps));
}

template <class F>
void for_each_tier(F f) {
  for (std::size_t tier = 0; tier < kIsaCount; ++tier)
    if (conv.variants[tier].isa <= host_isa()) f(tier);
}

WindowAxis axis(std::size_t input, std::size_t taps, std::size_t stride, std::size_t dilation,
                std::ptrdiff_t pad) {
  return {.input = input, .taps = taps, .stride = stride, .dilation = dilation, .pad = pad};
}

TEST_CASE("convolutions of one, two and three axes") {
  for_each_tier([](std::size_t tier) {
    for (const std::size_t stride : {1, 2, 3})
      for (const std::size_t dilation : {1, 2})
        for (const std::ptrdiff_t pad : {0, 1, 3}) {
          const WindowAxis long_axis = axis(23, 3, stride, dilation, pad);
          const WindowAxis short_axis = axis(9, 3, stride, dilation, pad);
          const WindowAxis even_axis = axis(8, 2, stride, dilation, pad);
          check_conv(tier, {{{{}, {}, long_axis}}, 5, 7, pad});
          check_conv(tier, {{{{}, short_axis, long_axis}}, 3, 33, pad}, {}, true);
          check_conv(tier, {{{{}, even_axis, short_axis}}, 16, 64, 0, 3});
          check_conv(tier, {{{even_axis, short_axis, even_axis}}, 2, 5, pad}, {}, true);
        }
  });
}

TEST_CASE("convolutions whose depth is cut into blocks") {
  for_each_tier([](std::size_t tier) {
    check_conv(tier, {{{{}, axis(5, 3, 1, 1, 1), axis(6, 3, 1, 1, 1)}}, 200, 130, 1});
    check_conv(tier, {{{{}, axis(3, 2, 1, 1, 1), axis(3, 2, 1, 1, 0)}}, 2300, 17, 1});
    check_conv(tier, {{{{}, axis(12, 11, 1, 1, 5), axis(12, 11, 1, 1, 5)}}, 1, 3, 5});
  });
}

TEST_CASE("convolutions whose sums are made by several calls") {
  for_each_tier([](std::size_t tier) {
    const float given = 0;
    for (const std::size_t parts : {2, 3, 100}) {
      const Epilogue epilogue{.column_bias = &given,
                              .residual = &given,
                              .alpha = 0.25f,
                              .activation = Activation::leaky_relu};
      check_conv(tier, {{{{}, axis(40, 33, 1, 1, 2), axis(31, 29, 1, 1, 2)}}, 3, 70, 1}, epilogue,
                 true, parts);
      check_conv(tier, {{{{}, axis(6, 3, 1, 1, 2), axis(6, 3, 1, 1, 2)}}, 700, 17, 2}, epilogue,
                 false, parts);
      check_conv(tier, {{{{}, {}, axis(3, 1, 1, 1, 0)}}, 5000, 9, 0}, {}, false, parts);
    }
  });
}

TEST_CASE("convolutions whose padding is left out tap by tap") {
  for_each_tier([](std::size_t tier) {
    const float given = 0;
    for (const std::size_t stride : {1, 2})
      for (const std::ptrdiff_t pad : {1, 2, 3})
        for (const bool in_pieces : {false, true})
          check_conv(tier,
                     {{{{}, axis(7, 3, stride, 1, pad), axis(9, 3, stride, pad, 2)}}, 150, 70, 2},
                     {.column_bias = &given, .residual = &given, .activation = Activation::relu},
                     in_pieces);
    check_conv(tier, {{{axis(3, 3, 1, 1, 1), axis(4, 3, 1, 1, 1), axis(5, 3, 1, 1, 1)}}, 64, 9, 1},
               {}, true);
  });
}

TEST_CASE("convolutions may look at nothing but padding") {
  for_each_tier([](std::size_t tier) {
    const float given = 0;
    check_conv(tier, {{{{}, axis(2, 3, 1, 1, 9), axis(2, 3, 2, 3, 12)}}, 4, 20, 9},
               {.column_bias = &given});
    check_conv(tier, {{{{}, axis(7, 3, 1, 1, -2), axis(9, 3, 1, 1, -1)}}, 4, 20, -1});
  });
}

TEST_CASE("convolution epilogues") {
  for_each_tier([](std::size_t tier) {
    const float given = 0;
    for (const Activation activation :
         {Activation::none, Activation::relu, Activation::clip, Activation::hard_swish})
      check_conv(tier, {{{{}, axis(7, 3, 1, 1, 1), axis(6, 3, 1, 1, 1)}}, 140, 70, 1},
                 {.column_bias = &given,
                  .residual = &given,
                  .alpha = -0.5f,
                  .beta = 2.0f,
                  .activation = activation},
                 true);
  });
}

}  // namespace
}  // namespace sdx::kernels
