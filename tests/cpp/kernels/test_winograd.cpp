// Winograd convolution: every tier against direct sums in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "fenced.h"
#include "kernels/conv.h"
#include "kernels/winograd.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

using test::Fenced;
using test::random_floats;

struct Problem {
  std::size_t height, width, channels, outputs;
  std::ptrdiff_t pad_begin = 1, pad_end = 1;
  bool by_phase = false;
  std::size_t images = 1;
};

// Weights are transformed ahead of time or on the way.
enum class Weights { planes, taps };

void check_side(std::size_t tier, std::size_t side, Weights kind, const Problem& p,
                Epilogue epilogue) {
  Window window;
  window.axis[0] = {.input = p.images};
  window.axis[1] = {.input = p.height, .taps = 3, .pad = p.pad_begin};
  window.axis[2] = {.input = p.width, .taps = 3, .pad = p.pad_begin};
  test::complete_window(window, p.channels, p.pad_end);
  const std::size_t pixels = test::output_pixels(window), y_step = p.outputs + 2;
  const auto x = random_floats(p.images * p.height * p.width * p.channels, 1);
  const auto weights = random_floats(p.outputs * p.channels * 9, 2);
  const auto bias = random_floats(p.outputs, 3);
  const auto residual = random_floats(pixels * p.outputs, 4);
  if (epilogue.column_bias) epilogue.column_bias = bias.data();
  if (epilogue.residual) epilogue.residual = residual.data();
  epilogue.residual_stride = p.outputs;
  const GemmTiling tiling = gemm_tiling.variants[tier].run();
  const std::size_t panels = panel_count(tiling, p.outputs);
  const std::size_t matrices = kind == Weights::taps ? 9 : winograd_planes(side);
  Fenced<float> packed(matrices * packed_b_floats(tiling, p.channels, p.outputs));
  for (std::size_t j = 0; j < panels; ++j) {
    if (kind == Weights::taps)
      conv_pack.variants[tier].run({p.channels, p.outputs, 9, weights.data(), packed.data()}, j,
                                   j + 1);
    else
      winograd_pack.variants[tier].run({side, p.channels, p.outputs, weights.data(), packed.data()},
                                       j, j + 1);
  }
  Fenced<float> y((pixels - 1) * y_step + p.outputs);
  const WinogradArgs args{.side = side,
                          .height = p.height,
                          .width = p.width,
                          .output_height = window.axis[1].output,
                          .output_width = window.axis[2].output,
                          .pad_top = p.pad_begin,
                          .pad_left = p.pad_begin,
                          .channels = p.channels,
                          .outputs = p.outputs,
                          .x = x.data(),
                          .packed = packed.data(),
                          .y = y.data(),
                          .y_step = y_step,
                          .epilogue = epilogue,
                          .x_step = p.channels,
                          .images = p.images};
  const std::size_t tiles = winograd_tiles(args), step = winograd_block_tiles(args);
  CHECK(step >= 1);
  for (std::size_t t = 0; t < tiles; t += step) {
    const std::size_t end = std::min(t + step, tiles);
    Fenced<float> scratch(winograd_scratch(args, end - t));
    if (!p.by_phase && kind == Weights::planes) {
      winograd_block.variants[tier].run(args, t, end, scratch.data());
      continue;
    }
    for (std::size_t i = t; i < end; ++i)
      winograd_input.variants[tier].run(args, {t, end}, i, i + 1, scratch.data());
    if (kind == Weights::taps) {
      Fenced<float> transformed(kWinogradWeightFloats);
      const std::size_t items = p.by_phase ? 1 : 3;
      for (std::size_t j = 0; j < 2 * panels; j += items)
        winograd_multiply_taps.variants[tier].run(
            args, {t, end}, j, std::min(j + items, 2 * panels), scratch.data(), transformed.data());
    } else {
      for (std::size_t f = 0; f < winograd_planes(side); ++f)
        for (std::size_t j = 0; j < panels; ++j)
          winograd_multiply.variants[tier].run(args, {t, end}, f, f + 1, j, j + 1, scratch.data());
    }
    for (std::size_t i = t; i < end; ++i)
      winograd_output.variants[tier].run(args, {t, end}, i, i + 1, scratch.data());
  }
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < pixels; ++i)
    for (std::size_t o = 0; o < p.outputs; ++o) {
      double v = epilogue.column_bias ? bias[o] : 0;
      test::for_each_tap(window, i, [&](std::ptrdiff_t at, std::size_t tap) {
        for (std::size_t c = 0; c < p.channels; ++c)
          v += static_cast<double>(x.data()[at + static_cast<std::ptrdiff_t>(c)]) *
               weights[(o * p.channels + c) * 9 + tap];
      });
      if (epilogue.residual && !epilogue.residual_last) v += residual[i * p.outputs + o];
      v = test::reference_activation(v, epilogue);
      if (epilogue.residual && epilogue.residual_last) v += residual[i * p.outputs + o];
      largest = std::max(largest, std::abs(v));
      worst = std::max(worst, std::abs(v - y[i * y_step + o]));
    }
  CAPTURE(isa_name(winograd_block.variants[tier].isa));
  CAPTURE(side);
  CAPTURE(p.height);
  CAPTURE(p.width);
  CAPTURE(p.channels);
  CAPTURE(p.outputs);
  CHECK(worst <= (side == 2 ? 1e-6 : 4e-6) * largest);
}

void check_winograd(std::size_t tier, const Problem& p, Epilogue epilogue = {}) {
  for (const std::size_t side : {2, 4})
    for (const Weights kind : {Weights::planes, Weights::taps})
      check_side(tier, side, kind, p, epilogue);
}

template <class F>
void for_each_tier(F f) {
  for (std::size_t tier = 0; tier < kIsaCount; ++tier)
    if (winograd_block.variants[tier].isa <= host_isa()) f(tier);
}

TEST_CASE("Winograd convolutions of every size of edge") {
  for_each_tier([](std::size_t tier) {
    for (std::size_t height : {1, 2, 3, 4, 5, 6, 7, 8, 13})
      for (std::size_t width : {1, 2, 3, 4, 5, 6, 7, 9, 16})
        check_winograd(tier, {height, width, 5, 9});
    for (const std::ptrdiff_t pad : {0, 1, 2}) check_winograd(tier, {9, 8, 16, 64, pad, 2 - pad});
  });
}

TEST_CASE("Winograd convolutions of many channels, blocks and phases") {
  for_each_tier([](std::size_t tier) {
    for (const bool by_phase : {false, true}) {
      check_winograd(tier, {20, 37, 17, 70, 1, 1, by_phase});
      check_winograd(tier, {7, 7, 130, 33, 1, 1, by_phase});
      check_winograd(tier, {40, 40, 3, 4, 1, 1, by_phase});
      check_winograd(tier, {6, 5, 250, 150, 1, 1, by_phase});
      check_winograd(tier, {7, 10, 6, 20, 1, 1, by_phase, 3});
    }
  });
}

TEST_CASE("Winograd epilogues") {
  const float given = 0;
  for_each_tier([&](std::size_t tier) {
    for (const Activation activation : {Activation::none, Activation::relu, Activation::silu})
      for (const bool last : {false, true})
        check_winograd(tier, {10, 11, 12, 35},
                       {.column_bias = &given,
                        .residual = &given,
                        .activation = activation,
                        .residual_last = last});
  });
}

}  // namespace
}  // namespace sdx::kernels
