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
// A tile passes over as many panels as lie in L1 together before the next one does.
constexpr std::size_t kBlockFloats = 16384;
// Taps one by one, to leave out exactly those that lie in the padding, go over this much of the
// depth at a time; it pays in narrow images with no fewer channels than this.
constexpr std::size_t kTapDepth = 128;
constexpr std::size_t kTapWidth = 32;
// Weights of an output that are turned around at once.
constexpr std::size_t kPackedTaps = 64;

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
  // Where pixels lie dense, so many taps along the width read one run of floats.
  std::size_t joined;
  std::size_t count, depth;
  std::ptrdiff_t offset[kMaxTaps];  // floats from the first tap to this one, all inside
  TileTap taps[kMaxTaps];
};

SDX_INLINE void list_offsets(const ConvArgs& args, const DepthBlock& block, TapList& list) {
  const WindowAxis* axis = args.window.axis;
  const bool dense = axis[2].dilation * axis[2].input_step == args.channels;
  const bool whole = block.channel_end - block.channel_begin == args.channels &&
                     block.tap_begin % axis[2].taps == 0 && block.tap_end % axis[2].taps == 0;
  list.joined = dense && whole ? axis[2].taps : 1;
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

// Lists taps that are all inside; row i reads its first one at first(i).
template <class First>
SDX_INLINE void list_inside(const ConvArgs& args, const DepthBlock& block, std::size_t rows,
                            TapList& list, First first) {
  list.count = (block.tap_end - block.tap_begin) / list.joined;
  list.depth = (block.channel_end - block.channel_begin) * list.joined;
  for (std::size_t t = 0; t < list.count; ++t) {
    TileTap& entry = list.taps[t];
    const std::size_t tap = t * list.joined;
    entry.b_row = (block.tap_begin + tap) * args.channels + block.channel_begin;
    for (std::size_t i = 0; i < rows; ++i) entry.rows[i] = first(i) + list.offset[tap];
  }
}

// Taps that meet only padding are left out.
void list_padded(const ConvArgs& args, const DepthBlock& block, const Pixel* pixels,
                 std::size_t rows, TapList& list) {
  const WindowAxis* axis = args.window.axis;
  list.count = 0;
  list.depth = block.channel_end - block.channel_begin;
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

// Lists the taps of `rows` pixels from `pixel` on, if these lie along the width and meet no
// padding, and moves `pixel` behind them.
SDX_INLINE bool list_run(const ConvArgs& args, const DepthBlock& block, Pixel& pixel,
                         std::size_t rows, TapList& list) {
  const WindowAxis* axis = args.window.axis;
  const std::size_t last = pixel.at[2] + rows - 1;
  if (last >= axis[2].output || !meets_no_padding(axis[0], pixel.at[0]) ||
      !meets_no_padding(axis[1], pixel.at[1]) || first_input(axis[2], pixel.at[2]) < 0 ||
      !meets_no_padding(axis[2], last))
    return false;
  const float* first = args.x + block.channel_begin;
  for (std::size_t d = 0; d < 3; ++d)
    first += first_input(axis[d], pixel.at[d]) * static_cast<std::ptrdiff_t>(axis[d].input_step);
  const std::size_t step = axis[2].stride * axis[2].input_step;
  list_inside(
      args, block, rows,
      list, [=](std::size_t i) __attribute__((always_inline)) { return first + i * step; });
  pixel.at[2] = last;
  next_pixel(args.window, pixel);
  return true;
}

// Lists the taps of any `rows` pixels from `pixel` on, which is moved behind them.
SDX_INLINE void list_taps(const ConvArgs& args, const DepthBlock& block, Pixel& pixel,
                          std::size_t rows, TapList& list) {
  if (list_run(args, block, pixel, rows, list)) return;
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
  if (padded) return list_padded(args, block, pixels, rows, list);
  list_inside(
      args, block, rows,
      list, [&](std::size_t i) __attribute__((always_inline)) { return first[i]; });
}

// Panels of the same width, one after the other.
struct Panels {
  std::size_t begin, end;
};

SDX_INLINE void set_panel(const ConvArgs& args, std::size_t panel, Tile& tile) {
  tile.column = panel * kTileColumns;
  tile.columns = smaller(kTileColumns, args.outputs - tile.column);
  tile.b = args.packed + tile.column * tap_count(args.window) * args.channels;
  tile.ldb = divide_up(tile.columns, kF32) * kF32;
}

SDX_INLINE bool far_results(const ConvArgs& args) {
  const WindowAxis* axis = args.window.axis;
  return axis[0].output * axis[1].output * axis[2].output * args.outputs >= kFarFloats;
}

void convolve_panels(const ConvArgs& args, const GemmRange& range, const Panels& panels,
                     const DepthBlock& block, Tile& tile, TapList& list) {
  const std::size_t rows = range.row_end - range.row_begin;
  const std::size_t tiles = divide_up(rows, tile_rows(args.outputs - panels.begin * kTileColumns));
  Pixel pixel = pixel_at(args.window, range.row_begin);
  tile.fetches_results = tile.epilogue && (args.epilogue.residual || far_results(args));
  // Packed weights lie in the order of their use: what follows this block is read next.
  set_panel(args, panels.end - 1, tile);
  const std::size_t depth =
      (block.tap_end - block.tap_begin) * (block.channel_end - block.channel_begin);
  const char* next = reinterpret_cast<const char*>(
      tile.b + ((block.tap_end - 1) * args.channels + block.channel_end) * tile.ldb);
  constexpr auto panel_floats = static_cast<std::ptrdiff_t>(kTileColumns);
  const auto panel_count = static_cast<std::ptrdiff_t>(panels.end - panels.begin);
  const std::size_t runs = tiles * (panels.end - panels.begin);
  const std::size_t next_bytes =
      divide_up((panels.end - panels.begin) * depth * tile.ldb * sizeof(float), runs);
  tile.ahead_step = divide_up(next_bytes, depth ? depth : 1);
  for (std::size_t t = 0; t < tiles; ++t) {
    tile.row = range.row_begin + t * rows / tiles;
    tile.rows = range.row_begin + (t + 1) * rows / tiles - tile.row;
    list_taps(args, block, pixel, tile.rows, list);
    tile.tap_count = list.count;
    tile.depth = list.depth;
    for (std::size_t p = panels.begin; p < panels.end; ++p) {
      set_panel(args, p, tile);
      tile.c = args.y + tile.row * args.y_step + tile.column;
      if (tile.fetches_results) {
        const bool last = p + 1 == panels.end;
        tile.next_down = last ? tile.rows : 0;
        tile.next_right = panel_floats * (last ? 1 - panel_count : 1);
      }
      tile.ahead = next;
      next += next_bytes;
      run_tile(tile);
    }
  }
}

// Runs the tile as it is set up on output pixels [row_begin, row_end), which lie along the width.
template <class List>
SDX_INLINE void run_pixels(const ConvArgs& args, std::size_t row_begin, std::size_t row_end,
                           Tile& tile, List list) {
  const std::size_t rows = row_end - row_begin;
  const std::size_t tiles = divide_up(rows, tile_rows(tile.columns));
  for (std::size_t t = 0; t < tiles; ++t) {
    tile.row = row_begin + t * rows / tiles;
    tile.rows = row_begin + (t + 1) * rows / tiles - tile.row;
    tile.c = args.y + tile.row * args.y_step + tile.column;
    list();
    run_tile(tile);
    tile.ahead += tile.ahead_step * tile.depth;
  }
}

// The outputs along an axis whose tap `tap` lies inside.
SDX_INLINE TapRange inside_outputs(const WindowAxis& axis, std::size_t tap) {
  TapRange range{0, axis.output};
  while (range.begin < range.end && !is_inside(axis, input_of(axis, range.begin, tap)))
    ++range.begin;
  while (range.begin < range.end && !is_inside(axis, input_of(axis, range.end - 1, tap)))
    --range.end;
  return range;
}

// One panel, tap by tap over the pixels whose tap lies inside; sums wait in y.
void convolve_by_taps(const ConvArgs& args, const GemmRange& range, std::size_t panel, Tile& tile,
                      TapList& list) {
  const WindowAxis* axis = args.window.axis;
  const std::size_t width = axis[2].output, taps = tap_count(args.window);
  const std::size_t channel_blocks = divide_up(args.channels, kTapDepth);
  const std::size_t image_rows = divide_up(range.row_end, width);
  const auto nothing = [] {};
  set_panel(args, panel, tile);
  tile.ahead = nullptr;
  tile.ahead_step = tile.tap_count = tile.depth = 0;
  tile.epilogue = nullptr;
  tile.add_c = false;
  if (!args.epilogue.accumulate) run_pixels(args, range.row_begin, range.row_end, tile, nothing);
  tile.add_c = true;
  tile.tap_count = 1;
  TileTap& entry = list.taps[0];
  for (std::size_t t = 0; t < taps; ++t) {
    const std::size_t tap[3] = {t / (axis[1].taps * axis[2].taps), t / axis[2].taps % axis[1].taps,
                                t % axis[2].taps};
    const TapRange inside = inside_outputs(axis[2], tap[2]);
    const std::size_t runs = (image_rows - range.row_begin / width) *
                             divide_up(inside.end - inside.begin, tile_rows(tile.columns));
    for (std::size_t b = 0; b < channel_blocks; ++b) {
      const std::size_t channel = b * args.channels / channel_blocks;
      tile.depth = (b + 1) * args.channels / channel_blocks - channel;
      entry.b_row = t * args.channels + channel;
      tile.ahead = reinterpret_cast<const char*>(tile.b + (entry.b_row + tile.depth) * tile.ldb);
      // As much as is multiplied now.
      tile.ahead_step = divide_up(tile.ldb * sizeof(float), runs + 1);
      for (std::size_t r = range.row_begin / width; r < image_rows; ++r) {
        const std::ptrdiff_t depth = input_of(axis[0], r / axis[1].output, tap[0]);
        const std::ptrdiff_t height = input_of(axis[1], r % axis[1].output, tap[1]);
        if (!is_inside(axis[0], depth) || !is_inside(axis[1], height)) continue;
        const std::size_t first = r * width + inside.begin, last = r * width + inside.end;
        const std::size_t begin = first > range.row_begin ? first : range.row_begin;
        if (begin >= smaller(last, range.row_end)) continue;
        const float* row = args.x + channel +
                           depth * static_cast<std::ptrdiff_t>(axis[0].input_step) +
                           height * static_cast<std::ptrdiff_t>(axis[1].input_step);
        const std::size_t step = axis[2].stride * axis[2].input_step;
        run_pixels(args, begin, smaller(last, range.row_end), tile, [&] {
          const float* x = row + input_of(axis[2], tile.row - r * width, tap[2]) *
                                     static_cast<std::ptrdiff_t>(axis[2].input_step);
          for (std::size_t i = 0; i < tile.rows; ++i) entry.rows[i] = x + i * step;
        });
      }
    }
  }
  tile.ahead = nullptr;
  tile.ahead_step = tile.tap_count = tile.depth = 0;
  tile.epilogue = &args.epilogue;
  run_pixels(args, range.row_begin, range.row_end, tile, nothing);
}

// Whether a good part of the taps lies in the padding and a tap alone is worth a pass over y.
bool pays_by_taps(const ConvArgs& args) {
  const WindowAxis* axis = args.window.axis;
  if (args.channels < kTapDepth / 2 || axis[2].output > kTapWidth) return false;
  std::size_t inside = 1, all = 1;
  for (std::size_t d = 0; d < 3; ++d) {
    std::size_t along = 0;
    for (std::size_t t = 0; t < axis[d].taps; ++t) {
      const TapRange outputs = inside_outputs(axis[d], t);
      along += outputs.end - outputs.begin;
    }
    inside *= along;
    all *= axis[d].taps * axis[d].output;
  }
  return 20 * inside < 19 * all;
}

}  // namespace

void conv_pack(const PackConv& args, std::size_t panel_begin, std::size_t panel_end) {
  const std::size_t depth = args.channels * args.taps;
  const std::size_t depth_end = smaller(args.depth_end, depth);
  if (args.taps == 1 && depth_end - args.depth_begin == depth)
    return gemm_pack_b({depth, args.outputs, args.weights, depth, true, args.packed}, panel_begin,
                       panel_end);
  panel_end = smaller(panel_end, divide_up(args.outputs, kTileColumns));
  alignas(kVecBytes) float turned[kPackedTaps * kTileColumns];
  for (std::size_t p = panel_begin; p < panel_end; ++p) {
    const std::size_t column = p * kTileColumns;
    const std::size_t columns = smaller(kTileColumns, args.outputs - column);
    const std::size_t width = divide_up(columns, kF32) * kF32;
    float* panel = args.packed + column * depth;
    for (std::size_t first = args.depth_begin; first < depth_end; first += kPackedTaps) {
      const std::size_t count = smaller(kPackedTaps, depth_end - first);
      gemm_pack_b({.k = count,
                   .n = columns,
                   .b = args.weights + column * depth + first,
                   .ldb = depth,
                   .transposed = true,
                   .packed = turned},
                  0, 1);
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t channel = (first + i) / args.taps, tap = (first + i) % args.taps;
        float* to = panel + (tap * args.channels + channel) * width;
        for (std::size_t j = 0; j < width; j += kF32) store(to + j, load(turned + i * width + j));
      }
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
  const std::size_t first_block = blocks * args.part / args.parts;
  const std::size_t block_end = blocks * (args.part + 1) / args.parts;
  TapList list;
  Tile tile;
  tile.taps = list.taps;
  tile.ldc = args.y_step;
  tile.chain = args.chain;
  const bool by_taps = args.parts == 1 && pays_by_taps(args);
  const std::size_t block_panels =
      by_taps ? 1 : 1 + kBlockFloats / ((taps * args.channels / blocks + 1) * kTileColumns);
  for (std::size_t p = range.panel_begin; p < panel_end;) {
    const std::size_t next = p < full_panels ? smaller(p + block_panels, full_panels) : p + 1;
    const Panels panels{p, smaller(next, panel_end)};
    p = panels.end;
    if (by_taps) {
      convolve_by_taps(args, range, panels.begin, tile, list);
      continue;
    }
    for (std::size_t b = first_block; b < block_end; ++b) {
      const std::size_t t = b / channel_blocks, c = b % channel_blocks;
      const DepthBlock block{t * taps / tap_blocks, (t + 1) * taps / tap_blocks,
                             c * args.channels / channel_blocks,
                             (c + 1) * args.channels / channel_blocks};
      list_offsets(args, block, list);
      tile.epilogue = b + 1 == blocks ? &args.epilogue : nullptr;
      tile.add_c = b > 0 || args.epilogue.accumulate;
      convolve_panels(args, range, panels, block, tile, list);
    }
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(conv_pack, ConvPack)
SDX_DEFINE_KERNEL(conv, Conv)
}  // namespace sdx::kernels
