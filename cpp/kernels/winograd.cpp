// Sizes of Winograd blocks.
#include "kernels/winograd.h"

namespace sdx::kernels {
namespace {

// A block's planes should stay in the second-level cache; where the weights do not fit beside them
// it takes many tiles to pay for reading the weights once more.
constexpr std::size_t kBlockFloats = 300'000;
constexpr std::size_t kFewTiles = 24;
constexpr std::size_t kManyTiles = 66;

// Below these the fourfold weights or the transforms cost more than the multiplications saved.
constexpr std::size_t kPayingTiles = 9;
constexpr std::size_t kPayingChannels = 16;

constexpr std::size_t kLanes = 16;    // of the widest tier; planes of any tier are padded to it
constexpr std::size_t kStagger = 16;  // keeps planes from falling onto the same cache sets

constexpr std::size_t round_up(std::size_t a, std::size_t b) { return (a + b - 1) / b * b; }

}  // namespace

std::size_t winograd_row_step(std::size_t channels) noexcept { return round_up(channels, kLanes); }

std::size_t winograd_plane_step(std::size_t tiles, std::size_t channels) noexcept {
  return tiles * winograd_row_step(channels) + kStagger;
}

std::size_t winograd_scratch(const WinogradArgs& args, std::size_t tiles) noexcept {
  return kWinogradPlanes *
         (winograd_plane_step(tiles, args.channels) + winograd_plane_step(tiles, args.outputs));
}

std::size_t winograd_block_tiles(const WinogradArgs& args) noexcept {
  const std::size_t tiles = winograd_tiles(args);
  const std::size_t weights = kWinogradPlanes * args.channels * args.outputs;
  std::size_t most = kBlockFloats / (kWinogradPlanes * (args.channels + args.outputs));
  if (most < kFewTiles) most = kFewTiles;
  if (most > kManyTiles || weights > kBlockFloats) most = kManyTiles;
  const std::size_t blocks = (tiles + most - 1) / most;
  return (tiles + blocks - 1) / blocks;
}

bool winograd_pays(const WinogradArgs& args) noexcept {
  return winograd_tiles(args) >= kPayingTiles && args.channels >= kPayingChannels &&
         args.outputs >= kPayingChannels;
}

}  // namespace sdx::kernels
