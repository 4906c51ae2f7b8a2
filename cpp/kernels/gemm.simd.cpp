// Matrix products: packing of B and the blocking that keeps the register tile fed from cache.
#include "kernels/gemm.h"

#include "kernels/simd/activation.h"
#include "kernels/simd/tile.h"
#include "kernels/simd/transpose.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// A tile of rows passes over several narrow panels before the next rows do: over as many as lie in
// L1 together, so that A is read once for them all.
constexpr std::size_t kBlockFloats = 16384;
// From so many tiles of rows on, A is what has to be fetched and not the next product's B.
constexpr std::size_t kManyTiles = 32;
// A tile that alone reads all rows reads B this many bytes behind what it asks for.
constexpr std::size_t kAheadBytes = 4096;
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
  // B of the block that follows, to be brought into cache meanwhile. Null: A is what is not there.
  const float* next = nullptr;
  std::size_t next_floats = 0;

  std::size_t depth() const { return depth_end - depth_begin; }
  std::size_t panels() const { return panel_end - panel_begin; }
};

// All rows of the range against one block; b_of(panel) and ldb_of(panel) tell where B lies. The
// panels of a block are equally wide, or one.
template <class BOf, class LdbOf>
SDX_INLINE void multiply_block(const GemmArgs& args, const GemmRange& range, const Block& block,
                               BOf b_of, LdbOf ldb_of) {
  const std::size_t rows = range.row_end - range.row_begin;
  const std::size_t most_rows = tile_rows(args.n - block.panel_begin * kTileColumns);
  const std::size_t tiles = divide_up(rows, most_rows);
  TileTap tap;
  tap.b_row = 0;
  Tile tile;
  tile.taps = &tap;
  tile.tap_count = 1;
  tile.depth = block.depth();
  tile.ldc = args.ldc;
  tile.chain = args.chain;
  tile.epilogue = block.depth_end == args.k ? &args.epilogue : nullptr;
  // Rows of one panel follow each other in memory, which the machine foresees.
  const bool far_results = args.n > kTileColumns && args.m * args.n >= kFarFloats;
  tile.fetches_results = tile.epilogue && (args.epilogue.residual || far_results);
  tile.add_c = block.depth_begin > 0 || args.epilogue.accumulate;
  constexpr auto panel_floats = static_cast<std::ptrdiff_t>(kTileColumns);
  const auto block_panels = static_cast<std::ptrdiff_t>(block.panels());
  const std::size_t runs = tiles * block.panels();
  const std::size_t next_bytes = divide_up(block.next_floats * sizeof(float), runs);
  if (tiles == 1)
    tile.ahead_step = kTileColumns * sizeof(float);
  else
    tile.ahead_step =
        divide_up(block.next ? next_bytes : most_rows * args.lda * sizeof(float) / block.panels(),
                  tile.depth ? tile.depth : 1);
  const char* next = reinterpret_cast<const char*>(block.next);
  for (std::size_t t = 0; t < tiles; ++t) {
    tile.row = range.row_begin + t * rows / tiles;
    tile.rows = range.row_begin + (t + 1) * rows / tiles - tile.row;
    for (std::size_t i = 0; i < tile.rows; ++i)
      tap.rows[i] = args.a + (tile.row + i) * args.lda + block.depth_begin;
    const char* next_a = reinterpret_cast<const char*>(tap.rows[0] + tile.rows * args.lda);
    for (std::size_t p = block.panel_begin; p < block.panel_end; ++p) {
      tile.column = p * kTileColumns;
      tile.columns = smaller(kTileColumns, args.n - tile.column);
      tile.b = b_of(p);
      tile.ldb = ldb_of(p);
      tile.c = args.c + tile.row * args.ldc + tile.column;
      if (tile.fetches_results) {
        const bool last = p + 1 == block.panel_end;
        tile.next_down = last ? tile.rows : 0;
        tile.next_right = panel_floats * (last ? 1 - block_panels : 1);
      }
      if (tiles == 1)
        tile.ahead = reinterpret_cast<const char*>(tile.b) + kAheadBytes;
      else if (block.next)
        tile.ahead = next, next += next_bytes;
      else
        tile.ahead = next_a, next_a += tile.ahead_step * tile.depth;
      run_tile(tile);
    }
  }
}

// Of matrices this narrow, whose rows lie dense, some rows at a time are vectors: a lane sums one
// element of C.
constexpr std::size_t kTinySide = 4;

SDX_INLINE bool is_tiny(const GemmArgs& args) {
  const Epilogue& e = args.epilogue;
  return kF32 >= 2 * kTinySide && args.k > 0 && args.k <= kTinySide && args.n <= kTinySide &&
         args.lda == args.k && args.ldc == args.n && !e.accumulate && !e.row_bias && !e.residual &&
         is_simple(e.activation);
}

void multiply_tiny(const GemmArgs& args, const GemmRange& range) {
  const std::size_t k = args.k, n = args.n, rows = kF32 / (k > n ? k : n);
  VecI places[kTinySide] = {};  // of the element of A that a lane multiplies
  VecF weights[kTinySide] = {}, bias = {};
  for (std::size_t lane = 0; lane < rows * n; ++lane) {
    const std::size_t row = lane / n, column = lane % n;
    for (std::size_t i = 0; i < k; ++i) {
      places[i][lane] = static_cast<int32_t>(row * k + i);
      weights[i][lane] = args.b[i * packed_width(n, 0) + column];
    }
    if (args.epilogue.column_bias) bias[lane] = args.epilogue.column_bias[column];
  }
  const auto product = [&](VecF a) __attribute__((always_inline)) {
    VecF sum = weights[0] * __builtin_shuffle(a, places[0]);
    for (std::size_t i = 1; i < k; ++i) sum += weights[i] * __builtin_shuffle(a, places[i]);
    return activate_simple(sum + bias, args.epilogue);
  };
  std::size_t r = range.row_begin;
  // Whole vectors read into the next rows, and write what these set anew.
  for (; r * k + kF32 <= range.row_end * k && r * n + kF32 <= range.row_end * n; r += rows)
    store(args.c + r * n, product(load(args.a + r * k)));
  for (; r < range.row_end; r += rows) {
    const std::size_t count = smaller(rows, range.row_end - r);
    store_head(args.c + r * n, product(load_head(args.a + r * k, count * k)), count * n);
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
  const std::size_t panels = divide_up(args.n, kTileColumns);
  const std::size_t panel_end = smaller(range.panel_end, panels);
  if (range.row_begin >= range.row_end) return;
  if (is_tiny(args) && range.panel_begin < panel_end) return multiply_tiny(args, range);
  const bool many_rows = range.row_end - range.row_begin >= kManyTiles * kTileRows;
  const std::size_t depth_blocks = args.k ? divide_up(args.k, kDepthBlock) : 1;
  const std::size_t full_panels = args.n / kTileColumns;
  const auto depth_at = [&](std::size_t d) { return d * args.k / depth_blocks; };
  const auto ldb_of = [&](std::size_t panel) { return packed_width(args.n, panel); };
  for (std::size_t d = 0; d < depth_blocks; ++d) {
    const std::size_t depth_begin = depth_at(d), depth_end = depth_at(d + 1);
    const std::size_t block_panels =
        1 + kBlockFloats / ((depth_end - depth_begin + 1) * kTileColumns);
    const auto b_of = [&](std::size_t panel) {
      return args.b + panel * kTileColumns * args.k + depth_begin * ldb_of(panel);
    };
    for (std::size_t p = range.panel_begin; p < panel_end;) {
      const std::size_t next = p < full_panels ? smaller(p + block_panels, full_panels) : p + 1;
      Block block{depth_begin, depth_end, p, smaller(next, panel_end)};
      p = block.panel_end;
      block.next_floats = block.depth() * kTileColumns * block.panels();
      if (p == panel_end && d + 1 < depth_blocks)  // the same panels, deeper
        block.next = args.b + range.panel_begin * kTileColumns * args.k +
                     depth_end * ldb_of(range.panel_begin);
      else if (p < panels)  // of the next range, if this one ends, from the top
        block.next = p == panel_end ? args.b + p * kTileColumns * args.k : b_of(p);
      else if (!many_rows)  // packed weights lie in the order of their use
        block.next = args.b + round_up(args.n, kF32) * args.k;
      multiply_block(args, range, block, b_of, ldb_of);
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
