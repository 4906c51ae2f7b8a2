// Matrix products: packing of B and the blocking that keeps the register tile fed from cache.
#include "kernels/gemm.h"

#include "kernels/simd/tile.h"
#include "kernels/simd/transpose.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Panels whose B stays in cache while all rows pass over it.
constexpr std::size_t kPanelBlock = 128 / kTileColumns;
// B as it lies is copied where more row tiles than this would each walk its long strides.
constexpr std::size_t kStridedTiles = 2;
constexpr std::size_t kShortStride = 256;

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }
constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
constexpr std::size_t round_up(std::size_t a, std::size_t b) { return divide_up(a, b) * b; }

// Width of panel p as stored: the last one ends with the vector that holds the last column.
SDX_INLINE std::size_t packed_width(std::size_t n, std::size_t panel) {
  return smaller(kTileColumns, round_up(n - panel * kTileColumns, kF32));
}

SDX_INLINE void pack_rows(const float* b, std::size_t ldb, std::size_t k, std::size_t columns,
                          float* packed, std::size_t width) {
  for (std::size_t i = 0; i < k; ++i, b += ldb, packed += width) {
    std::size_t j = 0;
    for (; j + kF32 <= columns; j += kF32) store(packed + j, load(b + j));
    for (; j < columns; ++j) packed[j] = b[j];
    for (; j < width; ++j) packed[j] = 0;
  }
}

SDX_INLINE void pack_columns(const float* b, std::size_t ldb, std::size_t k, std::size_t columns,
                             float* packed, std::size_t width) {
  for (std::size_t j = 0; j < width; j += kF32) {
    const std::size_t count = smaller(kF32, columns - j);
    std::size_t i = 0;
    if (count == kF32)
      for (; i + kF32 <= k; i += kF32)
        transpose_square(b + j * ldb + i, ldb, packed + i * width + j, width);
    for (; i < k; ++i)
      for (std::size_t l = 0; l < kF32; ++l)
        packed[i * width + j + l] = l < count ? b[(j + l) * ldb + i] : 0.0f;
  }
}

void pack_panel(const float* b, std::size_t ldb, bool transposed, std::size_t k,
                std::size_t columns, float* packed, std::size_t width) {
  if (transposed)
    pack_columns(b, ldb, k, columns, packed, width);
  else
    pack_rows(b, ldb, k, columns, packed, width);
}

// Part of the depth, and the panels whose part of B is meant.
struct Block {
  std::size_t depth_begin, depth_end;
  std::size_t panel_begin, panel_end;
};

// All rows of the range against one block; b_of(panel) and ldb_of(panel) tell where B lies. The
// panels of a block are equally wide, or one.
template <class BOf, class LdbOf>
SDX_INLINE void multiply_block(const GemmArgs& args, const GemmRange& range, const Block& block,
                               BOf b_of, LdbOf ldb_of) {
  const std::size_t rows = range.row_end - range.row_begin;
  const std::size_t tiles = divide_up(rows, tile_rows(args.n - block.panel_begin * kTileColumns));
  TileTap tap;
  tap.b_row = 0;
  Tile tile;
  tile.taps = &tap;
  tile.tap_count = 1;
  tile.depth = block.depth_end - block.depth_begin;
  tile.ldc = args.ldc;
  tile.epilogue = block.depth_end == args.k ? &args.epilogue : nullptr;
  tile.add_c = block.depth_begin > 0 || args.epilogue.accumulate;
  for (std::size_t t = 0; t < tiles; ++t) {
    tile.row = range.row_begin + t * rows / tiles;
    tile.rows = range.row_begin + (t + 1) * rows / tiles - tile.row;
    for (std::size_t i = 0; i < tile.rows; ++i)
      tap.rows[i] = args.a + (tile.row + i) * args.lda + block.depth_begin;
    for (std::size_t p = block.panel_begin; p < block.panel_end; ++p) {
      tile.column = p * kTileColumns;
      tile.columns = smaller(kTileColumns, args.n - tile.column);
      tile.b = b_of(p);
      tile.ldb = ldb_of(p);
      tile.c = args.c + tile.row * args.ldc + tile.column;
      run_tile(tile);
    }
  }
}

}  // namespace

GemmTiling gemm_tiling() { return {kTileRows, kTileColumns, kF32}; }

void gemm_pack_b(const PackB& args, std::size_t panel_begin, std::size_t panel_end) {
  const std::size_t panels = divide_up(args.n, kTileColumns);
  for (std::size_t p = panel_begin; p < smaller(panel_end, panels); ++p) {
    const std::size_t column = p * kTileColumns;
    pack_panel(args.b + (args.transposed ? column * args.ldb : column), args.ldb, args.transposed,
               args.k, smaller(kTileColumns, args.n - column), args.packed + column * args.k,
               packed_width(args.n, p));
  }
}

void gemm_packed(const GemmArgs& args, const GemmRange& range) {
  const std::size_t panel_end = smaller(range.panel_end, divide_up(args.n, kTileColumns));
  if (range.row_begin >= range.row_end) return;
  const std::size_t depth_blocks = args.k ? divide_up(args.k, kDepthBlock) : 1;
  const std::size_t full_panels = args.n / kTileColumns;
  for (std::size_t d = 0; d < depth_blocks; ++d) {
    const std::size_t depth_begin = d * args.k / depth_blocks;
    for (std::size_t p = range.panel_begin; p < panel_end;) {
      const std::size_t next = p < full_panels ? smaller(p + kPanelBlock, full_panels) : p + 1;
      const Block block{depth_begin, (d + 1) * args.k / depth_blocks, p, smaller(next, panel_end)};
      const auto ldb_of = [&](std::size_t panel) { return packed_width(args.n, panel); };
      const auto b_of = [&](std::size_t panel) {
        return args.b + panel * kTileColumns * args.k + depth_begin * ldb_of(panel);
      };
      multiply_block(args, range, block, b_of, ldb_of);
      p = block.panel_end;
    }
  }
}

void gemm_dynamic(const GemmArgs& args, const GemmRange& range, float* scratch) {
  const std::size_t panel_end = smaller(range.panel_end, divide_up(args.n, kTileColumns));
  if (range.row_begin >= range.row_end) return;
  const std::size_t depth_blocks = args.k ? divide_up(args.k, kDepthBlock) : 1;
  const bool in_place =
      !args.transposed_b &&
      (range.row_end - range.row_begin <= kStridedTiles * kTileRows || args.ldb <= kShortStride);
  for (std::size_t d = 0; d < depth_blocks; ++d) {
    const std::size_t d0 = d * args.k / depth_blocks;
    const std::size_t d1 = (d + 1) * args.k / depth_blocks;
    for (std::size_t p = range.panel_begin; p < panel_end; ++p) {
      const std::size_t column = p * kTileColumns;
      const std::size_t columns = smaller(kTileColumns, args.n - column);
      const float* b =
          args.b + (args.transposed_b ? column * args.ldb + d0 : d0 * args.ldb + column);
      std::size_t ldb = args.ldb;
      if (!in_place || columns % kF32 != 0) {
        ldb = packed_width(args.n, p);
        pack_panel(b, args.ldb, args.transposed_b, d1 - d0, columns, scratch, ldb);
        b = scratch;
      }
      multiply_block(
          args, range, {d0, d1, p, p + 1}, [=](std::size_t) { return b; },
          [=](std::size_t) { return ldb; });
    }
  }
}

std::size_t gemm_dynamic_scratch(const GemmArgs& args) {
  return smaller(args.k, kDepthBlock) * smaller(kTileColumns, round_up(args.n, kF32));
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(gemm_tiling, GemmTilingQuery)
SDX_DEFINE_KERNEL(gemm_pack_b, GemmPackB)
SDX_DEFINE_KERNEL(gemm_packed, GemmPacked)
SDX_DEFINE_KERNEL(gemm_dynamic, GemmDynamic)
SDX_DEFINE_KERNEL(gemm_dynamic_scratch, GemmDynamicScratch)
}  // namespace sdx::kernels
