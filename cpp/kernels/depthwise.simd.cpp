// Depthwise convolution: channels are lanes; for the usual windows a few outputs along the width go
// at a time and share their inputs and weights.
#include "kernels/depthwise.h"

#include "kernels/simd/finish.h"
#include "kernels/simd/window_taps.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Enough independent sums to hide the latency of their additions, where registers allow.
constexpr int kOutputsAtOnce = kF32 >= 16 ? 8 : 4;

// The part of the window of an output row that lies inside, along depth and height.
struct RowTaps {
  TapRange depth, height;
  std::ptrdiff_t offset;  // floats from x to where tap (0, 0) meets the first pixel of the width
};

// Neighbouring outputs of a row: which of them there are and which of their inputs are inside.
struct Group {
  std::size_t pixel;
  int outputs;
  int input_begin, input_end;
  std::ptrdiff_t offset;  // floats from x to where tap (0, 0, 0) of the first output meets it
};

// kWidth taps at dilation 1 and stride kStride; where kWhole, all outputs and inputs are there.
template <int kWidth, int kStride, bool kWhole, class L>
SDX_INLINE void add_group(const DepthwiseArgs& args, const RowTaps& row, const Group& group,
                          std::size_t channel, L lanes) {
  constexpr int kInputs = kWidth + (kOutputsAtOnce - 1) * kStride;
  const WindowAxis* axis = args.window.axis;
  const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(axis[2].input_step);
  VecF sums[kOutputsAtOnce];
#pragma GCC unroll 8
  for (VecF& sum : sums) sum = bias_at(args.epilogue, channel, lanes);
  for (std::size_t d = row.depth.begin; d < row.depth.end; ++d)
    for (std::size_t h = row.height.begin; h < row.height.end; ++h) {
      const std::ptrdiff_t offset =
          group.offset +
          static_cast<std::ptrdiff_t>(d * axis[0].dilation * axis[0].input_step +
                                      h * axis[1].dilation * axis[1].input_step + channel);
      const float* w = args.weights + (d * axis[1].taps + h) * kWidth * args.channels + channel;
      VecF inputs[kInputs];
#pragma GCC unroll 32
      for (int i = 0; i < kInputs; ++i) {
        inputs[i] = VecF{};
        if (kWhole || (i >= group.input_begin && i < group.input_end))
          inputs[i] = L::load_from(args.x + (offset + i * step), lanes);
      }
#pragma GCC unroll 8
      for (int t = 0; t < kWidth; ++t) {
        const VecF weight = L::load_from(w + t * args.channels, lanes);
#pragma GCC unroll 8
        for (int o = 0; o < kOutputsAtOnce; ++o) sums[o] += weight * inputs[o * kStride + t];
      }
    }
#pragma GCC unroll 8
  for (int o = 0; o < kOutputsAtOnce; ++o)
    if (kWhole || o < group.outputs)
      finish_vector(args.epilogue, group.pixel + o, channel,
                    args.y + (group.pixel + o) * args.y_step + channel, sums[o], lanes);
}

template <int kWidth, int kStride, bool kWhole>
SDX_INLINE void add_channels(const DepthwiseArgs& args, const RowTaps& row, const Group& group) {
  for_each_vector(
      args.channels, [&](std::size_t c, auto lanes) __attribute__((always_inline)) {
        add_group<kWidth, kStride, kWhole>(args, row, group, c, lanes);
      });
}

template <int kWidth, int kStride>
void row_in_groups(const DepthwiseArgs& args, const RowTaps& row, std::size_t row_pixel) {
  const WindowAxis& axis = args.window.axis[2];
  constexpr std::ptrdiff_t kInputs = kWidth + (kOutputsAtOnce - 1) * kStride;
  const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(axis.input);
  for (std::size_t o = 0; o < axis.output; o += kOutputsAtOnce) {
    const std::ptrdiff_t first = first_input(axis, o);
    const std::size_t left = axis.output - o;
    std::ptrdiff_t begin = first < 0 ? -first : 0, end = size - first;
    if (begin > kInputs) begin = kInputs;
    if (end > kInputs) end = kInputs;
    const Group group{row_pixel + o,
                      left < kOutputsAtOnce ? static_cast<int>(left) : kOutputsAtOnce,
                      static_cast<int>(begin), end < 0 ? 0 : static_cast<int>(end),
                      row.offset + first * static_cast<std::ptrdiff_t>(axis.input_step)};
    if (left >= kOutputsAtOnce && begin == 0 && end == kInputs)
      add_channels<kWidth, kStride, true>(args, row, group);
    else
      add_channels<kWidth, kStride, false>(args, row, group);
  }
}

// Any window: one output at a time, four vectors of channels at once where there are so many.
template <int kVectors, class L>
SDX_INLINE void add_taps(const DepthwiseArgs& args, const RowTaps& row, std::size_t o,
                         std::size_t pixel, std::size_t channel, L lanes) {
  const WindowAxis* axis = args.window.axis;
  const TapRange width = inside_taps(axis[2], o);
  const std::ptrdiff_t from =
      row.offset + first_input(axis[2], o) * static_cast<std::ptrdiff_t>(axis[2].input_step);
  VecF sums[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) sums[v] = bias_at(args.epilogue, channel + v * kF32, lanes);
  for (std::size_t d = row.depth.begin; d < row.depth.end; ++d)
    for (std::size_t h = row.height.begin; h < row.height.end; ++h)
      for (std::size_t t = width.begin; t < width.end; ++t) {
        const std::size_t step = d * axis[0].dilation * axis[0].input_step +
                                 h * axis[1].dilation * axis[1].input_step +
                                 t * axis[2].dilation * axis[2].input_step + channel;
        const float* x = args.x + (from + static_cast<std::ptrdiff_t>(step));
        const std::size_t tap = (d * axis[1].taps + h) * axis[2].taps + t;
        const float* w = args.weights + tap * args.channels + channel;
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v)
          sums[v] += L::load_from(w + v * kF32, lanes) * L::load_from(x + v * kF32, lanes);
      }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v)
    finish_vector(args.epilogue, pixel, channel + v * kF32,
                  args.y + pixel * args.y_step + channel + v * kF32, sums[v], lanes);
}

void row_by_outputs(const DepthwiseArgs& args, const RowTaps& row, std::size_t row_pixel) {
  for (std::size_t o = 0; o < args.window.axis[2].output; ++o) {
    const std::size_t pixel = row_pixel + o;
    std::size_t c = 0;
    for (; c + 4 * kF32 <= args.channels; c += 4 * kF32)
      add_taps<4>(args, row, o, pixel, c, Lanes<false>{kF32});
    for (; c + kF32 <= args.channels; c += kF32)
      add_taps<1>(args, row, o, pixel, c, Lanes<false>{kF32});
    if (c < args.channels) add_taps<1>(args, row, o, pixel, c, Lanes<true>{args.channels - c});
  }
}

using RowFunction = void(const DepthwiseArgs&, const RowTaps&, std::size_t);

RowFunction* choose_row(const WindowAxis& width) {
  if (width.dilation != 1 || width.stride > 2) return row_by_outputs;
  const bool strided = width.stride == 2;
  switch (width.taps) {
    case 3:
      return strided ? row_in_groups<3, 2> : row_in_groups<3, 1>;
    case 5:
      return strided ? row_in_groups<5, 2> : row_in_groups<5, 1>;
    case 7:
      return strided ? row_in_groups<7, 2> : row_in_groups<7, 1>;
    default:
      return row_by_outputs;
  }
}

}  // namespace

void depthwise(const DepthwiseArgs& args, std::size_t row_begin, std::size_t row_end) {
  const WindowAxis* axis = args.window.axis;
  RowFunction* run = choose_row(axis[2]);
  for (std::size_t r = row_begin; r < row_end; ++r) {
    const std::size_t depth = r / axis[1].output, height = r % axis[1].output;
    const std::ptrdiff_t offset =
        first_input(axis[0], depth) * static_cast<std::ptrdiff_t>(axis[0].input_step) +
        first_input(axis[1], height) * static_cast<std::ptrdiff_t>(axis[1].input_step);
    run(args, {inside_taps(axis[0], depth), inside_taps(axis[1], height), offset},
        r * axis[2].output);
    for (std::size_t o = r * axis[2].output; o < (r + 1) * axis[2].output; ++o)
      finish_row(args.epilogue, o, args.y + o * args.y_step, args.channels);
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(depthwise, Depthwise)
}  // namespace sdx::kernels
