// Sizes of Winograd blocks.
#include "kernels/winograd.h"

namespace sdx::kernels {
namespace {

// A block's planes should stay in the second-level cache; where the weights do not fit beside them
// it takes many tiles to pay for reading the weights once more.
constexpr std::size_t kBlockFloats = 300'000;
constexpr std::size_t kFewTiles = 24;
constexpr std::size_t kManyTiles = 66;
// So many blocks, or a multiple of them, share out evenly among a few threads.
constexpr std::size_t kEvenBlocks = 4;

constexpr std::size_t kLanes = 16;    // of the widest tier; planes of any tier are padded to it
constexpr std::size_t kStagger = 16;  // keeps planes from falling onto the same cache sets

constexpr std::size_t round_up(std::size_t a, std::size_t b) { return (a + b - 1) / b * b; }

}  // namespace

std::size_t winograd_row_step(std::size_t channels) noexcept { return round_up(channels, kLanes); }

std::size_t winograd_plane_step(std::size_t tiles, std::size_t channels) noexcept {
  return tiles * winograd_row_step(channels) + kStagger;
}

std::size_t winograd_scratch(const WinogradArgs& args, std::size_t tiles) noexcept {
  return winograd_planes(args.side) *
         (winograd_plane_step(tiles, args.channels) + winograd_plane_step(tiles, args.outputs));
}

std::size_t winograd_block_tiles(const WinogradArgs& args) noexcept {
  const std::size_t tiles = winograd_tiles(args), planes = winograd_planes(args.side);
  const std::size_t weights = planes * args.channels * args.outputs;
  std::size_t most = kBlockFloats / (planes * (args.channels + args.outputs));
  if (most < kFewTiles) most = kFewTiles;
  if (most > kManyTiles || weights > kBlockFloats) most = kManyTiles;
  std::size_t blocks = (tiles + most - 1) / most;
  const std::size_t even = round_up(blocks, kEvenBlocks);
  if (weights <= kBlockFloats && tiles >= even * kFewTiles) blocks = even;
  return (tiles + blocks - 1) / blocks;
}

}  // namespace sdx::kernels
