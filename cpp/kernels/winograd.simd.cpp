// Winograd's F(4x4, 3x3) and F(2x2, 3x3).
#include "kernels/winograd.h"

#include "kernels/simd/finish.h"
#include "kernels/simd/tile.h"
#include "kernels/simd/winograd_points.h"

namespace sdx::kernels {
namespace SDX_ISA {

GemmPacked gemm_packed;
GemmPackB gemm_pack_b;

namespace {

// Channels whose weights are turned around at once.
constexpr std::size_t kChannelsAtOnce = 8;

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }
constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
constexpr std::size_t round_up(std::size_t a, std::size_t b) { return divide_up(a, b) * b; }

// Weights are transformed in double: they are made once.
constexpr std::size_t kF64 = kF32 / 2;
typedef double VecD __attribute__((vector_size(kVecBytes)));
typedef float HalfF __attribute__((vector_size(kVecBytes / 2), aligned(4), may_alias));

// Where a tile of outputs lies, counted in tiles.
struct TilePlace {
  std::size_t image, row, column;
};

SDX_INLINE TilePlace place_of(const WinogradArgs& args, std::size_t tile) {
  const std::size_t across = divide_up(args.output_width, args.side);
  const std::size_t down = divide_up(args.output_height, args.side);
  return {tile / across / down, tile / across % down, tile % across};
}

SDX_INLINE void next_place(const WinogradArgs& args, TilePlace& place) {
  if (++place.column * args.side < args.output_width) return;
  place.column = 0;
  if (++place.row * args.side < args.output_height) return;
  place.row = 0;
  ++place.image;
}

// The part of a square of inputs that lies inside the image.
struct Square {
  const float* image;
  std::ptrdiff_t top, left;  // of the square in the image
  int row_begin, row_end, column_begin, column_end;
};

SDX_INLINE int clamp_to(std::ptrdiff_t v, int most) {
  return v < 0 ? 0 : v > most ? most : static_cast<int>(v);
}

SDX_INLINE Square square_of(const WinogradArgs& args, const TilePlace& place) {
  const int side = static_cast<int>(args.side) + 2;
  Square s;
  s.image = args.x + place.image * args.height * args.width * args.x_step;
  s.top = static_cast<std::ptrdiff_t>(place.row * args.side) - args.pad_top;
  s.left = static_cast<std::ptrdiff_t>(place.column * args.side) - args.pad_left;
  s.row_begin = clamp_to(-s.top, side);
  s.row_end = clamp_to(static_cast<std::ptrdiff_t>(args.height) - s.top, side);
  s.column_begin = clamp_to(-s.left, side);
  s.column_end = clamp_to(static_cast<std::ptrdiff_t>(args.width) - s.left, side);
  return s;
}

template <int kOut, bool kWhole, class L>
SDX_INLINE void transform_square(const WinogradArgs& args, const Square& s, std::size_t channel,
                                 float* planes, std::size_t plane_step, L lanes) {
  constexpr int kSide = kOut + 2;
  const std::ptrdiff_t column_step = static_cast<std::ptrdiff_t>(args.x_step);
  const std::ptrdiff_t row_step = static_cast<std::ptrdiff_t>(args.width) * column_step;
  const std::ptrdiff_t origin =
      s.top * row_step + s.left * column_step + static_cast<std::ptrdiff_t>(channel);
  VecF half[kSide][kSide];
#pragma GCC unroll 8
  for (int j = 0; j < kSide; ++j) {
    VecF d[kSide], t[kSide];
#pragma GCC unroll 8
    for (int i = 0; i < kSide; ++i) {
      d[i] = VecF{};
      if (kWhole || (i >= s.row_begin && i < s.row_end && j >= s.column_begin && j < s.column_end))
        d[i] = L::load_from(s.image + (origin + i * row_step + j * column_step), lanes);
    }
    WinogradPoints<kOut>::inputs(d, t);
#pragma GCC unroll 8
    for (int i = 0; i < kSide; ++i) half[i][j] = t[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < kSide; ++i) {
    VecF t[kSide];
    WinogradPoints<kOut>::inputs(half[i], t);
#pragma GCC unroll 8
    for (int j = 0; j < kSide; ++j) store(planes + (i * kSide + j) * plane_step + channel, t[j]);
  }
}

template <int kOut, class L>
SDX_INLINE void transform_back(const WinogradArgs& args, const float* planes,
                               std::size_t plane_step, std::size_t first_pixel, std::size_t top,
                               std::size_t left, std::size_t channel, L lanes) {
  constexpr int kSide = kOut + 2;
  VecF half[kOut][kSide];
#pragma GCC unroll 8
  for (int j = 0; j < kSide; ++j) {
    VecF m[kSide], y[kOut];
#pragma GCC unroll 8
    for (int i = 0; i < kSide; ++i) m[i] = load(planes + (i * kSide + j) * plane_step + channel);
    WinogradPoints<kOut>::outputs(m, y);
#pragma GCC unroll 8
    for (int i = 0; i < kOut; ++i) half[i][j] = y[i];
  }
  const VecF bias = bias_at(args.epilogue, channel, lanes);
#pragma GCC unroll 8
  for (int i = 0; i < kOut; ++i) {
    if (top + i >= args.output_height) break;
    VecF y[kOut];
    WinogradPoints<kOut>::outputs(half[i], y);
#pragma GCC unroll 8
    for (int j = 0; j < kOut; ++j) {
      if (left + j >= args.output_width) break;
      const std::size_t pixel = first_pixel + i * args.output_width + j;
      finish_vector(args.epilogue, pixel, channel, args.y + pixel * args.y_step + channel,
                    y[j] + bias, lanes);
    }
  }
}

// Weights turned[tap][width] of one channel into the planes of a panel.
template <int kOut>
SDX_INLINE void transform_taps(const float* turned, std::size_t width, float* to,
                               std::size_t plane) {
  constexpr int kSide = kOut + 2;
  for (std::size_t j = 0; j < width; j += kF64) {
    VecD half[3][kSide];
#pragma GCC unroll 3
    for (int x = 0; x < 3; ++x) {
      VecD w[3];
#pragma GCC unroll 3
      for (int y = 0; y < 3; ++y)
        w[y] = __builtin_convertvector(
            *reinterpret_cast<const HalfF*>(turned + (y * 3 + x) * width + j), VecD);
      WinogradPoints<kOut>::weights(w[0], w[1], w[2], half[x]);
    }
    for (int i = 0; i < kSide; ++i) {
      VecD g[kSide];
      WinogradPoints<kOut>::weights(half[0][i], half[1][i], half[2][i], g);
#pragma GCC unroll 8
      for (int x = 0; x < kSide; ++x)
        *reinterpret_cast<HalfF*>(to + (i * kSide + x) * plane + j) =
            __builtin_convertvector(g[x], HalfF);
    }
  }
}

template <int kOut>
void pack_panel(const WinogradWeights& args, std::size_t column) {
  const std::size_t columns = smaller(kTileColumns, args.outputs - column);
  const std::size_t width = round_up(columns, kF32);
  const std::size_t plane = round_up(args.outputs, kF32) * args.channels;
  alignas(kVecBytes) float turned[kChannelsAtOnce * 9 * kTileColumns];
  for (std::size_t c = 0; c < args.channels; c += kChannelsAtOnce) {
    const std::size_t channels = smaller(kChannelsAtOnce, args.channels - c);
    gemm_pack_b({.k = channels * 9,
                 .n = columns,
                 .b = args.weights + (column * args.channels + c) * 9,
                 .ldb = args.channels * 9,
                 .transposed = true,
                 .packed = turned},
                0, 1);
    for (std::size_t i = 0; i < channels; ++i)
      transform_taps<kOut>(turned + i * 9 * width, width,
                           args.packed + column * args.channels + (c + i) * width, plane);
  }
}

template <int kOut>
void transform_inputs(const WinogradArgs& args, const WinogradBlockRange& block,
                      std::size_t tile_begin, std::size_t tile_end, float* scratch) {
  constexpr int kSide = kOut + 2;
  const std::size_t row_step = winograd_row_step(args.channels);
  const std::size_t plane_step =
      winograd_plane_step(block.block_end - block.block_begin, args.channels);
  TilePlace place = place_of(args, tile_begin);
  for (std::size_t tile = tile_begin; tile < tile_end; ++tile, next_place(args, place)) {
    const Square s = square_of(args, place);
    float* planes = scratch + (tile - block.block_begin) * row_step;
    const bool whole =
        s.row_begin == 0 && s.row_end == kSide && s.column_begin == 0 && s.column_end == kSide;
    for_each_vector(
        args.channels, [&](std::size_t c, auto lanes) __attribute__((always_inline)) {
          if (whole)
            transform_square<kOut, true>(args, s, c, planes, plane_step, lanes);
          else
            transform_square<kOut, false>(args, s, c, planes, plane_step, lanes);
        });
  }
}

template <int kOut>
void transform_outputs(const WinogradArgs& args, const WinogradBlockRange& block,
                       std::size_t tile_begin, std::size_t tile_end, float* scratch) {
  const std::size_t tiles = block.block_end - block.block_begin;
  const std::size_t row_step = winograd_row_step(args.outputs);
  const std::size_t plane_step = winograd_plane_step(tiles, args.outputs);
  const float* products =
      scratch + winograd_planes(kOut) * winograd_plane_step(tiles, args.channels);
  TilePlace place = place_of(args, tile_begin);
  for (std::size_t tile = tile_begin; tile < tile_end; ++tile, next_place(args, place)) {
    const std::size_t top = place.row * kOut, left = place.column * kOut;
    const std::size_t pixels = (place.image * args.output_height + top) * args.output_width + left;
    const float* planes = products + (tile - block.block_begin) * row_step;
    for_each_vector(
        args.outputs, [&](std::size_t c, auto lanes) __attribute__((always_inline)) {
          transform_back<kOut>(args, planes, plane_step, pixels, top, left, c, lanes);
        });
    const std::size_t across = smaller(kOut, args.output_width - left);
    for (std::size_t i = top; i < smaller(top + kOut, args.output_height); ++i) {
      const std::size_t pixel = pixels + (i - top) * args.output_width;
      finish_rows(args.epilogue, pixel, across, args.y + pixel * args.y_step, args.y_step,
                  args.outputs);
    }
  }
}

}  // namespace

void winograd_pack(const WinogradWeights& args, std::size_t panel_begin, std::size_t panel_end) {
  panel_end = smaller(panel_end, divide_up(args.outputs, kTileColumns));
  for (std::size_t p = panel_begin; p < panel_end; ++p)
    args.side == 2 ? pack_panel<2>(args, p * kTileColumns) : pack_panel<4>(args, p * kTileColumns);
}

void winograd_input(const WinogradArgs& args, const WinogradBlockRange& block,
                    std::size_t tile_begin, std::size_t tile_end, float* scratch) {
  const auto transform = args.side == 2 ? transform_inputs<2> : transform_inputs<4>;
  transform(args, block, tile_begin, tile_end, scratch);
}

void winograd_multiply(const WinogradArgs& args, const WinogradBlockRange& block,
                       std::size_t plane_begin, std::size_t plane_end, std::size_t panel_begin,
                       std::size_t panel_end, float* scratch) {
  const std::size_t tiles = block.block_end - block.block_begin;
  const std::size_t input_step = winograd_plane_step(tiles, args.channels);
  const std::size_t output_step = winograd_plane_step(tiles, args.outputs);
  const std::size_t weight_step = round_up(args.outputs, kF32) * args.channels;
  float* products = scratch + winograd_planes(args.side) * input_step;
  for (std::size_t f = plane_begin; f < plane_end; ++f) {
    const GemmArgs product{.m = tiles,
                           .n = args.outputs,
                           .k = args.channels,
                           .a = scratch + f * input_step,
                           .lda = winograd_row_step(args.channels),
                           .b = args.packed + f * weight_step,
                           .c = products + f * output_step,
                           .ldc = winograd_row_step(args.outputs),
                           .chain = args.chain};
    gemm_packed(product, {0, tiles, panel_begin, panel_end});
  }
}

void winograd_output(const WinogradArgs& args, const WinogradBlockRange& block,
                     std::size_t tile_begin, std::size_t tile_end, float* scratch) {
  const auto transform = args.side == 2 ? transform_outputs<2> : transform_outputs<4>;
  transform(args, block, tile_begin, tile_end, scratch);
}

void winograd_block(const WinogradArgs& args, std::size_t tile_begin, std::size_t tile_end,
                    float* scratch) {
  const WinogradBlockRange block{tile_begin, tile_end};
  const std::size_t panels = divide_up(args.outputs, kTileColumns);
  winograd_input(args, block, tile_begin, tile_end, scratch);
  winograd_multiply(args, block, 0, winograd_planes(args.side), 0, panels, scratch);
  winograd_output(args, block, tile_begin, tile_end, scratch);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(winograd_pack, WinogradPack)
SDX_DEFINE_KERNEL(winograd_block, WinogradBlock)
SDX_DEFINE_KERNEL(winograd_input, WinogradTransform)
SDX_DEFINE_KERNEL(winograd_output, WinogradTransform)
SDX_DEFINE_KERNEL(winograd_multiply, WinogradMultiply)
}  // namespace sdx::kernels
