// 3x3 stride-1 convolution over channels-last images by Winograd's F(4x4, 3x3), a quarter of the
// multiplications against four times the weights and an error a few times that of direct summation,
// or F(2x2, 3x3), four ninths of them against 16/9 of the weights at no greater error.
//
// Output is cut into tiles of 4x4 or 2x2, numbered row-major, image after image. A block of tiles
// is transformed into 36 or 16 frequency planes, each a matrix [tiles][channels]; every plane is
// multiplied by its own packed weights; the products are transformed back. winograd_block does all
// three; the single phases are for a caller with more threads than blocks.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/gemm.h"
#include "kernels/kernel.h"

namespace sdx::kernels {

struct WinogradArgs {
  std::size_t side;                         // of a tile of outputs: 2 or 4
  std::size_t height, width;                // of the input
  std::size_t output_height, output_width;  // not 0
  std::ptrdiff_t pad_top, pad_left;
  std::size_t channels, outputs;
  const float* x;       // [images][height][width], x_step floats apart
  const float* packed;  // by winograd_pack
  float* y;             // [images][output_height][output_width], y_step floats apart
  std::size_t y_step;
  Epilogue epilogue = {};  // rows are output pixels; accumulate and row_bias are not supported
  std::size_t x_step = channels;
  std::size_t images = 1;
  std::size_t chain = kAnyChain;
};

inline constexpr std::size_t winograd_planes(std::size_t side) { return (side + 2) * (side + 2); }

inline std::size_t winograd_tiles(const WinogradArgs& args) {
  return args.images * ((args.output_height + args.side - 1) / args.side) *
         ((args.output_width + args.side - 1) / args.side);
}

// Packs weights [outputs][channels][3][3] into winograd_planes(side) matrices packed for gemm.h,
// each packed_b_floats(tiling, channels, outputs) long; writes panels [panel_begin, panel_end) of
// each.
struct WinogradWeights {
  std::size_t side, channels, outputs;
  const float* weights;
  float* packed;
};
using WinogradPack = void(const WinogradWeights& args, std::size_t panel_begin,
                          std::size_t panel_end);
extern const Kernel<WinogradPack, kIsaCount> winograd_pack;

// A block's scratch is its input planes, then its output planes: floats from one row of a plane to
// the next, from one plane to the next, and altogether.
std::size_t winograd_row_step(std::size_t channels) noexcept;
std::size_t winograd_plane_step(std::size_t tiles, std::size_t channels) noexcept;
std::size_t winograd_scratch(const WinogradArgs& args, std::size_t tiles) noexcept;
// A good number of tiles a block, by the sizes alone.
std::size_t winograd_block_tiles(const WinogradArgs& args) noexcept;

// Computes the output of tiles [tile_begin, tile_end); scratch is for tile_end - tile_begin tiles
// and 64-byte aligned. Disjoint ranges with scratch of their own may run on different threads.
using WinogradBlock = void(const WinogradArgs& args, std::size_t tile_begin, std::size_t tile_end,
                           float* scratch);
extern const Kernel<WinogradBlock, kIsaCount> winograd_block;

// The phases of a block [block_begin, block_end). The transforms work on tiles [tile_begin,
// tile_end) within it, the product on planes [plane_begin, plane_end) and some panels.
struct WinogradBlockRange {
  std::size_t block_begin, block_end;
};
using WinogradTransform = void(const WinogradArgs& args, const WinogradBlockRange& block,
                               std::size_t tile_begin, std::size_t tile_end, float* scratch);
extern const Kernel<WinogradTransform, kIsaCount> winograd_input;
extern const Kernel<WinogradTransform, kIsaCount> winograd_output;
using WinogradMultiply = void(const WinogradArgs& args, const WinogradBlockRange& block,
                              std::size_t plane_begin, std::size_t plane_end,
                              std::size_t panel_begin, std::size_t panel_end, float* scratch);
extern const Kernel<WinogradMultiply, kIsaCount> winograd_multiply;

// The same product with `packed` as conv_pack made it, a fraction of the bytes where these come
// from memory: weights are transformed on the way. Items are halves of the planes of a panel, two
// for each; `weights` is scratch of kWinogradWeightFloats, 64-byte aligned. Channels are not 0.
inline constexpr std::size_t kWinogradDepthFloats = 96 * 64;  // of a plane at a time
inline constexpr std::size_t kWinogradWeightFloats =
    winograd_planes(4) / 2 * (kWinogradDepthFloats + 16);
using WinogradMultiplyTaps = void(const WinogradArgs& args, const WinogradBlockRange& block,
                                  std::size_t item_begin, std::size_t item_end, float* scratch,
                                  float* weights);
extern const Kernel<WinogradMultiplyTaps, kIsaCount> winograd_multiply_taps;

}  // namespace sdx::kernels
