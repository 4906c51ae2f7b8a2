// Winograd's product with weights that are transformed when they are needed.
#include "kernels/simd/tile.h"
#include "kernels/simd/winograd_points.h"
#include "kernels/winograd.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

constexpr std::size_t kTaps = 9;
constexpr std::size_t kAhead = 2 * kF32;  // floats by which lines to write are asked for early
constexpr std::size_t kStagger = 16;      // keeps planes from falling onto the same cache sets
constexpr std::size_t kAheadGrain = 4;    // the tile cuts a step ahead into so many parts at most

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }
constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
constexpr std::size_t round_up(std::size_t a, std::size_t b) { return divide_up(a, b) * b; }

// Nine runs of so many floats, one for each tap.
struct TapRuns {
  const float* first;
  std::size_t step;  // floats from one to the next
  std::size_t floats;
};

// Rows [kFirst, kFirst + kSide / 2) of planes.
template <int kOut, int kFirst>
void transform_runs(const TapRuns& runs, float* to, std::size_t plane) {
  constexpr int kSide = kOut + 2, kRows = kSide / 2;
  for (std::size_t i = 0; i < runs.floats; i += kF32) {
    VecF half[kRows][3];
#pragma GCC unroll 3
    for (std::size_t x = 0; x < 3; ++x) {
      const float* from = runs.first + x * runs.step + i;
      VecF g[kSide];
      WinogradPoints<kOut>::weights(load(from), load(from + 3 * runs.step),
                                    load(from + 6 * runs.step), g);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) half[r][x] = g[kFirst + r];
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      VecF g[kSide];
#pragma GCC unroll 8
      for (int x = 0; x < kSide; ++x)
        __builtin_prefetch(to + static_cast<std::size_t>(r * kSide + x) * plane + i + kAhead, 1, 3);
      WinogradPoints<kOut>::weights(half[r][0], half[r][1], half[r][2], g);
#pragma GCC unroll 8
      for (int x = 0; x < kSide; ++x)
        store(to + static_cast<std::size_t>(r * kSide + x) * plane + i, g[x]);
    }
  }
}

// Walks over the weights that are needed next, a part at every plane.
class Ahead {
 public:
  Ahead(const TapRuns& runs, std::size_t planes) : runs_(runs), planes_(planes) {}

  // Sets up what the next plane, in so many tiles of rows, brings into cache.
  void next(Tile& tile, std::size_t row_tiles) {
    const std::size_t tap = plane_ * kTaps / planes_;
    const std::size_t first = divide_up(tap * planes_, kTaps);
    const std::size_t count = divide_up((tap + 1) * planes_, kTaps) - first;
    const std::size_t part = divide_up(runs_.floats * sizeof(float), count);
    tile.ahead =
        reinterpret_cast<const char*>(runs_.first + tap * runs_.step) + (plane_ - first) * part;
    tile.ahead_step = round_up(divide_up(part, row_tiles * tile.depth), kAheadGrain);
    ++plane_;
  }

 private:
  TapRuns runs_;
  std::size_t planes_, plane_ = 0;
};

template <int kOut>
void multiply_taps(const WinogradArgs& args, const WinogradBlockRange& block,
                   std::size_t item_begin, std::size_t item_end, float* scratch, float* weights) {
  constexpr std::size_t kPlanes = winograd_planes(kOut), kHalf = kPlanes / 2;
  const std::size_t tiles = block.block_end - block.block_begin;
  const std::size_t input_row = winograd_row_step(args.channels);
  const std::size_t input_step = winograd_plane_step(tiles, args.channels);
  const std::size_t output_step = winograd_plane_step(tiles, args.outputs);
  float* products = scratch + kPlanes * input_step;
  TileTap tap;
  tap.b_row = 0;
  Tile tile;
  tile.taps = &tap;
  tile.tap_count = 1;
  tile.ldc = winograd_row_step(args.outputs);
  tile.epilogue = nullptr;
  tile.chain = args.chain;
  for (std::size_t item = item_begin; item < item_end;) {
    const std::size_t panel = item / 2, half_begin = item % 2;
    const std::size_t half_end = smaller(2, item_end - panel * 2);
    item = panel * 2 + half_end;
    tile.column = panel * kTileColumns;
    tile.columns = smaller(kTileColumns, args.outputs - tile.column);
    tile.ldb = round_up(tile.columns, kF32);
    const std::size_t chunks = divide_up(args.channels, kWinogradDepthFloats / tile.ldb);
    const std::size_t row_tiles = divide_up(tiles, tile_rows(tile.columns));
    const auto chunk_begin = [&](std::size_t chunk) { return chunk * args.channels / chunks; };
    const float* packed = args.packed + tile.column * kTaps * args.channels;
    const auto runs_of = [&](std::size_t chunk) -> TapRuns {
      const std::size_t begin = chunk_begin(chunk);
      return {packed + begin * tile.ldb, args.channels * tile.ldb,
              (chunk_begin(chunk + 1) - begin) * tile.ldb};
    };
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
      const std::size_t channel = chunk_begin(chunk);
      const TapRuns runs = runs_of(chunk);
      // After the last panel comes what the next operator reads.
      TapRuns next = runs_of(chunk + 1 < chunks ? chunk + 1 : 0);
      if (chunk + 1 == chunks) next.first += kTaps * next.step;
      Ahead ahead(next, (half_end - half_begin) * kHalf);
      tile.depth = chunk_begin(chunk + 1) - channel;
      tile.add_c = chunk > 0;
      const std::size_t plane_floats = runs.floats + kStagger;
      for (std::size_t half = half_begin; half < half_end; ++half) {
        const auto transform =
            half == 0 ? transform_runs<kOut, 0> : transform_runs<kOut, (kOut + 2) / 2>;
        transform(runs, weights, plane_floats);
        for (std::size_t f = 0; f < kHalf; ++f) {
          const std::size_t plane = half * kHalf + f;
          const float* inputs = scratch + plane * input_step + channel;
          tile.b = weights + f * plane_floats;
          ahead.next(tile, row_tiles);
          for (std::size_t t = 0; t < row_tiles; ++t) {
            tile.row = t * tiles / row_tiles;
            tile.rows = (t + 1) * tiles / row_tiles - tile.row;
            for (std::size_t i = 0; i < tile.rows; ++i)
              tap.rows[i] = inputs + (tile.row + i) * input_row;
            tile.c = products + plane * output_step + tile.row * tile.ldc + tile.column;
            run_tile(tile);
            tile.ahead += tile.ahead_step * tile.depth;
          }
        }
      }
    }
  }
}

}  // namespace

void winograd_multiply_taps(const WinogradArgs& args, const WinogradBlockRange& block,
                            std::size_t item_begin, std::size_t item_end, float* scratch,
                            float* weights) {
  const auto multiply = args.side == 2 ? multiply_taps<2> : multiply_taps<4>;
  multiply(args, block, item_begin, item_end, scratch, weights);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(winograd_multiply_taps, WinogradMultiplyTaps)
}  // namespace sdx::kernels
