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

// Lane l of a vector of channels takes channel `j` of the group that l is in.
template <bool kGrouped>
SDX_INLINE VecF pick(VecF v, std::size_t group, std::size_t j) {
  if constexpr (!kGrouped) return v;
  VecI lanes;
#pragma GCC unroll 16
  for (int l = 0; l < static_cast<int>(kF32); ++l) lanes[l] = l;
  const int size = static_cast<int>(group);
  return __builtin_shuffle(v, (lanes & splat(-size)) + splat(static_cast<int>(j)));
}

// The part of the window of an output row that lies inside, along depth and height.
struct RowTaps {
  TapRange depth, height;
  std::ptrdiff_t offset;  // floats from x to where tap (0, 0) meets the first pixel of the width
};

// kOutputs neighbouring outputs from `o` on, all of whose windows lie inside along the width;
// kWidth taps at dilation 1 and stride kStride.
template <bool kGrouped, int kWidth, int kStride, int kOutputs, class L>
SDX_INLINE void add_group(const DepthwiseArgs& args, const RowTaps& row, std::size_t o,
                          std::size_t pixel, std::size_t channel, L lanes) {
  constexpr int kInputs = kWidth + (kOutputs - 1) * kStride;
  const std::size_t group = kGrouped ? args.group : 1;
  const WindowAxis* axis = args.window.axis;
  const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(axis[2].input_step);
  const std::ptrdiff_t from = row.offset + first_input(axis[2], o) * step;
  VecF sums[kOutputs];
#pragma GCC unroll 8
  for (VecF& sum : sums) sum = bias_at(args.epilogue, channel, lanes);
  for (std::size_t d = row.depth.begin; d < row.depth.end; ++d)
    for (std::size_t h = row.height.begin; h < row.height.end; ++h) {
      const float* x =
          args.x +
          (from + static_cast<std::ptrdiff_t>(d * axis[0].dilation * axis[0].input_step +
                                              h * axis[1].dilation * axis[1].input_step + channel));
      const float* w =
          args.weights + (d * axis[1].taps + h) * kWidth * group * args.channels + channel;
      for (std::size_t j = 0; j < group; ++j) {
        VecF inputs[kInputs];
#pragma GCC unroll 32
        for (int i = 0; i < kInputs; ++i)
          inputs[i] = pick<kGrouped>(L::load_from(x + i * step, lanes), group, j);
#pragma GCC unroll 8
        for (int t = 0; t < kWidth; ++t) {
          const VecF weight = L::load_from(w + (t * group + j) * args.channels, lanes);
#pragma GCC unroll 8
          for (int i = 0; i < kOutputs; ++i) sums[i] += weight * inputs[i * kStride + t];
        }
      }
    }
#pragma GCC unroll 8
  for (int i = 0; i < kOutputs; ++i)
    finish_vector(args.epilogue, pixel + i, channel, args.y + (pixel + i) * args.y_step + channel,
                  sums[i], lanes);
}

// Any window: one output at a time, four vectors of channels at once where there are so many.
template <bool kGrouped, int kVectors, class L>
SDX_INLINE void add_taps(const DepthwiseArgs& args, const RowTaps& row, std::size_t o,
                         std::size_t pixel, std::size_t channel, L lanes) {
  const WindowAxis* axis = args.window.axis;
  const TapRange width = inside_taps(axis[2], o);
  const std::size_t group = kGrouped ? args.group : 1;
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
        for (std::size_t j = 0; j < group; ++j) {
          const float* w = args.weights + (tap * group + j) * args.channels + channel;
#pragma GCC unroll 4
          for (int v = 0; v < kVectors; ++v)
            sums[v] += L::load_from(w + v * kF32, lanes) *
                       pick<kGrouped>(L::load_from(x + v * kF32, lanes), group, j);
        }
      }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v)
    finish_vector(args.epilogue, pixel, channel + v * kF32,
                  args.y + pixel * args.y_step + channel + v * kF32, sums[v], lanes);
}

template <bool kGrouped>
SDX_INLINE void add_output(const DepthwiseArgs& args, const RowTaps& row, std::size_t o,
                           std::size_t pixel) {
  std::size_t c = 0;
  for (; c + 4 * kF32 <= args.channels; c += 4 * kF32)
    add_taps<kGrouped, 4>(args, row, o, pixel, c, Lanes<false>{kF32});
  for (; c + kF32 <= args.channels; c += kF32)
    add_taps<kGrouped, 1>(args, row, o, pixel, c, Lanes<false>{kF32});
  if (c < args.channels)
    add_taps<kGrouped, 1>(args, row, o, pixel, c, Lanes<true>{args.channels - c});
}

template <bool kGrouped>
void row_by_outputs(const DepthwiseArgs& args, const RowTaps& row, std::size_t row_pixel) {
  for (std::size_t o = 0; o < args.window.axis[2].output; ++o)
    add_output<kGrouped>(args, row, o, row_pixel + o);
}

// Outputs [begin, end) of a row, of which there are enough for a group; the last group takes some
// once more.
template <bool kGrouped, int kWidth, int kStride, int kOutputs>
SDX_INLINE void add_groups(const DepthwiseArgs& args, const RowTaps& row, std::size_t row_pixel,
                           std::size_t begin, std::size_t end) {
  for (std::size_t o = begin; o < end; o += kOutputs) {
    const std::size_t first = o + kOutputs <= end ? o : end - kOutputs;
    for_each_vector(
        args.channels, [&](std::size_t c, auto lanes) __attribute__((always_inline)) {
          add_group<kGrouped, kWidth, kStride, kOutputs>(args, row, first, row_pixel + first, c,
                                                         lanes);
        });
  }
}

template <bool kGrouped, int kWidth, int kStride>
void row_in_groups(const DepthwiseArgs& args, const RowTaps& row, std::size_t row_pixel) {
  const WindowAxis& axis = args.window.axis[2];
  std::size_t begin = 0, end = axis.output;
  while (begin < end && !meets_no_padding(axis, begin))
    add_output<kGrouped>(args, row, begin, row_pixel + begin), ++begin;
  while (begin < end && !meets_no_padding(axis, end - 1))
    --end, add_output<kGrouped>(args, row, end, row_pixel + end);
  if (end - begin >= kOutputsAtOnce)
    return add_groups<kGrouped, kWidth, kStride, kOutputsAtOnce>(args, row, row_pixel, begin, end);
  if (end - begin >= kOutputsAtOnce / 2)
    return add_groups<kGrouped, kWidth, kStride, kOutputsAtOnce / 2>(args, row, row_pixel, begin,
                                                                     end);
  for (; begin < end; ++begin) add_output<kGrouped>(args, row, begin, row_pixel + begin);
}

using RowFunction = void(const DepthwiseArgs&, const RowTaps&, std::size_t);

template <bool kGrouped>
RowFunction* choose_row(const WindowAxis& width) {
  if (width.dilation != 1 || width.stride > 2) return row_by_outputs<kGrouped>;
  const bool strided = width.stride == 2;
  switch (width.taps) {
    case 3:
      return strided ? row_in_groups<kGrouped, 3, 2> : row_in_groups<kGrouped, 3, 1>;
    case 5:
      return strided ? row_in_groups<kGrouped, 5, 2> : row_in_groups<kGrouped, 5, 1>;
    case 7:
      return strided ? row_in_groups<kGrouped, 7, 2> : row_in_groups<kGrouped, 7, 1>;
    default:
      return row_by_outputs<kGrouped>;
  }
}

}  // namespace

void depthwise(const DepthwiseArgs& args, std::size_t row_begin, std::size_t row_end) {
  const WindowAxis* axis = args.window.axis;
  RowFunction* run = args.group == 1 ? choose_row<false>(axis[2]) : choose_row<true>(axis[2]);
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
