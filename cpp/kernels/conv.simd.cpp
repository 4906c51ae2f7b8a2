// Convolution as an indirect matrix product: every tile is given, for each tap, where the pixels
// its rows meet lie.
#include "kernels/conv.h"

#include "kernels/simd/tile.h"
#include "kernels/simd/window_taps.h"

namespace sdx::kernels {
namespace SDX_ISA {

GemmPackB gemm_pack_b;

namespace {

constexpr std::size_t kMaxTaps = 64;  // of one run of the register tile
constexpr std::size_t kPanelBlock = 128 / kTileColumns;

// What a row reads where its tap lies in the padding.
alignas(kVecBytes) constexpr float kPadding[kDepthBlock] = {};

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }
constexpr std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// Part of the depth: some taps with all their channels or one tap with some of its channels.
struct DepthBlock {
  std::size_t tap_begin, tap_end;
  std::size_t channel_begin, channel_end;
};

struct TapList {
  std::size_t count;
  std::ptrdiff_t offset[kMaxTaps];  // floats from the first tap to this one, all inside
  TileTap taps[kMaxTaps];
};

SDX_INLINE void list_offsets(const ConvArgs& args, const DepthBlock& block, TapList& list) {
  const WindowAxis* axis = args.window.axis;
  for (std::size_t t = block.tap_begin; t < block.tap_end; ++t) {
    const std::size_t depth = t / (axis[1].taps * axis[2].taps);
    const std::size_t height = t / axis[2].taps % axis[1].taps;
    const std::size_t width = t % axis[2].taps;
    list.offset[t - block.tap_begin] =
        static_cast<std::ptrdiff_t>(depth * axis[0].dilation * axis[0].input_step +
                                    height * axis[1].dilation * axis[1].input_step +
                                    width * axis[2].dilation * axis[2].input_step);
  }
}

// Taps that meet only padding are left out.
void list_padded(const ConvArgs& args, const DepthBlock& block, const Pixel* pixels,
                 std::size_t rows, TapList& list) {
  const WindowAxis* axis = args.window.axis;
  for (std::size_t t = block.tap_begin; t < block.tap_end; ++t) {
    const std::size_t tap[3] = {t / (axis[1].taps * axis[2].taps), t / axis[2].taps % axis[1].taps,
                                t % axis[2].taps};
    TileTap& entry = list.taps[list.count];
    entry.b_row = t * args.channels + block.channel_begin;
    bool any = false;
    for (std::size_t i = 0; i < rows; ++i) {
      bool inside = true;
      std::ptrdiff_t offset = 0;
      for (std::size_t d = 0; d < 3; ++d) {
        const std::ptrdiff_t at = input_of(axis[d], pixels[i].at[d], tap[d]);
        inside &= is_inside(axis[d], at);
        offset += at * static_cast<std::ptrdiff_t>(axis[d].input_step);
      }
      entry.rows[i] = inside ? args.x + offset + block.channel_begin : kPadding;
      any |= inside;
    }
    list.count += any;
  }
}

// Lists the taps of `rows` pixels from `pixel` on, which is moved behind them.
SDX_INLINE void list_taps(const ConvArgs& args, const DepthBlock& block, Pixel& pixel,
                          std::size_t rows, TapList& list) {
  const WindowAxis* axis = args.window.axis;
  Pixel pixels[kMaxTileRows];
  const float* first[kMaxTileRows];
  bool padded = false;
  for (std::size_t i = 0; i < rows; ++i, next_pixel(args.window, pixel)) {
    pixels[i] = pixel;
    std::ptrdiff_t offset = 0;
    for (std::size_t d = 0; d < 3; ++d) {
      padded |= !meets_no_padding(axis[d], pixel.at[d]);
      offset += first_input(axis[d], pixel.at[d]) * static_cast<std::ptrdiff_t>(axis[d].input_step);
    }
    if (!padded) first[i] = args.x + offset + block.channel_begin;
  }
  list.count = 0;
  if (padded) return list_padded(args, block, pixels, rows, list);
  list.count = block.tap_end - block.tap_begin;
  for (std::size_t t = 0; t < list.count; ++t) {
    TileTap& entry = list.taps[t];
    entry.b_row = (block.tap_begin + t) * args.channels + block.channel_begin;
    for (std::size_t i = 0; i < rows; ++i) entry.rows[i] = first[i] + list.offset[t];
  }
}

void convolve_panels(const ConvArgs& args, const GemmRange& range, const DepthBlock& block,
                     Tile& tile, TapList& list) {
  const std::size_t rows = range.row_end - range.row_begin;
  const std::size_t tiles =
      divide_up(rows, tile_rows(args.outputs - range.panel_begin * kTileColumns));
  const std::size_t depth = tap_count(args.window) * args.channels;
  Pixel pixel = pixel_at(args.window, range.row_begin);
  tile.depth = block.channel_end - block.channel_begin;
  for (std::size_t t = 0; t < tiles; ++t) {
    tile.row = range.row_begin + t * rows / tiles;
    tile.rows = range.row_begin + (t + 1) * rows / tiles - tile.row;
    list_taps(args, block, pixel, tile.rows, list);
    tile.tap_count = list.count;
    for (std::size_t p = range.panel_begin; p < range.panel_end; ++p) {
      tile.column = p * kTileColumns;
      tile.columns = smaller(kTileColumns, args.outputs - tile.column);
      tile.b = args.packed + tile.column * depth;
      tile.ldb = divide_up(tile.columns, kF32) * kF32;
      tile.c = args.y + tile.row * args.y_step + tile.column;
      run_tile(tile);
    }
  }
}

}  // namespace

void conv_pack(const PackConv& args, std::size_t panel_begin, std::size_t panel_end) {
  const std::size_t depth = args.channels * args.taps;
  if (args.taps == 1)
    return gemm_pack_b({depth, args.outputs, args.weights, depth, true, args.packed}, panel_begin,
                       panel_end);
  panel_end = smaller(panel_end, divide_up(args.outputs, kTileColumns));
  for (std::size_t p = panel_begin; p < panel_end; ++p) {
    const std::size_t column = p * kTileColumns;
    const std::size_t columns = smaller(kTileColumns, args.outputs - column);
    const std::size_t width = divide_up(columns, kF32) * kF32;
    const float* from = args.weights + column * depth;
    float* panel = args.packed + column * depth;
    for (std::size_t c = 0; c < args.channels; ++c)
      for (std::size_t t = 0; t < args.taps; ++t) {
        float* to = panel + (t * args.channels + c) * width;
        const float* weight = from + c * args.taps + t;
        for (std::size_t j = 0; j < columns; ++j) to[j] = weight[j * depth];
        for (std::size_t j = columns; j < width; ++j) to[j] = 0;
      }
  }
}

void conv(const ConvArgs& args, const GemmRange& range) {
  const std::size_t panel_end = smaller(range.panel_end, divide_up(args.outputs, kTileColumns));
  if (range.row_begin >= range.row_end) return;
  const std::size_t full_panels = args.outputs / kTileColumns;
  const std::size_t taps = tap_count(args.window);
  const std::size_t channel_blocks = args.channels ? divide_up(args.channels, kDepthBlock) : 1;
  std::size_t taps_at_once = 1;
  if (channel_blocks == 1)
    taps_at_once = smaller(kMaxTaps, args.channels ? kDepthBlock / args.channels : kMaxTaps);
  const std::size_t tap_blocks = divide_up(taps, taps_at_once);
  const std::size_t blocks = tap_blocks * channel_blocks;
  TapList list;
  Tile tile;
  tile.taps = list.taps;
  tile.ldc = args.y_step;
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t t = b / channel_blocks, c = b % channel_blocks;
    const DepthBlock block{t * taps / tap_blocks, (t + 1) * taps / tap_blocks,
                           c * args.channels / channel_blocks,
                           (c + 1) * args.channels / channel_blocks};
    list_offsets(args, block, list);
    tile.epilogue = b + 1 == blocks ? &args.epilogue : nullptr;
    tile.add_c = b > 0 || args.epilogue.accumulate;
    for (std::size_t p = range.panel_begin; p < panel_end;) {
      const std::size_t next = p < full_panels ? smaller(p + kPanelBlock, full_panels) : p + 1;
      const GemmRange part{range.row_begin, range.row_end, p, smaller(next, panel_end)};
      convolve_panels(args, part, block, tile, list);
      p = part.panel_end;
    }
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(conv_pack, ConvPack)
SDX_DEFINE_KERNEL(conv, Conv)
}  // namespace sdx::kernels
