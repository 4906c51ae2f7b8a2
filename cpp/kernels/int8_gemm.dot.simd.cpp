// The 8-bit matrix product: a register tile over the whole depth, its sums finished row by row.
#include "kernels/int8.h"
#include "kernels/simd/dot.h"
#include "kernels/simd/int8_epilogue.h"

namespace sdx::kernels {
namespace SDX_ISA {

// A tile is kMaxRows rows and kMaxVecs vectors: what the registers of the tier hold.
#if defined(__AVX512VNNI__) || defined(__ARM_FEATURE_DOTPROD)
constexpr std::size_t kMaxRows = 6, kMaxVecs = 4;
#elif defined(__AVX512F__)
constexpr std::size_t kMaxRows = 4, kMaxVecs = 4;
#else
constexpr std::size_t kMaxRows = 4, kMaxVecs = 2;
#endif

struct Tile {
  alignas(64) int32_t sums[kMaxRows][kInt8PanelCols];
};

// Sums of kRows rows from `row` on and kVecs vectors of columns from `column` of the panel on, set
// or added to those of the tile.
template <std::size_t kRows, std::size_t kVecs>
void multiply_tile(const Int8Rows& a, std::size_t row, const int8_t* panel, std::size_t column,
                   bool add, Tile* tile) {
  VecI sums[kRows][kVecs] = {};
  if (add)
    for (std::size_t i = 0; i < kRows; ++i)
      for (std::size_t j = 0; j < kVecs; ++j) sums[i][j] = load(tile->sums[i] + column + j * kF32);
  const int8_t* b = panel + column * 4;
  const std::size_t whole = a.channels / 4, rest = a.channels % 4;
  const auto step = [&](auto left_of) __attribute__((always_inline)) {
    DotRight right[kVecs];
#pragma GCC unroll 4
    for (std::size_t j = 0; j < kVecs; ++j)
      right[j] = dot_right(load(reinterpret_cast<const int32_t*>(b + j * kVecBytes)));
#pragma GCC unroll 6
    for (std::size_t i = 0; i < kRows; ++i) {
      const DotLeft left = dot_left(left_of(i));
#pragma GCC unroll 4
      for (std::size_t j = 0; j < kVecs; ++j) sums[i][j] = dot(sums[i][j], left, right[j]);
    }
    b += kInt8PanelCols * 4;
  };
  for (std::size_t t = 0; t < a.taps; ++t) {
    const uint8_t* p[kRows];
#pragma GCC unroll 6
    for (std::size_t i = 0; i < kRows; ++i) p[i] = row_of(a, row + i, t);
    for (std::size_t k = 0; k < whole; ++k)
      step([&](std::size_t i) __attribute__((always_inline)) { return spread4(p[i] + k * 4); });
    if (rest)
      step([&](std::size_t i)
               __attribute__((always_inline)) { return spread4(p[i] + whole * 4, rest); });
  }
#pragma GCC unroll 6
  for (std::size_t i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (std::size_t j = 0; j < kVecs; ++j) store(tile->sums[i] + column + j * kF32, sums[i][j]);
}

using MultiplyTile = void(const Int8Rows& a, std::size_t row, const int8_t* panel,
                          std::size_t column, bool add, Tile* tile);

// The instance for a number of rows and vectors, both at least 1.
template <std::size_t kRows = kMaxRows, std::size_t kVecs = kMaxVecs>
MultiplyTile* find_tile(std::size_t rows, std::size_t vecs) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return find_tile<kRows - 1, kVecs>(rows, vecs);
  }
  if constexpr (kVecs > 1) {
    if (vecs < kVecs) return find_tile<kRows, kVecs - 1>(rows, vecs);
  }
  return multiply_tile<kRows, kVecs>;
}

// The tile's rows [begin, end) of a, all columns of the panel.
void multiply_rows(const Int8Rows& a, std::size_t begin, std::size_t end, const int8_t* panel,
                   std::size_t columns, bool add, Tile* tile) {
  for (std::size_t c = 0; c < columns; c += kMaxVecs * kF32) {
    const std::size_t left = (columns - c + kF32 - 1) / kF32;
    find_tile(end - begin, left < kMaxVecs ? left : kMaxVecs)(a, begin, panel, c, add, tile);
  }
}

// The same where the tier multiplies bytes of the other signedness: the rows are gathered with the
// top bit of every byte turned, so many depths at a time.
void multiply_flipped_rows(const Int8Rows& a, std::size_t begin, std::size_t end,
                           const int8_t* panel, std::size_t columns, Tile* tile) {
  constexpr std::size_t kDepths = 4096;
  constexpr int32_t kTopBits = static_cast<int32_t>(0x80808080u);
  alignas(64) uint8_t rows[kMaxRows][kDepths];
  Int8Rows gathered{.a = rows, .a_stride = kDepths};
  std::size_t tap = 0, channel = 0;
  for (bool add = false; tap < a.taps; add = true) {
    std::size_t filled = 0;
    while (tap < a.taps && filled < kDepths) {
      const std::size_t left = a.channels - channel, room = kDepths - filled;
      const std::size_t n = left < room ? left : room;
      const std::size_t padded = (n + 3) / 4 * 4;  // what the packed weights have zeros for
      for (std::size_t i = 0; i < end - begin; ++i) {
        const uint8_t* from = row_of(a, begin + i, tap) + channel;
        uint8_t* to = rows[i] + filled;
        std::size_t k = 0;
        for (; k + kVecBytes <= n; k += kVecBytes)
          store(reinterpret_cast<int32_t*>(to + k),
                load(reinterpret_cast<const int32_t*>(from + k)) ^ kTopBits);
        for (; k < padded; k += 4) {
          const int32_t word =
              (n - k >= 4 ? word_at(from + k) : word_at(from + k, n - k)) ^ kTopBits;
          __builtin_memcpy(to + k, &word, 4);
        }
      }
      filled += padded;
      channel += n;
      if (channel == a.channels) ++tap, channel = 0;
    }
    gathered.channels = filled;
    multiply_rows(gathered, 0, end - begin, panel, columns, add, tile);
    panel += filled * kInt8PanelCols;
  }
}

void int8_gemm(const Int8GemmArgs& args) {
  // Rows are taken in blocks that stay in the second-level cache while the panels go by.
  constexpr std::size_t kBlockBytes = 256 * 1024;
  const Int8Rows& a = args.a;
  const bool flip = a.is_signed != kDotLeftSigned;
  const int32_t a_shift = !flip ? 0 : kDotLeftSigned ? -128 : 128;
  const std::size_t depth = a.taps * a.channels;
  const std::size_t packed_depth = a.taps * ((a.channels + 3) / 4 * 4);
  const std::size_t fit = kBlockBytes / (depth + 1) / kMaxRows * kMaxRows;
  const std::size_t block = fit > kMaxRows ? fit : kMaxRows;
  Tile tile;
  Int8Panel panel;
  for (std::size_t row = 0; row < args.rows; row += block) {
    const std::size_t rows = args.rows - row < block ? args.rows - row : block;
    const std::size_t tiles = (rows + kMaxRows - 1) / kMaxRows;
    for (std::size_t p = args.panel_begin; p < args.panel_end; ++p) {
      const std::size_t first = p * kInt8PanelCols;
      const std::size_t columns = args.n - first < kInt8PanelCols ? args.n - first : kInt8PanelCols;
      const int8_t* b = args.packed + first * packed_depth;
      begin_panel(args.epilogue, first, columns, a_shift, &panel);
      std::size_t begin = row;
      for (std::size_t t = 0; t < tiles; ++t) {
        const std::size_t end = begin + rows / tiles + (t < rows % tiles);
        if (flip && depth)
          multiply_flipped_rows(a, begin, end, b, columns, &tile);
        else
          multiply_rows(a, begin, end, b, columns, false, &tile);
        finish_rows(tile.sums, args.epilogue, panel, begin, end - begin, depth);
        begin = end;
      }
    }
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_DOT_KERNEL(int8_gemm, Int8Gemm)

}  // namespace sdx::kernels
