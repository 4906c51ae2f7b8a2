// The register tile that matrix products and convolutions of a tier are made of.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

inline constexpr std::size_t kTileRows = 6;
inline constexpr std::size_t kMaxTileRows = 8;
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr std::size_t kTileVectors = 4;  // 32 registers hold 24 sums
#else
inline constexpr std::size_t kTileVectors = 2;
#endif
inline constexpr std::size_t kTileColumns = kTileVectors * kF32;

// Rows of a tile of so many columns: narrow tiles are taller, to have enough independent sums.
constexpr std::size_t tile_rows(std::size_t columns) {
  return columns > kTileColumns - kF32 ? kTileRows : kMaxTileRows;
}

// Results of so many floats are beyond the second-level cache by the time they are stored.
inline constexpr std::size_t kFarFloats = std::size_t{1} << 18;

// Depth after which a product goes on with a fresh block of B, so that the block stays in cache.
inline constexpr std::size_t kDepthBlock = 1024;

// A stretch of `depth` products: one run of A for every row, against rows of B from b_row on.
struct TileTap {
  std::size_t b_row;
  const float* rows[kMaxTileRows];
};

// C[i][j] = epilogue(sum over taps and depth of taps.rows[i][d] * b[tap.b_row + d][j]).
struct Tile {
  const TileTap* taps;
  std::size_t tap_count;
  std::size_t depth;
  const float* b;   // readable to the end of the last vector of each row
  std::size_t ldb;  // floats
  float* c;
  std::size_t ldc;
  std::size_t rows;          // 1 to tile_rows(columns)
  std::size_t columns;       // 1 to kTileColumns
  std::size_t row, column;   // where the tile lies in C, for the epilogue
  const Epilogue* epilogue;  // null while sums are unfinished
  bool add_c;                // sums go on from those in C
  // So many products at most are summed one after the other before their sum joins the others'; one
  // or two rows sum in a few chains side by side, however long.
  std::size_t chain = static_cast<std::size_t>(-1);
  // Memory to bring into cache meanwhile, because it is read next: `ahead_step` bytes for every
  // step of the depth. Nothing is read there, so it may reach past the end of an array. Null for
  // nothing.
  const char* ahead = nullptr;
  std::size_t ahead_step = 0;
  // Whether to bring into cache, too, where results go and the residual: those of this tile and of
  // the next one, which lies so many rows down and columns right.
  bool fetches_results = false;
  std::size_t next_down = 0;
  std::ptrdiff_t next_right = 0;
};

void run_tile(const Tile& tile);

// The epilogue of Tile on `sums`, rows of kTileColumns, for use without a product.
void finish_tile(const Tile& tile, const float* sums, std::size_t stride);

}  // namespace SDX_ISA
}  // namespace sdx::kernels
