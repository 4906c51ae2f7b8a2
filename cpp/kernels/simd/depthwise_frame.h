// Depthwise convolution by wide windows: for a vector of channels, the rows of the image that a row
// of outputs meets are copied into a frame with zeros around them, which stays in the first-level
// cache; every tap then reads neighbouring vectors and no padding has to be asked for.
#pragma once

#include "kernels/depthwise.h"
#include "kernels/simd/finish.h"
#include "kernels/simd/window_taps.h"

namespace sdx::kernels {
namespace SDX_ISA {

// Vectors of the frame: rows of columns; and of weights.
inline constexpr std::size_t kFrameColumns = 6144 / kF32;
inline constexpr std::size_t kFrameTaps = 176;
// Outputs that are summed at once; more than there are registers for would spill.
inline constexpr std::size_t kFrameOutputs = 12;
// Neighbouring taps that share the inputs they load, where registers allow.
inline constexpr std::size_t kJoinedTaps = kF32 >= 16 ? 4 : 1;

struct FrameTile {
  std::size_t output;   // the first of the width
  std::size_t outputs;  // of a row
  std::size_t at_once;
  std::size_t columns;  // of the frame, those of outputs that are computed in vain included
};

SDX_INLINE std::size_t frame_rows(const WindowAxis& height) {
  return (height.taps - 1) * height.dilation + 1;
}
SDX_INLINE std::size_t frame_columns(const WindowAxis& width, std::size_t outputs) {
  return (outputs - 1) * width.stride + (width.taps - 1) * width.dilation + 1;
}

// Outputs of a row that the frame holds, some times kFrameOutputs or none.
SDX_INLINE std::size_t frame_outputs(const Window& window) {
  const WindowAxis& width = window.axis[2];
  const std::size_t columns = kFrameColumns / frame_rows(window.axis[1]);
  const std::size_t least = frame_columns(width, kFrameOutputs);
  if (columns < least) return 0;
  return ((columns - least) / width.stride / kFrameOutputs + 1) * kFrameOutputs;
}

// Sums of kOutputs neighbouring outputs over the window; `rows` are where they begin in the frame.
template <std::size_t kStride, std::size_t kOutputs>
void sum_in_frame(const WindowAxis& width, const float* const* rows, std::size_t row_count,
                  const float* weights, VecF bias, VecF* results) {
  VecF sums[kOutputs];
#pragma GCC unroll 12
  for (VecF& sum : sums) sum = bias;
  const std::size_t step = width.dilation * kF32;
  for (std::size_t h = 0; h < row_count; ++h) {
    const float* x = rows[h];
    std::size_t t = 0;
    if (width.dilation == 1)
      for (; t + kJoinedTaps <= width.taps; t += kJoinedTaps) {
        VecF tap[kJoinedTaps];
#pragma GCC unroll 4
        for (std::size_t k = 0; k < kJoinedTaps; ++k) tap[k] = load(weights + k * kF32);
#pragma GCC unroll 32
        for (std::size_t j = 0; j < (kOutputs - 1) * kStride + kJoinedTaps; ++j) {
          const VecF input = load(x + j * kF32);
#pragma GCC unroll 4
          for (std::size_t k = 0; k < kJoinedTaps; ++k)
            if (j >= k && (j - k) % kStride == 0 && (j - k) / kStride < kOutputs)
              sums[(j - k) / kStride] += tap[k] * input;
        }
        x += kJoinedTaps * kF32;
        weights += kJoinedTaps * kF32;
      }
    for (; t < width.taps; ++t, x += step, weights += kF32) {
      const VecF weight = load(weights);
#pragma GCC unroll 12
      for (std::size_t i = 0; i < kOutputs; ++i) sums[i] += weight * load(x + i * kStride * kF32);
    }
  }
#pragma GCC unroll 12
  for (std::size_t i = 0; i < kOutputs; ++i) results[i] = sums[i];
}

using SumInFrame = void(const WindowAxis&, const float* const*, std::size_t, const float*, VecF,
                        VecF*);

template <std::size_t kStride>
SumInFrame* choose_sums(std::size_t at_once) {
  switch (at_once) {
    case 4:
      return sum_in_frame<kStride, 4>;
    case 6:
      return sum_in_frame<kStride, 6>;
    case 7:
      return sum_in_frame<kStride, 7>;
    case 8:
      return sum_in_frame<kStride, 8>;
    case 10:
      return sum_in_frame<kStride, 10>;
    default:
      return sum_in_frame<kStride, 12>;
  }
}

// Of `outputs`, no more than `most` computed. Fewer than 8 sums wait for each other.
SDX_INLINE std::size_t choose_at_once(std::size_t outputs, std::size_t most) {
  constexpr std::size_t kChoices[] = {12, 10, 8, 7, 6, 4};
  std::size_t best = 0, least = ~std::size_t{0};
  for (const std::size_t choice : kChoices) {
    const std::size_t groups = (outputs + choice - 1) / choice;
    const std::size_t cost = groups * ((choice > 8 ? choice : 8) + 1);
    if (groups * choice > most || cost > least) continue;
    least = cost;
    best = choice;
  }
  return best;
}

// Whether sums in a frame pay: not for few taps, whose copy costs as much, unless they lie apart or
// the image is not in a cache.
SDX_INLINE bool pays_in_frame(const DepthwiseArgs& args, bool cached) {
  const WindowAxis* axis = args.window.axis;
  const bool apart = axis[2].dilation > 1 || axis[1].dilation > 1;
  return args.group == 1 && axis[0].taps == 1 && axis[0].output == 1 && axis[0].pad == 0 &&
         axis[2].stride <= 2 && axis[2].taps > 2 &&
         (apart || axis[2].taps > 7 || (axis[2].taps == 7 && !cached)) &&
         axis[1].taps * axis[2].taps <= kFrameTaps && axis[2].output >= 4 &&
         frame_outputs(args.window) > 0;
}

// Copies row `row` of the image, which lies inside, into the frame.
template <class L>
SDX_INLINE void copy_frame_row(const DepthwiseArgs& args, const FrameTile& tile, std::ptrdiff_t row,
                               std::size_t channel, float* to, L lanes) {
  const WindowAxis* axis = args.window.axis;
  const std::ptrdiff_t first = first_input(axis[2], tile.output);
  const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(axis[2].input_step);
  const std::ptrdiff_t columns = static_cast<std::ptrdiff_t>(tile.columns);
  const std::ptrdiff_t input = static_cast<std::ptrdiff_t>(axis[2].input);
  std::ptrdiff_t begin = first < 0 ? -first : 0, end = input - first;
  if (end > columns) end = columns;
  if (end < begin) begin = end = columns;
  if (begin > columns) begin = end = columns;
  const float* x = args.x + (row * static_cast<std::ptrdiff_t>(axis[1].input_step) + first * step +
                             static_cast<std::ptrdiff_t>(channel));
  constexpr auto kStep = static_cast<std::ptrdiff_t>(kF32);
  for (std::ptrdiff_t i = 0; i < begin; ++i) store(to + i * kStep, VecF{});
  for (std::ptrdiff_t i = begin; i < end; ++i)
    store(to + i * kStep, L::load_from(x + i * step, lanes));
  for (std::ptrdiff_t i = end; i < columns; ++i) store(to + i * kStep, VecF{});
}

template <class L>
SDX_INLINE void tile_in_frame(const DepthwiseArgs& args, const FrameTile& tile, SumInFrame* sum,
                              std::size_t row_begin, std::size_t row_end, std::size_t channel,
                              const float* weights, float* frame, L lanes) {
  const WindowAxis& height = args.window.axis[1];
  const WindowAxis& width = args.window.axis[2];
  const std::size_t rows = frame_rows(height), row_floats = tile.columns * kF32;
  const auto place = [&](std::ptrdiff_t row) __attribute__((always_inline)) {
    return frame + static_cast<std::size_t>(row) % rows * row_floats;
  };
  const VecF bias = bias_at(args.epilogue, channel, lanes);
  std::ptrdiff_t copied = 0;
  for (std::size_t r = row_begin; r < row_end; ++r) {
    const std::ptrdiff_t first = first_input(height, r);
    const TapRange taps = inside_taps(height, r);
    const float* starts[kFrameTaps];
    for (std::size_t t = taps.begin; t < taps.end; ++t) {
      const std::ptrdiff_t row = first + static_cast<std::ptrdiff_t>(t * height.dilation);
      starts[t - taps.begin] = place(row);
    }
    std::ptrdiff_t row = first > 0 ? first : 0;
    if (row < copied) row = copied;
    for (; row < first + static_cast<std::ptrdiff_t>(rows) && is_inside(height, row); ++row)
      copy_frame_row(args, tile, row, channel, place(row), lanes);
    copied = row;
    for (std::size_t o = 0; o < tile.outputs; o += tile.at_once) {
      VecF sums[kFrameOutputs];
      sum(width, starts, taps.end - taps.begin, weights + taps.begin * width.taps * kF32, bias,
          sums);
      for (std::size_t t = taps.begin; t < taps.end; ++t)
        starts[t - taps.begin] += tile.at_once * width.stride * kF32;
      const std::size_t pixel = r * width.output + tile.output + o;
      const std::size_t left = tile.outputs - o;
      for (std::size_t i = 0; i < (left < tile.at_once ? left : tile.at_once); ++i)
        finish_vector(args.epilogue, pixel + i, channel,
                      args.y + (pixel + i) * args.y_step + channel, sums[i], lanes);
    }
  }
}

// Output rows [row_begin, row_end) but for activations that are not simple.
inline void depthwise_in_frame(const DepthwiseArgs& args, std::size_t row_begin,
                               std::size_t row_end) {
  alignas(kVecBytes) float frame[kFrameColumns * kF32];
  alignas(kVecBytes) float weights[kFrameTaps * kF32];
  const WindowAxis& width = args.window.axis[2];
  const std::size_t outputs = frame_outputs(args.window);
  const std::size_t taps = args.window.axis[1].taps * width.taps;
  for_each_vector(
      args.channels, [&](std::size_t channel, auto lanes) __attribute__((always_inline)) {
        for (std::size_t t = 0; t < taps; ++t)
          store(weights + t * kF32,
                lanes.load_from(args.weights + t * args.channels + channel, lanes));
        for (std::size_t o = 0; o < width.output; o += outputs) {
          FrameTile tile;
          tile.output = o;
          tile.outputs = o + outputs <= width.output ? outputs : width.output - o;
          tile.at_once = choose_at_once(tile.outputs, outputs);
          const std::size_t computed =
              (tile.outputs + tile.at_once - 1) / tile.at_once * tile.at_once;
          tile.columns = frame_columns(width, computed);
          tile_in_frame(
              args, tile,
              width.stride == 2 ? choose_sums<2>(tile.at_once) : choose_sums<1>(tile.at_once),
              row_begin, row_end, channel, weights, frame, lanes);
        }
      });
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
