// Cutting matrix products for threads.
#include <algorithm>

#include "ops/gemm_plan.h"

namespace sdx::ops {
namespace {

constexpr double kFlopsPerNs = 100;
constexpr double kBlockNs = 10e3;
// A few rows cost as much as reading B does.
constexpr double kFreeRows = 5;
// A column alone costs what a vector of them does.
constexpr int64_t kLeastColumns = 16;
constexpr int64_t kLeastTiles = 4, kLeastCopyTiles = 32;
// Shares that keep a few threads evenly busy, and a B that stays in cache while all rows pass.
constexpr int64_t kEnoughShares = 8, kCachedFloats = 65536;
// What a block of rows of A may take of the second-level cache while panels of B pass by, and the
// depth the kernel takes at a time; and of the result, of which each panel reaches into all pages.
constexpr int64_t kRowBlockFloats = 131072, kDepthBlock = 1024;
constexpr int64_t kResultFloats = int64_t{1} << 22;
constexpr int64_t kMostChunks = 256, kMostDynamicChunks = 32;

GemmGrid whole_grid(const GemmKernels& gemm, int64_t batches, int64_t m, int64_t n) {
  GemmGrid grid;
  grid.batches = m == 0 || n == 0 ? 0 : batches;
  grid.rows = m;
  grid.panels = gemm.panels(n);
  grid.row_step = static_cast<int64_t>(gemm.tiling.rows);
  return grid;
}

// A run that is cancelled ends after the blocks in work, so none takes long: `cost` nanoseconds, or
// what the system may take to give pages to so many elements of the result.
int64_t most_chunks(double cost, double elements, int64_t usual) {
  constexpr double kLongestNs = 5e6, kPageNs = 2.5;
  const double longest = std::min(std::max(cost, kPageNs * elements), 1e15);
  return std::max(usual, static_cast<int64_t>(longest / kLongestNs));
}

int64_t wanted_blocks(int64_t m, int64_t n, int64_t k, int64_t most) {
  const double cost = gemm_cost(m, n, k);
  const double elements = static_cast<double>(m) * static_cast<double>(n);
  return static_cast<int64_t>(
      std::clamp(cost / kBlockNs, 1.0, static_cast<double>(most_chunks(cost, elements, most))));
}

GemmGrid with_split(GemmGrid grid, int64_t n, int64_t k, int64_t most) {
  const double cost = gemm_cost(grid.rows, n, k), batches = static_cast<double>(grid.batches);
  const double elements = static_cast<double>(grid.rows) * static_cast<double>(n);
  const int64_t blocks = grid.row_blocks * grid.panel_blocks;
  grid.split = split_work(grid.batches * blocks, cost / static_cast<double>(blocks));
  grid.split.chunks =
      std::min(grid.split.chunks, most_chunks(batches * cost, batches * elements, most));
  return grid;
}

}  // namespace

double gemm_cost(int64_t m, int64_t n, int64_t k) {
  return 2.0 * (static_cast<double>(m) + kFreeRows) *
             static_cast<double>(std::max(n, kLeastColumns)) * (static_cast<double>(k) + 1) /
             kFlopsPerNs +
         50;
}

GemmGrid gemm_grid(const GemmKernels& gemm, int64_t batches, int64_t m, int64_t n, int64_t k) {
  GemmGrid grid = whole_grid(gemm, batches, m, n);
  const int64_t wanted = wanted_blocks(m, n, k, kMostChunks);
  const int64_t panels = std::max<int64_t>(grid.panels, 1);
  // As many rows a block as stay in cache: each block reads its panels anew. More blocks only where
  // there are too few panels to share out or they are all in cache, and then not too small ones.
  const int64_t most_rows =
      std::max({std::min(kRowBlockFloats / std::clamp<int64_t>(k, 1, kDepthBlock),
                         kResultFloats / std::max<int64_t>(n, 1)),
                grid.row_step});
  const int64_t shares = k * n <= kCachedFloats ? wanted : std::min(wanted, kEnoughShares);
  grid.row_blocks =
      std::max((m + most_rows - 1) / most_rows,
               std::min((shares + panels - 1) / panels, grid.row_tiles() / kLeastTiles));
  grid.row_blocks = std::clamp<int64_t>(grid.row_blocks, 1, std::max<int64_t>(grid.row_tiles(), 1));
  grid.panel_blocks =
      std::clamp<int64_t>((wanted + grid.row_blocks - 1) / grid.row_blocks, 1, panels);
  return with_split(grid, n, k, kMostChunks);
}

GemmGrid gemm_dynamic_grid(const GemmKernels& gemm, int64_t batches, int64_t m, int64_t n,
                           int64_t k) {
  GemmGrid grid = whole_grid(gemm, batches, m, n);
  const int64_t wanted = wanted_blocks(m, n, k, kMostDynamicChunks);
  grid.panel_blocks = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(grid.panels, 1));
  grid.row_blocks = std::clamp<int64_t>(grid.row_tiles() / kLeastCopyTiles, 1,
                                        (wanted + grid.panel_blocks - 1) / grid.panel_blocks);
  return with_split(grid, n, k, kMostDynamicChunks);
}

GemmGrid::Block GemmGrid::blocks(int64_t item, int64_t end) const {
  const int64_t per_batch = row_blocks * panel_blocks;
  const int64_t row = item / panel_blocks % row_blocks;
  const int64_t panel = item % panel_blocks;
  const int64_t panel_end = std::min(panel_blocks, panel + end - item);
  const int64_t tiles = row_tiles();
  const auto row_at = [&](int64_t i) {
    return static_cast<std::size_t>(std::min(rows, tiles * i / row_blocks * row_step));
  };
  const auto panel_at = [&](int64_t i) {
    return static_cast<std::size_t>(panels * i / panel_blocks);
  };
  return {item / per_batch, {row_at(row), row_at(row + 1), panel_at(panel), panel_at(panel_end)}};
}

void run_packed(const Frame& f, const GemmKernels& gemm, const GemmGrid& grid,
                const kernels::GemmArgs& args) {
  f.parallel_ranges(grid.split, [&](Range items) {
    grid.for_each(items, [&](const GemmGrid::Block& block) { gemm.packed(args, block.range); });
  });
}

}  // namespace sdx::ops
