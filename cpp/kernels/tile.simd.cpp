// The register tile: all sums of a few rows and vectors kept in registers over the whole depth.
#include "kernels/simd/tile.h"

#include "kernels/simd/activation.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

constexpr std::size_t kFetchDepth = 64;
constexpr int kIntoL1 = 3, kIntoL2 = 2;  // of __builtin_prefetch

constexpr std::size_t kLineBytes = 64;

// Lines of B asked for in a step of the depth, of which a step reads no more than a row of a panel:
// the fewer rows share B the faster it is read.
constexpr std::size_t ahead_lines(int rows, int vectors) {
  const std::size_t lines = vectors == 1 && rows > 4 ? 1 : rows > 4 ? 2 : 4;
  constexpr std::size_t kPanelLines = (kTileColumns * sizeof(float) + kLineBytes - 1) / kLineBytes;
  return lines < kPanelLines ? lines : kPanelLines;
}

template <int kRows, int kVectors>
struct Sums {
  VecF at[kRows][kVectors];
};

// Vector j of a row of the tile; where heads are cheap the last vector may be part of one.
template <int kVectors>
SDX_INLINE VecF load_part(const Tile& tile, const float* row, int j) {
  if (kMaskedTails && j == kVectors - 1) return load_head(row + j * kF32, tile.columns - j * kF32);
  return load(row + j * kF32);
}

template <int kRows, int kVectors>
SDX_INLINE void store_tile(const Tile& tile, Sums<kRows, kVectors>& sums) {
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      float* c = tile.c + i * tile.ldc + j * kF32;
      if (kMaskedTails && j == kVectors - 1)
        store_head(c, sums.at[i][j], tile.columns - j * kF32);
      else
        store(c, sums.at[i][j]);
    }
}

template <int kRows, int kVectors>
SDX_INLINE void add_rows(const Tile& tile, Sums<kRows, kVectors>& sums, const float* p,
                         std::size_t stride) {
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j)
      sums.at[i][j] += load_part<kVectors>(tile, p + i * stride, j);
}

template <int kRows, int kVectors, class F>
SDX_INLINE void map_sums(Sums<kRows, kVectors>& sums, F f) {
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sums.at[i][j] = f(sums.at[i][j]);
}

// Activations that need code rather than an instruction or two run on the stored tile, in cache.
void activate_stored(const Tile& tile) {
  const Epilogue& e = *tile.epilogue;
  activate_rows(tile.c, tile.ldc, tile.rows, tile.columns, e);
  if (!e.residual || !e.residual_last) return;
  for (std::size_t i = 0; i < tile.rows; ++i)
    add_row(tile.c + i * tile.ldc, e.residual + (tile.row + i) * e.residual_stride + tile.column,
            tile.columns);
}

template <int kRows, int kVectors>
SDX_INLINE void finish_registers(const Tile& tile, Sums<kRows, kVectors>& sums) {
  if (tile.add_c) add_rows(tile, sums, tile.c, tile.ldc);
  if (!tile.epilogue) return store_tile(tile, sums);
  const Epilogue& e = *tile.epilogue;
  if (e.column_bias) add_rows(tile, sums, e.column_bias + tile.column, 0);
  if (e.row_bias) {
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const VecF bias = splat(e.row_bias[tile.row + i]);
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sums.at[i][j] += bias;
    }
  }
  const float* residual = nullptr;
  if (e.residual) residual = e.residual + tile.row * e.residual_stride + tile.column;
  if (residual && !e.residual_last) add_rows(tile, sums, residual, e.residual_stride);
  if (e.activation == Activation::relu) {
    map_sums(sums, [](VecF v) { return relu(v); });
  } else if (e.activation == Activation::clip) {
    const VecF low = splat(e.alpha), high = splat(e.beta);
    map_sums(sums, [=](VecF v) { return clip(v, low, high); });
  } else if (e.activation == Activation::leaky_relu) {
    const VecF slope = splat(e.alpha);
    map_sums(sums, [=](VecF v) { return leaky_relu(v, slope); });
  } else if (e.activation != Activation::none) {
    store_tile(tile, sums);
    return activate_stored(tile);
  }
  if (residual && e.residual_last) add_rows(tile, sums, residual, e.residual_stride);
  store_tile(tile, sums);
}

// Results and residual of one row `down` rows and `right` columns from the tile's place.
template <int kVectors, int kLevel>
SDX_INLINE void fetch_row(const Tile& tile, std::size_t i, std::size_t down, std::ptrdiff_t right) {
  const float* c = tile.c + (i + down) * tile.ldc + right;
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) __builtin_prefetch(c + j * kF32, 1, kLevel);
  if (!tile.epilogue || !tile.epilogue->residual) return;
  const Epilogue& e = *tile.epilogue;
  const float* residual =
      e.residual + (tile.row + i + down) * e.residual_stride + tile.column + right;
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) __builtin_prefetch(residual + j * kF32, 0, kLevel);
}

template <int kRows, int kVectors>
SDX_INLINE void add_sums(Sums<kRows, kVectors>& to, const Sums<kRows, kVectors>& from) {
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) to.at[i][j] += from.at[i][j];
}

// Moves sums out of registers, onto those of earlier chains unless these are the first.
template <int kRows, int kVectors>
SDX_INLINE void carry(Sums<kRows, kVectors>& sums, Sums<kRows, kVectors>& carried, bool first) {
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      carried.at[i][j] = first ? sums.at[i][j] : carried.at[i][j] + sums.at[i][j];
      sums.at[i][j] = VecF{};
    }
}

// Puts the sums of all chains where they go.
template <int kRows, int kVectors>
SDX_INLINE void finish_sums(const Tile& tile, Sums<kRows, kVectors>& sums,
                            const Sums<kRows, kVectors>& carried, bool carries) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // what carries has been carried to
  if (carries) add_sums(sums, carried);
#pragma GCC diagnostic pop
  if (kMaskedTails || tile.columns == kVectors * kF32) return finish_registers(tile, sums);
  alignas(kVecBytes) float stored[kRows * kVectors * kF32];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) store(stored + (i * kVectors + j) * kF32, sums.at[i][j]);
  finish_tile(tile, stored, kVectors * kF32);
}

// kFetch is Tile::fetches_results.
template <int kRows, int kVectors, bool kFetch>
void tile_kernel(const Tile& tile) {
  // One or two rows alone would wait for each other's sums: give them sums for two steps.
  constexpr int kSteps = kRows == 1 ? 4 : kRows == 2 ? 2 : 1;
  Sums<kRows, kVectors> sums[kSteps] = {};
  Sums<kRows, kVectors> carried;
  bool carries = false;
  std::size_t left = tile.chain;  // of the chain
  constexpr std::size_t kLines = ahead_lines(kRows, kVectors);
  const std::size_t ldb = tile.ldb;
  const char* ahead = tile.ahead ? tile.ahead : reinterpret_cast<const char*>(tile.b);
  const std::size_t ahead_line = tile.ahead_step / kLines;
  if constexpr (kFetch && kSteps > 1)
    for (int i = 0; i < kRows; ++i) fetch_row<kVectors, kIntoL1>(tile, i, 0, 0);
  for (std::size_t t = 0; t < tile.tap_count; ++t) {
    const TileTap& tap = tile.taps[t];
    const float* b = tile.b + tap.b_row * ldb;
    const float* rows[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) rows[i] = tap.rows[i];
    const auto step = [&](Sums<kRows, kVectors> & into, std::size_t d)
        __attribute__((always_inline)) {
      VecF columns[kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) columns[j] = load(b + j * kF32);
      b += ldb;
#pragma GCC unroll 4
      for (std::size_t l = 0; l < kLines; ++l, ahead += ahead_line)
        __builtin_prefetch(ahead, 0, kRows > 2 ? kIntoL2 : kIntoL1);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const VecF a = splat(rows[i][d]);
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; ++j) into.at[i][j] += a * columns[j];
      }
    };
    std::size_t d = 0;
    if constexpr (kSteps > 1) {
      for (; d + kSteps <= tile.depth; d += kSteps) {
#pragma GCC unroll 4
        for (int s = 0; s < kSteps; ++s) step(sums[s], d + s);
      }
    }
    // While the last tap is summed, some rows at a time, what the next tile's epilogue needs comes
    // into the second-level cache and what this one's needs into the first.
    constexpr int kAtOnce = kVectors > 2 ? 1 : kVectors == 2 ? 2 : 4;
    constexpr int kTimes = (kRows + kAtOnce - 1) / kAtOnce;
    constexpr int kFetches = kFetch && kSteps == 1 ? 2 * kTimes : 0;
    const std::size_t apart = tile.depth / (kFetches + 1);
    for (int i = t + 1 == tile.tap_count ? 0 : kFetches; i <= kFetches; ++i) {
      if (i < kFetches) {
        for (int row = i % kTimes * kAtOnce, last = row + kAtOnce; row < last; ++row) {
          if (i < kTimes)
            fetch_row<kVectors, kIntoL2>(tile, row, tile.next_down, tile.next_right);
          else
            fetch_row<kVectors, kIntoL1>(tile, row, 0, 0);
        }
      }
      const std::size_t end = i < kFetches ? d + apart : tile.depth;
      for (; end - d >= left; carries = true, left = tile.chain) {
        for (const std::size_t stop = d + left; d < stop; ++d) step(sums[0], d);
        carry(sums[0], carried, !carries);
      }
      for (left -= end - d; d < end; ++d) step(sums[0], d);
    }
  }
  for (int s = kSteps / 2; s > 0; s /= 2)
    for (int u = 0; u < s; ++u) add_sums(sums[u], sums[u + s]);
  finish_sums(tile, sums[0], carried, carries);
}

// Where a core's other thread is busy as well it is instructions that run short: with AVX2, which
// does less by each than AVX-512, the tile that most of the work is done in takes some steps of the
// depth at a time.
#if defined(__FMA__) && !defined(__AVX512F__)
constexpr std::size_t kSteps = 4, kFewestRows = 4;

bool is_dense(const Tile& tile) {
  return tile.rows >= kFewestRows && tile.columns > kTileColumns - kF32 &&
         tile.ldb == kTileColumns && kSteps * tile.ahead_step <= 2 * kLineBytes;
}

// Adds the product where the sum lies: the compiler would put it where a factor was, and move it.
SDX_INLINE void accumulate(VecF& sum, VecF a, VecF b) {
  __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
}

// kFetch is Tile::fetches_results.
template <int kRows, bool kFetch>
void dense_tile(const Tile& tile) {
  constexpr int kVectors = kTileVectors;
  Sums<kRows, kVectors> sums = {}, carried;
  bool carries = false;
  std::size_t left = tile.chain;  // of the chain
  if constexpr (kFetch)
    for (int i = 0; i < kRows; ++i) fetch_row<kVectors, kIntoL1>(tile, i, 0, 0);
  const char* ahead = tile.ahead ? tile.ahead : reinterpret_cast<const char*>(tile.b);
  for (std::size_t t = 0; t < tile.tap_count; ++t) {
    const TileTap& tap = tile.taps[t];
    const float* b = tile.b + tap.b_row * kTileColumns;
    const float* rows[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) rows[i] = tap.rows[i];
    const auto step = [&](std::size_t d) __attribute__((always_inline)) {
      VecF columns[kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) columns[j] = load(b + j * kF32);
      b += kTileColumns;
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const VecF a = splat(rows[i][d]);
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; ++j) accumulate(sums.at[i][j], a, columns[j]);
      }
    };
    for (std::size_t d = 0; d < tile.depth;) {
      const std::size_t end = tile.depth - d < left ? tile.depth : d + left;
      left -= end - d;
      for (; d + kSteps <= end; d += kSteps) {
        for (std::size_t l = 0; l < 2; ++l, ahead += kSteps / 2 * tile.ahead_step)
          __builtin_prefetch(ahead, 0, kIntoL2);
#pragma GCC unroll 4
        for (std::size_t s = 0; s < kSteps; ++s) step(d + s);
      }
      for (; d < end; ++d) step(d);
      if (left > 0) continue;
      carry(sums, carried, !carries);
      carries = true;
      left = tile.chain;
    }
  }
  finish_sums(tile, sums, carried, carries);
}

template <bool kFetch>
void run_dense(const Tile& tile) {
  if (tile.rows == kFewestRows) return dense_tile<kFewestRows, kFetch>(tile);
  if (tile.rows == kTileRows) return dense_tile<kTileRows, kFetch>(tile);
  dense_tile<kTileRows - 1, kFetch>(tile);
}
#else
constexpr bool is_dense(const Tile&) { return false; }
template <bool kFetch>
void run_dense(const Tile&) {}
#endif

using TileKernel = void(const Tile&);
template <bool kFetch>
constexpr TileKernel* kTileKernels[][kMaxTileRows] = {
#define SDX_TILE_ROWS(vectors)                                          \
  tile_kernel<1, vectors, kFetch>, tile_kernel<2, vectors, kFetch>,     \
      tile_kernel<3, vectors, kFetch>, tile_kernel<4, vectors, kFetch>, \
      tile_kernel<5, vectors, kFetch>, tile_kernel<6, vectors, kFetch>
#define SDX_TALL_TILE(vectors) \
  SDX_TILE_ROWS(vectors), tile_kernel<7, vectors, kFetch>, tile_kernel<8, vectors, kFetch>
    {SDX_TALL_TILE(1)},
#if defined(__AVX512F__) || defined(__aarch64__)
    {SDX_TALL_TILE(2)},
    {SDX_TALL_TILE(3)},
    {SDX_TILE_ROWS(4)},
#else
    {SDX_TILE_ROWS(2)},
#endif
#undef SDX_TALL_TILE
#undef SDX_TILE_ROWS
};

}  // namespace

void run_tile(const Tile& tile) {
  const std::size_t vectors = (tile.columns - 1) / kF32, rows = tile.rows - 1;
  // Short sums are over before anything has come.
  const bool fetches = tile.fetches_results && tile.tap_count * tile.depth >= kFetchDepth;
  if (is_dense(tile)) return fetches ? run_dense<true>(tile) : run_dense<false>(tile);
  if (fetches) return kTileKernels<true>[vectors][rows](tile);
  kTileKernels<false>[vectors][rows](tile);
}

void finish_tile(const Tile& tile, const float* sums, std::size_t stride) {
  const Epilogue none;
  const Epilogue& e = tile.epilogue ? *tile.epilogue : none;
  const bool simple = is_simple(e.activation);
  for (std::size_t i = 0; i < tile.rows; ++i) {
    float* c = tile.c + i * tile.ldc;
    const VecF row_bias = splat(e.row_bias ? e.row_bias[tile.row + i] : 0.0f);
    const float* residual = nullptr;
    if (e.residual) residual = e.residual + (tile.row + i) * e.residual_stride + tile.column;
    for (std::size_t j = 0; j < tile.columns; j += kF32) {
      const std::size_t n = tile.columns - j < kF32 ? tile.columns - j : kF32;
      VecF v = load(sums + i * stride + j);
      if (tile.add_c) v += load_head(c + j, n);
      if (e.column_bias) v += load_head(e.column_bias + tile.column + j, n);
      v += row_bias;
      if (residual && !e.residual_last) v += load_head(residual + j, n);
      if (simple) {
        v = activate_simple(v, e);
        if (residual && e.residual_last) v += load_head(residual + j, n);
      }
      store_head(c + j, v, n);
    }
  }
  if (!simple) activate_stored(tile);
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
