// The three phases of a Winograd convolution, one block of tiles at a time.
#include "kernels/winograd.h"

#include <algorithm>

#include "bench.h"
#include "kernels/gemm.h"

namespace sdx::bench {
namespace {

void phases(const Bench& bench, std::size_t channels, std::size_t side) {
  auto x = random_floats(side * side * channels);
  auto weights = random_floats(9 * channels * channels);
  Buffer<float> y(side * side * channels);
  const std::string text = std::to_string(channels) + "@" + std::to_string(side);
  for (std::size_t tier = 0; tier < kernels::kIsaCount; ++tier) {
    const auto isa = kernels::winograd_input.variants[tier].isa;
    if (isa > kernels::host_isa()) break;
    for (const std::size_t tile : {2, 4}) {
      const kernels::GemmTiling tiling = kernels::gemm_tiling.variants[tier].run();
      const std::size_t panels = kernels::panel_count(tiling, channels);
      const std::size_t planes = kernels::winograd_planes(tile);
      Buffer<float> packed(planes * kernels::packed_b_floats(tiling, channels, channels));
      kernels::winograd_pack.variants[tier].run(
          {tile, channels, channels, weights.data(), packed.data()}, 0, panels);
      const kernels::WinogradArgs args{.side = tile,
                                       .height = side,
                                       .width = side,
                                       .output_height = side,
                                       .output_width = side,
                                       .pad_top = 1,
                                       .pad_left = 1,
                                       .channels = channels,
                                       .outputs = channels,
                                       .x = x.data(),
                                       .packed = packed.data(),
                                       .y = y.data(),
                                       .y_step = channels};
      const std::size_t tiles =
          std::min(kernels::winograd_tiles(args), kernels::winograd_block_tiles(args));
      Buffer<float> scratch(kernels::winograd_scratch(args, tiles));
      const kernels::WinogradBlockRange block{0, tiles};
      const auto plane_floats = static_cast<double>(planes * tiles * channels);
      const std::string shape = text + " F" + std::to_string(tile);
      const Work moved{2 * plane_floats, 8 * plane_floats};
      for (const auto* kernel : {&kernels::winograd_input, &kernels::winograd_output})
        bench.time(kernel->name, isa, shape, moved, [&, run = kernel->variants[tier].run] {
          run(args, block, 0, tiles, scratch.data());
        });
      const Work product{
          2 * plane_floats * static_cast<double>(channels),
          4 * (2 * plane_floats + static_cast<double>(planes * channels * channels))};
      bench.time("winograd_multiply", isa, shape, product,
                 [&, run = kernels::winograd_multiply.variants[tier].run] {
                   run(args, block, 0, planes, 0, panels, scratch.data());
                 });
    }
  }
}

}  // namespace

void bench_winograd_phases(const Bench& bench) {
  phases(bench, 64, 56);
  phases(bench, 256, 14);
}

}  // namespace sdx::bench
