// Depthwise convolution in a frame: of some channels, a line of the cache at a time, the rows of
// the image that a row of outputs meets are copied between zeros, where they stay in the
// first-level cache. Every tap then reads neighbouring vectors, and no padding and no step has to
// be asked for.
#pragma once

#include "kernels/depthwise.h"
#include "kernels/simd/finish.h"
#include "kernels/simd/window_taps.h"

namespace sdx::kernels {
namespace SDX_ISA {

// Vectors of channels that are copied together, so that lines are read and written as a whole.
inline constexpr std::size_t kFrameVectors = kVecBytes < 64 ? 64 / kVecBytes : 1;
// Floats of the frame. The smallest leaves room in the first-level cache for the lines of the image
// that pass by; wide windows are worth more.
inline constexpr std::size_t kFrameFloats[] = {3072, 6144, 16384};
inline constexpr std::size_t kMostFrameFloats = kFrameFloats[2];
inline constexpr std::size_t kFrameWeights = 8192;  // floats
inline constexpr std::size_t kMostFrameRows = 64;
// Of a tile at least, where there are so many: neighbouring tiles copy the same columns.
inline constexpr std::size_t kFrameOutputs = 16;
// Neighbouring taps whose weights are held in registers, of any number of them.
inline constexpr std::size_t kJoinedTaps = 4;
// Pixels so many floats apart share few sets of the first-level cache.
inline constexpr std::size_t kSetFloats = 256;
// Wide vectors have the windows that are met most often in by_rows, and registers for more sums.
inline constexpr bool kWideFrame = kF32 >= 16;

struct FrameTile {
  std::size_t output = 0;   // the first of the width
  std::size_t outputs = 0;  // of a row, no fewer than are summed at once
  std::size_t columns = 0;  // of the frame
  std::size_t vectors = 0;  // of channels
};

SDX_INLINE std::size_t frame_rows(const WindowAxis& height) {
  return (height.taps - 1) * height.dilation + 1;
}
SDX_INLINE std::size_t frame_columns(const WindowAxis& width, std::size_t outputs) {
  return (outputs - 1) * width.stride + (width.taps - 1) * width.dilation + 1;
}

// The size of tiles, one for all of a row; no outputs where the window does not fit.
SDX_INLINE FrameTile choose_tile(const DepthwiseArgs& args) {
  const Window& window = args.window;
  const WindowAxis& width = window.axis[2];
  const std::size_t taps = window.axis[1].taps * width.taps * args.group;
  const std::size_t rows = frame_rows(window.axis[1]), least = frame_columns(width, 1);
  const std::size_t wanted = width.output < kFrameOutputs ? width.output : kFrameOutputs;
  FrameTile tile;
  for (const std::size_t floats : kFrameFloats)
    for (std::size_t vectors = kFrameVectors; vectors > 0; vectors /= 2) {
      // A larger frame is better than parts of lines.
      if (floats == kFrameFloats[0] && (kWideFrame || vectors < kFrameVectors)) break;
      const std::size_t columns = floats / (rows * vectors * kF32);
      if (columns < least || taps * vectors * kF32 > kFrameWeights) continue;
      const std::size_t outputs = (columns - least) / width.stride + 1;
      if (outputs < wanted) continue;
      const std::size_t tiles = (width.output + outputs - 1) / outputs;
      tile.outputs = (width.output + tiles - 1) / tiles;
      tile.columns = frame_columns(width, tile.outputs);
      tile.vectors = vectors;
      return tile;
    }
  return tile;
}

// What a row of outputs of a tile needs.
struct FrameRow {
  const float* rows[kMostFrameRows];  // of the window, in the frame
  std::size_t count;
  const float* weights;                  // of the first of them
  std::size_t vector_step, weight_step;  // floats from one vector of channels to the next
  std::size_t channel[kFrameVectors];
  std::size_t pixel;
};

// kJoined neighbouring taps of a row, for all outputs. kGroup: 1, or the lanes of a vector, each of
// which then is multiplied in turn.
template <std::size_t kStride, std::size_t kGroup, std::size_t kJoined, std::size_t kOutputs>
SDX_INLINE void add_joined(const float* x, const float* weights, VecF (&sums)[kOutputs]) {
  VecF tap[kJoined];
#pragma GCC unroll 8
  for (std::size_t k = 0; k < kJoined; ++k) tap[k] = load(weights + k * kGroup * kF32);
  if constexpr (!kWideFrame && kGroup == 1 && kJoined > 3) {
    // By taps, so that neighbouring additions do not wait for each other.
#pragma GCC unroll 8
    for (std::size_t k = 0; k < kJoined; ++k)
#pragma GCC unroll 12
      for (std::size_t i = 0; i < kOutputs; ++i)
        sums[i] += tap[k] * load(x + (i * kStride + k) * kF32);
    return;
  }
#pragma GCC unroll 32
  for (std::size_t j = 0; j < (kOutputs - 1) * kStride + kJoined; ++j) {
    const VecF input = kGroup == 1 ? load(x + j * kF32) : splat(x[j * kF32]);
#pragma GCC unroll 8
    for (std::size_t k = 0; k < kJoined; ++k)
      if (j >= k && (j - k) % kStride == 0 && (j - k) / kStride < kOutputs)
        sums[(j - k) / kStride] += tap[k] * input;
  }
}

// The taps of a row of the window: kTaps at dilation 1, or any where that is 0.
template <std::size_t kStride, std::size_t kGroup, std::size_t kTaps, std::size_t kOutputs>
SDX_INLINE void add_frame_row(const WindowAxis& width, const float* x, const float* weights,
                              VecF (&sums)[kOutputs]) {
  if constexpr (kGroup > 1) {
    for (std::size_t j = 0; j < kGroup; ++j)
      add_joined<kStride, kGroup, kTaps>(x + j, weights + j * kF32, sums);
    return;
  }
  if constexpr (kTaps > 0) {
    constexpr std::size_t kFirst = kTaps > 5 ? kTaps / 2 + 1 : kTaps;
    add_joined<kStride, 1, kFirst>(x, weights, sums);
    if constexpr (kFirst < kTaps)
      add_joined<kStride, 1, kTaps - kFirst>(x + kFirst * kF32, weights + kFirst * kF32, sums);
    return;
  }
  std::size_t t = 0;
  if (width.dilation == 1)
    for (; t + kJoinedTaps <= width.taps; t += kJoinedTaps) {
      add_joined<kStride, 1, kJoinedTaps>(x, weights, sums);
      x += kJoinedTaps * kF32;
      weights += kJoinedTaps * kF32;
    }
  for (; t < width.taps; ++t, x += width.dilation * kF32, weights += kF32)
    add_joined<kStride, 1, 1>(x, weights, sums);
}

// A row of outputs of a tile, the last ones once more where they do not fill a group.
template <std::size_t kStride, std::size_t kOutputs, std::size_t kGroup, std::size_t kTaps, class L>
void sum_frame_row(const DepthwiseArgs& args, const FrameTile& tile, const FrameRow& row, L lanes) {
  const WindowAxis& width = args.window.axis[2];
  const std::size_t row_weights = (kTaps > 0 ? kTaps : width.taps) * kGroup * kF32;
  // Where a window of 3x3 lies inside, its rows need no loop.
  const bool whole = kGroup == 1 && kTaps == 3 && row.count == 3;
  for (std::size_t v = 0; v < tile.vectors; ++v) {
    const std::size_t channel = row.channel[v];
    const float* weights = row.weights + v * row.weight_step;
    float* y = args.y + row.pixel * args.y_step + channel;
    const VecF bias = bias_at(args.epilogue, channel, lanes);
    const float* rows[3] = {};
    for (std::size_t h = 0; whole && h < 3; ++h) rows[h] = row.rows[h] + v * row.vector_step;
    for (std::size_t o = 0; o < tile.outputs; o += kOutputs) {
      const std::size_t at = o + kOutputs <= tile.outputs ? o : tile.outputs - kOutputs;
      const std::size_t from = at * kStride * kF32;
      VecF sums[kOutputs];
#pragma GCC unroll 12
      for (VecF& sum : sums) sum = bias;
      if (whole) {
#pragma GCC unroll 3
        for (std::size_t h = 0; h < 3; ++h)
          add_frame_row<kStride, kGroup, kTaps>(width, rows[h] + from, weights + h * row_weights,
                                                sums);
      } else {
        for (std::size_t h = 0; h < row.count; ++h)
          add_frame_row<kStride, kGroup, kTaps>(width, row.rows[h] + v * row.vector_step + from,
                                                weights + h * row_weights, sums);
      }
      finish_vectors(args.epilogue, row.pixel + at, channel, y + at * args.y_step, args.y_step,
                     sums, lanes);
    }
  }
}

template <class L>
using SumFrameRow = void(const DepthwiseArgs&, const FrameTile&, const FrameRow&, L);

template <std::size_t kStride, std::size_t kGroup, std::size_t kTaps>
SumFrameRow<Lanes<false>>* choose_frame_outputs(std::size_t outputs) {
  constexpr std::size_t kChoices[] = {12, 8, 7, 4};
  constexpr std::size_t kMost = kWideFrame ? 12 : 8;
  std::size_t best = 4, least = ~std::size_t{0};
  for (const std::size_t choice : kChoices) {
    if (choice > kMost || choice > outputs) continue;
    // Fewer than 8 sums wait for each other.
    const std::size_t cost = (outputs + choice - 1) / choice * ((choice > 7 ? choice : 7) + 1);
    if (cost >= least) continue;
    least = cost;
    best = choice;
  }
  if constexpr (kMost == 12)
    if (best == 12) return sum_frame_row<kStride, 12, kGroup, kTaps, Lanes<false>>;
  if (best == 8) return sum_frame_row<kStride, 8, kGroup, kTaps, Lanes<false>>;
  if (best == 7) return sum_frame_row<kStride, 7, kGroup, kTaps, Lanes<false>>;
  return sum_frame_row<kStride, 4, kGroup, kTaps, Lanes<false>>;
}

template <std::size_t kStride>
SumFrameRow<Lanes<false>>* choose_frame_taps(const DepthwiseArgs& args, std::size_t outputs) {
  const WindowAxis& width = args.window.axis[2];
  if constexpr (!kWideFrame) {
    if (args.group > 1) return choose_frame_outputs<kStride, kF32, 3>(outputs);
    if (width.dilation == 1) {
      if (width.taps == 3) return choose_frame_outputs<kStride, 1, 3>(outputs);
      if (width.taps == 5) return choose_frame_outputs<kStride, 1, 5>(outputs);
      if (width.taps == 7) return choose_frame_outputs<kStride, 1, 7>(outputs);
    }
  }
  return choose_frame_outputs<kStride, 1, 0>(outputs);
}

SDX_INLINE auto choose_frame_sums(const DepthwiseArgs& args, std::size_t outputs, Lanes<false>) {
  return args.window.axis[2].stride == 2 ? choose_frame_taps<2>(args, outputs)
                                         : choose_frame_taps<1>(args, outputs);
}
SDX_INLINE auto choose_frame_sums(const DepthwiseArgs& args, std::size_t, Lanes<true>) {
  return args.window.axis[2].stride == 2 ? sum_frame_row<2, 4, 1, 0, Lanes<true>>
                                         : sum_frame_row<1, 4, 1, 0, Lanes<true>>;
}

// Whether sums in a frame pay. With wide vectors, the copy for few taps costs as much, unless they
// lie apart or the image is not in a cache; so it does for a few outputs in a row, unless pixels
// fall into the same sets of the cache.
SDX_INLINE bool pays_in_frame(const DepthwiseArgs& args, bool cached) {
  const WindowAxis* axis = args.window.axis;
  if (axis[0].taps != 1 || axis[0].output != 1 || axis[0].pad != 0 || axis[2].stride > 2 ||
      axis[2].taps < 3 || axis[1].taps > kMostFrameRows || axis[2].output < 4)
    return false;
  // Groups that are vectors.
  if (args.group > 1)
    return !kWideFrame && args.group == kF32 && axis[2].taps == 3 && axis[2].dilation == 1 &&
           choose_tile(args).outputs >= 4;
  const bool apart = axis[2].dilation > 1 || axis[1].dilation > 1;
  const bool few_taps = axis[2].taps < (cached ? 8 : 7);
  const bool few_outputs =
      axis[2].taps < 7 && axis[2].output < 8 && axis[2].input_step % kSetFloats != 0;
  return (apart || !(kWideFrame ? few_taps : few_outputs)) && choose_tile(args).outputs >= 4;
}

// The columns of a tile that lie inside the image; those around them are zero.
struct FrameColumns {
  std::ptrdiff_t begin, end;
};

SDX_INLINE FrameColumns inside_columns(const WindowAxis& width, const FrameTile& tile) {
  const std::ptrdiff_t first = first_input(width, tile.output);
  const auto columns = static_cast<std::ptrdiff_t>(tile.columns);
  FrameColumns inside{first < 0 ? -first : 0, static_cast<std::ptrdiff_t>(width.input) - first};
  if (inside.end > columns) inside.end = columns;
  if (inside.begin > columns) inside.begin = columns;
  if (inside.end < inside.begin) inside.end = inside.begin;
  return inside;
}

// Copies row `row` of the image, which lies inside, into the frame, and asks for the next one.
template <class L>
SDX_INLINE void copy_frame_row(const DepthwiseArgs& args, const FrameTile& tile,
                               const FrameColumns& inside, std::ptrdiff_t row,
                               const std::size_t* channel, float* to, L lanes) {
  const WindowAxis* axis = args.window.axis;
  const auto step = static_cast<std::ptrdiff_t>(axis[2].input_step);
  const auto row_step = static_cast<std::ptrdiff_t>(axis[1].input_step);
  const auto vector_step = static_cast<std::ptrdiff_t>(tile.columns * kF32);
  const std::ptrdiff_t count = inside.end - inside.begin;
  const std::ptrdiff_t ahead = is_inside(axis[1], row + 1) ? row_step : 0;
  constexpr auto kStep = static_cast<std::ptrdiff_t>(kF32);
  const float* x =
      args.x + (row * row_step + (first_input(axis[2], tile.output) + inside.begin) * step);
  to += inside.begin * kStep;
  const auto copy = [&](std::size_t v) __attribute__((always_inline)) {
    const float* from = x + channel[v];
    for (std::ptrdiff_t i = 0; i < count; ++i, from += step) {
      if (v == 0) __builtin_prefetch(from + ahead);
      store(to + i * kStep, L::load_from(from, lanes));
    }
  };
  std::size_t v = 0;
  if (tile.vectors >= 2) {
    const float* from = x + channel[0];
    const auto second = static_cast<std::ptrdiff_t>(channel[1] - channel[0]);
    for (std::ptrdiff_t i = 0; i < count; ++i, from += step) {
      __builtin_prefetch(from + ahead);
      store(to + i * kStep, L::load_from(from, lanes));
      store(to + vector_step + i * kStep, L::load_from(from + second, lanes));
    }
    to += 2 * vector_step;
    v = 2;
  }
  for (; v < tile.vectors; ++v, to += vector_step) copy(v);
}

// Output rows [row_begin, row_end) of a tile.
template <class L>
SDX_INLINE void tile_in_frame(const DepthwiseArgs& args, const FrameTile& tile,
                              std::size_t row_begin, std::size_t row_end, FrameRow& out,
                              const float* weights, float* frame, L lanes) {
  const WindowAxis& height = args.window.axis[1];
  const WindowAxis& width = args.window.axis[2];
  const auto sum = choose_frame_sums(args, tile.outputs, lanes);
  const std::size_t rows = frame_rows(height), row_floats = tile.vectors * tile.columns * kF32;
  const FrameColumns inside = inside_columns(width, tile);
  for (std::size_t i = 0; i < rows * tile.vectors; ++i) {
    float* line = frame + i * tile.columns * kF32;
    for (std::ptrdiff_t c = 0; c < inside.begin; ++c) store(line + c * kF32, VecF{});
    for (auto c = static_cast<std::size_t>(inside.end); c < tile.columns; ++c)
      store(line + c * kF32, VecF{});
  }
  // Rows of the image lie in the frame in turns.
  std::size_t first_place = 0, copy_place = 0;
  std::ptrdiff_t first = first_input(height, row_begin), copied = first;
  for (std::size_t r = row_begin; r < row_end; ++r) {
    for (; copied < first + static_cast<std::ptrdiff_t>(rows); ++copied) {
      if (is_inside(height, copied))
        copy_frame_row(args, tile, inside, copied, out.channel, frame + copy_place * row_floats,
                       lanes);
      if (++copy_place == rows) copy_place = 0;
    }
    const TapRange taps = inside_taps(height, r);
    out.count = 0;
    std::size_t place = first_place;
    for (std::size_t t = 0; t < taps.end; ++t) {
      if (t >= taps.begin) out.rows[out.count++] = frame + place * row_floats;
      place += height.dilation;
      if (place >= rows) place -= rows;
    }
    out.weights = weights + taps.begin * width.taps * args.group * kF32;
    out.pixel = r * width.output + tile.output;
    sum(args, tile, out, lanes);
    first += static_cast<std::ptrdiff_t>(height.stride);
    first_place = (first_place + height.stride) % rows;
    if (copied < first) {  // rows that no window meets
      copied = first;
      copy_place = first_place;
    }
  }
}

template <class L>
SDX_INLINE void channels_in_frame(const DepthwiseArgs& args, FrameTile tile, std::size_t row_begin,
                                  std::size_t row_end, FrameRow& out, float* weights, float* frame,
                                  L lanes) {
  const WindowAxis& width = args.window.axis[2];
  const std::size_t taps = args.window.axis[1].taps * width.taps * args.group;
  for (std::size_t v = 0; v < tile.vectors; ++v)
    for (std::size_t t = 0; t < taps; ++t)
      store(weights + (v * taps + t) * kF32,
            L::load_from(args.weights + t * args.channels + out.channel[v], lanes));
  out.vector_step = tile.columns * kF32;
  out.weight_step = taps * kF32;
  for (std::size_t o = 0; o < width.output; o += tile.outputs) {
    // The last tile computes some once more, so that all are of one size.
    tile.output = o + tile.outputs <= width.output ? o : width.output - tile.outputs;
    tile_in_frame(args, tile, row_begin, row_end, out, weights, frame, lanes);
  }
}

// Output rows [row_begin, row_end) but for activations that are not simple.
inline void depthwise_in_frame(const DepthwiseArgs& args, std::size_t row_begin,
                               std::size_t row_end) {
  alignas(kVecBytes) float frame[kMostFrameFloats];
  alignas(kVecBytes) float weights[kFrameWeights];
  FrameTile tile = choose_tile(args);
  FrameRow out;
  if (args.channels < kF32) {
    tile.vectors = 1;
    out.channel[0] = 0;
    return channels_in_frame(args, tile, row_begin, row_end, out, weights, frame,
                             Lanes<true>{args.channels});
  }
  for (std::size_t c = 0; c < args.channels; c += tile.vectors * kF32) {
    const std::size_t left = (args.channels - c + kF32 - 1) / kF32;
    if (left < tile.vectors) tile.vectors = left;
    // The last vector takes some channels once more where they do not fill it.
    for (std::size_t v = 0; v < tile.vectors; ++v) {
      const std::size_t channel = c + v * kF32;
      out.channel[v] = channel + kF32 <= args.channels ? channel : args.channels - kF32;
    }
    channels_in_frame(args, tile, row_begin, row_end, out, weights, frame, Lanes<false>{kF32});
  }
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
