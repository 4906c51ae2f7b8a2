// Convolutions of channels-last images: 3x3 direct and by Winograd, depthwise of some sizes.
#include <algorithm>

#include "bench.h"
#include "kernels/conv.h"
#include "kernels/conv_few.h"
#include "kernels/conv_narrow.h"
#include "kernels/conv_planes.h"
#include "kernels/depthwise.h"
#include "kernels/depthwise_planes.h"
#include "kernels/winograd.h"

namespace sdx::bench {
namespace {

struct Layer {
  std::size_t channels, side;  // as many outputs as channels; stride 1, padded to the same size
  std::size_t taps = 3;        // along either axis
  std::string text() const { return std::to_string(channels) + "@" + std::to_string(side); }
  std::size_t pixels() const { return side * side; }
  double bytes(std::size_t weights) const {
    return 4.0 * static_cast<double>(2 * pixels() * channels + weights);
  }
};

constexpr std::size_t kTaps = 9;
constexpr Layer kDense[] = {{64, 56}, {128, 28}, {256, 14}, {512, 7}};
constexpr Layer kDepthwise[] = {{32, 112},    {144, 56},   {384, 14},    {960, 7},    {96, 28, 5},
                                {192, 28, 7}, {768, 7, 7}, {256, 32, 9}, {96, 56, 13}};

kernels::Window window_of(const Layer& layer) {
  kernels::Window window;
  const kernels::WindowAxis axis{.input = layer.side,
                                 .output = layer.side,
                                 .taps = layer.taps,
                                 .stride = 1,
                                 .dilation = 1,
                                 .pad = static_cast<std::ptrdiff_t>(layer.taps / 2)};
  window.axis[1] = window.axis[2] = axis;
  window.axis[1].input_step = layer.side * layer.channels;
  window.axis[2].input_step = layer.channels;
  return window;
}

kernels::WinogradArgs winograd_args(const Layer& layer, std::size_t side, const float* x,
                                    const float* packed, float* y) {
  return {.side = side,
          .height = layer.side,
          .width = layer.side,
          .output_height = layer.side,
          .output_width = layer.side,
          .pad_top = 1,
          .pad_left = 1,
          .channels = layer.channels,
          .outputs = layer.channels,
          .x = x,
          .packed = packed,
          .y = y,
          .y_step = layer.channels,
          .x_step = layer.channels};
}

// The same work as the direct one, so that the rates compare.
void winograd(const Bench& bench, const Layer& layer, std::size_t tier, std::size_t side,
              const float* x, const float* weights, const Work& work) {
  const kernels::GemmTiling tiling = kernels::gemm_tiling.variants[tier].run();
  const std::size_t plane = kernels::packed_b_floats(tiling, layer.channels, layer.channels);
  Buffer<float> packed(kernels::winograd_planes(side) * plane), y(layer.pixels() * layer.channels);
  kernels::winograd_pack.variants[tier].run(
      {side, layer.channels, layer.channels, weights, packed.data()}, 0,
      kernels::panel_count(tiling, layer.channels));
  const kernels::WinogradArgs args = winograd_args(layer, side, x, packed.data(), y.data());
  const std::size_t tiles = kernels::winograd_tiles(args);
  const std::size_t step = kernels::winograd_block_tiles(args);
  Buffer<float> scratch(kernels::winograd_scratch(args, step));
  const auto& [isa, block] = kernels::winograd_block.variants[tier];
  bench.time("winograd_" + std::to_string(side), isa, layer.text(), work, [&, block = block] {
    for (std::size_t tile = 0; tile < tiles; tile += step)
      block(args, tile, std::min(tile + step, tiles), scratch.data());
  });
}

// With the weights of the direct one, which are transformed on the way.
void winograd_taps(const Bench& bench, const Layer& layer, std::size_t tier,
                   kernels::WinogradArgs args, const Work& work) {
  const std::size_t tiles = kernels::winograd_tiles(args);
  const std::size_t items =
      2 * kernels::panel_count(kernels::gemm_tiling.variants[tier].run(), layer.channels);
  Buffer<float> scratch(kernels::winograd_scratch(args, tiles));
  Buffer<float> transformed(kernels::kWinogradWeightFloats);
  const auto& [isa, multiply] = kernels::winograd_multiply_taps.variants[tier];
  const auto input = kernels::winograd_input.variants[tier].run;
  const auto output = kernels::winograd_output.variants[tier].run;
  bench.time("winograd_taps_" + std::to_string(args.side), isa, layer.text(), work,
             [&, multiply = multiply] {
               input(args, {0, tiles}, 0, tiles, scratch.data());
               multiply(args, {0, tiles}, 0, items, scratch.data(), transformed.data());
               output(args, {0, tiles}, 0, tiles, scratch.data());
             });
}

void dense(const Bench& bench, const Layer& layer) {
  const std::size_t channels = layer.channels;
  const std::size_t weight_count = channels * channels * kTaps;
  auto x = random_floats(layer.pixels() * channels);
  auto weights = random_floats(weight_count);
  Buffer<float> y(layer.pixels() * channels);
  const Work work{2.0 * static_cast<double>(layer.pixels() * weight_count),
                  layer.bytes(weight_count)};
  for (std::size_t tier = 0; tier < kernels::kIsaCount; ++tier) {
    const auto isa = kernels::conv.variants[tier].isa;
    if (isa > kernels::host_isa()) break;
    const kernels::GemmTiling tiling = kernels::gemm_tiling.variants[tier].run();
    const std::size_t panels = kernels::panel_count(tiling, channels);
    Buffer<float> packed(kernels::packed_b_floats(tiling, channels * kTaps, channels));
    kernels::conv_pack.variants[tier].run(
        {channels, channels, kTaps, weights.data(), packed.data()}, 0, panels);
    const kernels::ConvArgs args{.window = window_of(layer),
                                 .channels = channels,
                                 .outputs = channels,
                                 .x = x.data(),
                                 .packed = packed.data(),
                                 .y = y.data(),
                                 .y_step = channels};
    const auto run = kernels::conv.variants[tier].run;
    bench.time("conv", isa, layer.text(), work, [&] { run(args, {0, layer.pixels(), 0, panels}); });

    for (const std::size_t side : {2, 4})
      winograd(bench, layer, tier, side, x.data(), weights.data(), work);
    for (const std::size_t side : {2, 4})
      winograd_taps(bench, layer, tier,
                    winograd_args(layer, side, x.data(), packed.data(), y.data()), work);
  }
}

void depthwise(const Bench& bench, const Layer& layer) {
  auto x = random_floats(layer.pixels() * layer.channels);
  const std::size_t taps = layer.taps * layer.taps;
  auto weights = random_floats(taps * layer.channels);
  Buffer<float> y(layer.pixels() * layer.channels);
  const kernels::DepthwiseArgs args{.window = window_of(layer),
                                    .channels = layer.channels,
                                    .x = x.data(),
                                    .weights = weights.data(),
                                    .y = y.data(),
                                    .y_step = layer.channels};
  const Work work{2.0 * static_cast<double>(layer.pixels() * layer.channels * taps),
                  layer.bytes(taps * layer.channels)};
  const std::string text = layer.text() + " " + std::to_string(layer.taps);
  for (const auto& [isa, run] : kernels::depthwise.variants) {
    bench.time("depthwise", isa, text, work, [&, run = run] { run(args, 0, layer.side); });
  }
  const kernels::DepthwisePlanesArgs planes{.window = args.window,
                                            .channels = layer.channels,
                                            .x = x.data(),
                                            .weights = weights.data(),
                                            .y = y.data()};
  if (!kernels::fits_planes(planes.window)) return;
  for (const auto& [isa, run] : kernels::depthwise_planes.variants)
    bench.time("depthwise_planes", isa, text, work,
               [&, run = run] { run(planes, 0, layer.channels); });
}

// Into few outputs, from many channels or from few.
template <class Kernel>
void few(const Bench& bench, const Kernel& kernel, const Layer& layer, std::size_t outputs) {
  const std::size_t taps = layer.taps * layer.taps;
  auto x = random_floats(layer.pixels() * layer.channels);
  auto packed = random_floats(outputs * taps * kernels::few_tap_step(layer.channels));
  Buffer<float> y(layer.pixels() * outputs);
  const kernels::ConvArgs args{.window = window_of(layer),
                               .channels = layer.channels,
                               .outputs = outputs,
                               .x = x.data(),
                               .packed = packed.data(),
                               .y = y.data(),
                               .y_step = outputs};
  const auto products = static_cast<double>(layer.pixels() * layer.channels * taps * outputs);
  const Work work{2 * products, 4.0 * static_cast<double>(layer.pixels() * layer.channels)};
  const std::string text =
      layer.text() + " " + std::to_string(layer.taps) + " into " + std::to_string(outputs);
  for (const auto& [isa, run] : kernel.variants)
    bench.time(kernel.name, isa, text, work, [&, run = run] { run(args, 0, layer.side); });
}

// Planes in, planes out; a transposed one doubles the sides.
void planes(const Bench& bench, bool transposed, const Layer& layer, std::size_t outputs) {
  const auto& kernel = transposed ? kernels::conv_transpose_planes : kernels::conv_planes;
  kernels::Window window = window_of(layer);
  const std::size_t side = layer.side * (transposed ? 2 : 1);
  for (kernels::WindowAxis* axis : {&window.axis[1], &window.axis[2]}) {
    axis->input = side;
    axis->stride = transposed ? 2 : 1;
    if (transposed) axis->pad = static_cast<std::ptrdiff_t>((layer.taps - 1) / 2);
  }
  const std::size_t taps = layer.taps * layer.taps;
  auto x = random_floats(layer.pixels() * layer.channels);
  auto packed = random_floats(kernels::plane_outputs(outputs) * layer.channels * taps);
  Buffer<float> y(side * side * outputs);
  const kernels::ConvPlanesArgs args{.window = window,
                                     .channels = layer.channels,
                                     .outputs = outputs,
                                     .x = x.data(),
                                     .packed = packed.data(),
                                     .y = y.data()};
  const kernels::PlaneTile tile = kernels::conv_planes_tile(window, transposed, layer.channels);
  const Work work{
      2.0 * static_cast<double>(layer.pixels() * layer.channels * taps * outputs),
      4.0 * static_cast<double>(layer.pixels() * layer.channels + side * side * outputs)};
  const std::string text =
      layer.text() + " " + std::to_string(layer.taps) + " into " + std::to_string(outputs);
  for (const auto& [isa, run] : kernel.variants)
    bench.time(kernel.name, isa, text, work, [&, run = run] {
      for (std::size_t row = 0; row < layer.side; row += tile.rows)
        run(args, {row, std::min(row + tile.rows, layer.side), 0, layer.side});
    });
}

}  // namespace

void bench_convolutions(const Bench& bench) {
  for (const Layer& layer : kDense) dense(bench, layer);
  for (const Layer& layer : kDepthwise) depthwise(bench, layer);
  few(bench, kernels::conv_few, {32, 128, 5}, 1);
  few(bench, kernels::conv_few, {64, 128, 3}, 3);
  few(bench, kernels::conv_narrow, {1, 28, 5}, 6);
  few(bench, kernels::conv_narrow, {8, 64, 3}, 8);
  for (const std::size_t outputs : {1, 16}) planes(bench, false, {16, 28, 3}, outputs);
  planes(bench, false, {1, 64, 5}, 8);
  planes(bench, true, {64, 28, 2}, 32);
  planes(bench, true, {64, 28, 4}, 32);
}

}  // namespace sdx::bench
