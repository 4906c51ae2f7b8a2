// Convolutions into few outputs, from many channels or from few: every tier against sums in double
// precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "fenced.h"
#include "kernels/conv_few.h"
#include "kernels/conv_narrow.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

using test::Fenced;
using test::random_floats;

struct Problem {
  Window window;
  std::size_t channels, outputs;
  std::size_t slack = 0;  // floats between pixels beyond their channels
};

// Both take the same arguments, but for the packed weights.
struct Form {
  const Kernel<ConvFew, kIsaCount>& kernel;
  std::size_t (*packed_floats)(std::size_t channels, std::size_t outputs, std::size_t taps);
  // Where a weight lies.
  std::size_t (*place)(const Problem& p, std::size_t taps, std::size_t output, std::size_t tap,
                       std::size_t channel);
};

const Form kFew{
    conv_few,
    [](std::size_t channels, std::size_t outputs, std::size_t taps) {
      return outputs * taps * few_tap_step(channels);
    },
    [](const Problem& p, std::size_t taps, std::size_t output, std::size_t tap,
       std::size_t channel) { return (output * taps + tap) * few_tap_step(p.channels) + channel; }};
const Form kNarrow{conv_narrow,
                   [](std::size_t channels, std::size_t outputs, std::size_t taps) {
                     return channels * taps * narrow_outputs(outputs);
                   },
                   [](const Problem& p, std::size_t taps, std::size_t output, std::size_t tap,
                      std::size_t channel) {
                     return (channel * taps + tap) * narrow_outputs(p.outputs) + output;
                   }};

void check_few(const Form& form, std::size_t tier, Problem p, Epilogue epilogue = {}) {
  const std::size_t x_step = p.channels + p.slack, y_step = p.outputs + p.slack;
  test::complete_window(p.window, x_step, 1);
  const std::size_t pixels = test::output_pixels(p.window), taps = test::tap_count(p.window);
  const auto x = random_floats((test::input_pixels(p.window) - 1) * x_step + p.channels, 1);
  const auto weights = random_floats(p.outputs * taps * p.channels, 2);
  const auto weight = [&](std::size_t output, std::size_t tap, std::size_t channel) {
    return weights[(output * taps + tap) * p.channels + channel];
  };
  std::vector<float> packed(form.packed_floats(p.channels, p.outputs, taps));
  for (std::size_t o = 0; o < p.outputs; ++o)
    for (std::size_t t = 0; t < taps; ++t)
      for (std::size_t c = 0; c < p.channels; ++c)
        packed[form.place(p, taps, o, t, c)] = weight(o, t, c);
  const auto bias = random_floats(p.outputs, 3);
  if (epilogue.column_bias) epilogue.column_bias = bias.data();
  const auto residual = random_floats(pixels * p.outputs, 4);
  if (epilogue.residual) epilogue.residual = residual.data();
  epilogue.residual_stride = p.outputs;
  Fenced<float> y(pixels ? (pixels - 1) * y_step + p.outputs : 0);
  const ConvArgs args{.window = p.window,
                      .channels = p.channels,
                      .outputs = p.outputs,
                      .x = x.data(),
                      .packed = packed.data(),
                      .y = y.data(),
                      .y_step = y_step,
                      .epilogue = epilogue};
  const std::size_t rows = p.window.axis[0].output * p.window.axis[1].output;
  form.kernel.variants[tier].run(args, 0, rows / 2);
  form.kernel.variants[tier].run(args, rows / 2, rows);
  double worst = 0;
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t o = 0; o < p.outputs; ++o) {
      double v = epilogue.column_bias ? bias[o] : 0;
      test::for_each_tap(p.window, i, [&](std::ptrdiff_t at, std::size_t tap) {
        for (std::size_t c = 0; c < p.channels; ++c)
          v += static_cast<double>(x.data()[at + static_cast<std::ptrdiff_t>(c)]) *
               weight(o, tap, c);
      });
      if (epilogue.residual && !epilogue.residual_last) v += residual[i * p.outputs + o];
      v = test::reference_activation(v, epilogue);
      if (epilogue.residual && epilogue.residual_last) v += residual[i * p.outputs + o];
      worst = std::max(worst, std::abs(v - y[i * y_step + o]));
    }
  CAPTURE(form.kernel.name);
  CAPTURE(isa_name(form.kernel.variants[tier].isa));
  CAPTURE(p.channels);
  CAPTURE(p.outputs);
  CAPTURE(pixels);
  CHECK(worst <= 0x1p-24 * static_cast<double>(8 + taps * p.channels));
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
            check_few(kFew, tier, {{{{}, down, across}}, channels, outputs});
            if (width != 27) continue;
            check_few(kFew, tier, {{{{}, {}, {.input = width}}}, channels, outputs, 3});
            check_few(kFew, tier,
                      {{{down, down, {.input = width, .taps = 4, .dilation = 2, .pad = 3}}},
                       channels,
                       outputs,
                       1});
          }
  });
}

TEST_CASE("convolutions from few channels into few outputs") {
  for_each_tier([](std::size_t tier) {
    for (std::size_t outputs = 1; outputs <= kNarrowOutputs; ++outputs)
      for (const std::size_t channels : {1, 5, 8})
        for (const std::size_t width : {1, 7, 16, 40, 130}) {
          const WindowAxis across{.input = width, .taps = 5, .pad = 2};
          const WindowAxis down{.input = 6, .taps = 3, .stride = 1 + outputs % 2, .pad = 1};
          check_few(kNarrow, tier, {{{{}, down, across}}, channels, outputs});
          check_few(kNarrow, tier,
                    {{{{}, {}, {.input = width, .taps = 4, .dilation = 3, .pad = 9}}},
                     channels,
                     outputs,
                     2});
        }
    // Wider than a stretch, and with rows that no tap meets.
    const WindowAxis wide{.input = 1500, .taps = 11, .dilation = 5, .pad = 25};
    check_few(kNarrow, tier, {{{{}, {}, wide}}, 8, 8});
    const WindowAxis across{.input = 33, .taps = 3, .pad = 1};
    check_few(kNarrow, tier, {{{{}, {.input = 9, .taps = 2, .stride = 4}, across}}, 3, 5});
    const WindowAxis down{.input = 3, .taps = 5, .dilation = 2, .pad = 9};
    check_few(kNarrow, tier, {{{{}, down, across}}, 3, 5});
  });
}

TEST_CASE("epilogues of convolutions into few outputs") {
  const float given = 0;
  for_each_tier([&](std::size_t tier) {
    for (const Activation activation :
         {Activation::none, Activation::relu, Activation::clip, Activation::leaky_relu,
          Activation::sigmoid, Activation::tanh, Activation::hard_swish})
      for (const bool last : {false, true})
        for (const std::size_t outputs : {1, 3, 8})
          for (const std::size_t slack : {0, 2}) {
            const Epilogue epilogue{.column_bias = &given,
                                    .residual = &given,
                                    .alpha = -0.25f,
                                    .beta = 1.5f,
                                    .activation = activation,
                                    .residual_last = last};
            const Window window{
                {{}, {.input = 5, .taps = 3, .pad = 1}, {.input = 19, .taps = 5, .pad = 2}}};
            check_few(kNarrow, tier, {window, 6, outputs, slack}, epilogue);
            if (outputs <= kFewOutputs)
              check_few(kFew, tier, {window, 20, outputs, slack}, epilogue);
          }
  });
}

TEST_CASE("windows that do not fit a narrow convolution") {
  const WindowAxis axis{.input = 50, .output = 50, .taps = 3, .pad = 1};
  CHECK(fits_narrow({{{}, axis, axis}}, 8));
  CHECK_FALSE(fits_narrow({{axis, axis, axis}}, 8));
  CHECK_FALSE(fits_narrow({{{}, axis, axis}}, 100));
  WindowAxis other = axis;
  other.stride = 2;
  CHECK(fits_narrow({{{}, other, axis}}, 1));
  CHECK_FALSE(fits_narrow({{{}, axis, other}}, 1));
  other.stride = 1;
  other.dilation = ~std::size_t{0};
  CHECK_FALSE(fits_narrow({{{}, axis, other}}, 1));
  CHECK_FALSE(fits_narrow({{{}, other, axis}}, 1));
}

}  // namespace
}  // namespace sdx::kernels
