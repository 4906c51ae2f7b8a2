// Depthwise convolution: channels are lanes; for the usual windows a few outputs along the width go
// at a time and share their inputs and weights.
#include "kernels/depthwise.h"

#include "kernels/simd/depthwise_frame.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Enough independent sums to hide the latency of their additions; sevens where that many wastes
// less at the end of a row.
constexpr int kOutputsAtOnce = 8;
constexpr int kOddOutputs = 7;
constexpr int kFewOutputs = 4;

// Where the image is in the second-level cache, channels go in blocks whose weights, with a few
// rows of inputs, stay in the first-level one while rows pass; larger images are read in order.
constexpr std::size_t kCachedFloats = 262144;
constexpr std::size_t kWeightFloats = 2048;
constexpr std::size_t kBlockVectors = 4;

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

// More rows of taps go one output at a time.
constexpr std::size_t kListedRows = 32;

// The part of the window of an output row that lies inside, along depth and height.
struct RowTaps {
  TapRange depth, height;
  std::ptrdiff_t offset;  // floats from x to where tap (0, 0) meets the first pixel of the width
  // The rows that these taps meet, from the first pixel of their width on, each with the weights of
  // its taps; listed where the window has at most kListedRows of them.
  std::size_t count = 0;
  const float* x[kListedRows];
  const float* weights[kListedRows];
};

void list_rows(const DepthwiseArgs& args, RowTaps& row) {
  const WindowAxis* axis = args.window.axis;
  row.count = 0;
  for (std::size_t d = row.depth.begin; d < row.depth.end; ++d)
    for (std::size_t h = row.height.begin; h < row.height.end; ++h) {
      const std::size_t at =
          d * axis[0].dilation * axis[0].input_step + h * axis[1].dilation * axis[1].input_step;
      row.x[row.count] = args.x + (row.offset + static_cast<std::ptrdiff_t>(at));
      row.weights[row.count++] =
          args.weights + (d * axis[1].taps + h) * axis[2].taps * args.group * args.channels;
    }
}

// kOutputs neighbouring outputs, of which the first meets input `first` of the width; kWidth taps
// at dilation 1 and stride kStride. Bit i of `inside` tells whether input first + i is none of the
// padding: an input is read once for all of its taps.
template <bool kGrouped, int kWidth, int kStride, int kOutputs, class L>
SDX_INLINE void add_group(const DepthwiseArgs& args, const RowTaps& row, std::ptrdiff_t first,
                          uint32_t inside, std::size_t pixel, std::size_t channel, L lanes) {
  constexpr int kInputs = kWidth + (kOutputs - 1) * kStride;
  const std::size_t group = kGrouped ? args.group : 1;
  const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(args.window.axis[2].input_step);
  const std::ptrdiff_t from = first * step + static_cast<std::ptrdiff_t>(channel);
  VecF sums[kOutputs];
#pragma GCC unroll 8
  for (VecF& sum : sums) sum = bias_at(args.epilogue, channel, lanes);
  for (std::size_t r = 0; r < row.count; ++r) {
    const float* w = row.weights[r] + channel;
    for (std::size_t j = 0; j < group; ++j) {
      VecF weights[kWidth];
#pragma GCC unroll 8
      for (int t = 0; t < kWidth; ++t)
        weights[t] = L::load_from(w + (t * group + j) * args.channels, lanes);
      std::ptrdiff_t at = from;
#pragma GCC unroll 32
      for (int i = 0; i < kInputs; ++i, at += step) {
        if (!(inside >> i & 1)) continue;
        const VecF input = pick<kGrouped>(L::load_from(row.x[r] + at, lanes), group, j);
#pragma GCC unroll 8
        for (int t = 0; t < kWidth; ++t)
          if (i >= t && (i - t) % kStride == 0 && (i - t) / kStride < kOutputs)
            sums[(i - t) / kStride] += weights[t] * input;
      }
    }
  }
  finish_vectors(args.epilogue, pixel, channel, args.y + pixel * args.y_step + channel, args.y_step,
                 sums, lanes);
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

struct Channels {
  std::size_t begin, end;
};

template <bool kGrouped>
void row_by_outputs(const DepthwiseArgs& args, const RowTaps& row, std::size_t row_pixel,
                    Channels channels) {
  for (std::size_t o = 0; o < args.window.axis[2].output; ++o) {
    std::size_t c = channels.begin;
    for (; c + 4 * kF32 <= channels.end; c += 4 * kF32)
      add_taps<kGrouped, 4>(args, row, o, row_pixel + o, c, Lanes<false>{kF32});
    for_each_vector(
        channels.end - c, [&](std::size_t i, auto lanes) __attribute__((always_inline)) {
          add_taps<kGrouped, 1>(args, row, o, row_pixel + o, c + i, lanes);
        });
  }
}

// Where heads of vectors cost much code, a last vector takes some channels once more instead.
template <class F>
SDX_INLINE void for_each_channels(Channels channels, F f) {
  if constexpr (kMaskedTails)
    return for_each_vector(
        channels.end - channels.begin, [&](std::size_t i, auto lanes) __attribute__((
                                           always_inline)) { f(channels.begin + i, lanes); });
  for (std::size_t c = channels.begin; c < channels.end; c += kF32)
    f(c + kF32 <= channels.end ? c : channels.end - kF32, Lanes<false>{kF32});
}

// A row of no fewer than kOutputs; the last group takes some once more. There are as many channels
// as a vector has lanes, or heads of vectors are cheap.
template <bool kGrouped, int kWidth, int kStride, int kOutputs>
void row_in_groups(const DepthwiseArgs& args, const RowTaps& row, std::size_t row_pixel,
                   Channels channels) {
  constexpr int kInputs = kWidth + (kOutputs - 1) * kStride;
  const WindowAxis& axis = args.window.axis[2];
  for (std::size_t o = 0; o < axis.output; o += kOutputs) {
    const std::size_t output = o + kOutputs <= axis.output ? o : axis.output - kOutputs;
    const std::ptrdiff_t first = first_input(axis, output);
    uint32_t inside = 0;
    for (int i = 0; i < kInputs; ++i) inside |= uint32_t{is_inside(axis, first + i)} << i;
    for_each_channels(
        channels, [&](std::size_t channel, auto lanes) __attribute__((always_inline)) {
          add_group<kGrouped, kWidth, kStride, kOutputs>(args, row, first, inside,
                                                         row_pixel + output, channel, lanes);
        });
  }
}

using RowFunction = void(const DepthwiseArgs&, const RowTaps&, std::size_t, Channels);

template <bool kGrouped, int kWidth, int kStride>
RowFunction* choose_outputs(std::size_t outputs) {
  const auto computed = [&](std::size_t at_once) {
    return outputs < at_once ? ~std::size_t{0} : (outputs + at_once - 1) / at_once * at_once;
  };
  if (outputs < kFewOutputs) return row_by_outputs<kGrouped>;
  if constexpr (!kGrouped && kWidth == 3) {
    if (outputs == 5) return row_in_groups<kGrouped, kWidth, kStride, 5>;
    if (outputs == 6) return row_in_groups<kGrouped, kWidth, kStride, 6>;
  }
  if (outputs < kOddOutputs) return row_in_groups<kGrouped, kWidth, kStride, kFewOutputs>;
  return computed(kOddOutputs) < computed(kOutputsAtOnce)
             ? row_in_groups<kGrouped, kWidth, kStride, kOddOutputs>
             : row_in_groups<kGrouped, kWidth, kStride, kOutputsAtOnce>;
}

template <bool kGrouped, int kWidth>
RowFunction* choose_stride(const WindowAxis& width) {
  return width.stride == 2 ? choose_outputs<kGrouped, kWidth, 2>(width.output)
                           : choose_outputs<kGrouped, kWidth, 1>(width.output);
}

template <bool kGrouped>
RowFunction* choose_row(const DepthwiseArgs& args) {
  const WindowAxis* axis = args.window.axis;
  const WindowAxis& width = axis[2];
  if (width.dilation != 1 || width.stride > 2 || (!kMaskedTails && args.channels < kF32) ||
      axis[0].taps > kListedRows || axis[1].taps > kListedRows / axis[0].taps)
    return row_by_outputs<kGrouped>;
  if (width.taps == 3) return choose_stride<kGrouped, 3>(width);
  if constexpr (!kGrouped) {
    if (width.taps == 5) return choose_stride<kGrouped, 5>(width);
    if constexpr (kWideFrame)
      if (width.taps == 7) return choose_stride<kGrouped, 7>(width);
  }
  return row_by_outputs<kGrouped>;
}

bool is_cached(const DepthwiseArgs& args) {
  const WindowAxis* axis = args.window.axis;
  return axis[0].input * axis[1].input * axis[2].input * args.channels <= kCachedFloats;
}

// Channels that pass over all rows together.
std::size_t block_channels(const DepthwiseArgs& args) {
  const std::size_t weights = tap_count(args.window) * args.group * kF32;
  if (!is_cached(args) || weights == 0) return args.channels;
  const std::size_t vectors = kWeightFloats / weights;
  return kF32 * (vectors < 1 ? 1 : vectors > kBlockVectors ? kBlockVectors : vectors);
}

void by_rows(const DepthwiseArgs& args, std::size_t row_begin, std::size_t row_end) {
  const WindowAxis* axis = args.window.axis;
  RowFunction* run = args.group == 1 ? choose_row<false>(args) : choose_row<true>(args);
  const bool run_in_groups = run != row_by_outputs<false> && run != row_by_outputs<true>;
  const std::size_t step = block_channels(args);
  for (std::size_t c = 0; c < args.channels; c += step) {
    const Channels channels{c, c + step < args.channels ? c + step : args.channels};
    for (std::size_t r = row_begin; r < row_end; ++r) {
      const std::size_t depth = r / axis[1].output, height = r % axis[1].output;
      const std::ptrdiff_t offset =
          first_input(axis[0], depth) * static_cast<std::ptrdiff_t>(axis[0].input_step) +
          first_input(axis[1], height) * static_cast<std::ptrdiff_t>(axis[1].input_step);
      RowTaps row;
      row.depth = inside_taps(axis[0], depth);
      row.height = inside_taps(axis[1], height);
      row.offset = offset;
      if (run_in_groups) list_rows(args, row);
      run(args, row, r * axis[2].output, channels);
    }
  }
}

}  // namespace

void depthwise(const DepthwiseArgs& args, std::size_t row_begin, std::size_t row_end) {
  if (pays_in_frame(args, is_cached(args)))
    depthwise_in_frame(args, row_begin, row_end);
  else
    by_rows(args, row_begin, row_end);
  const WindowAxis* axis = args.window.axis;
  if (is_simple(args.epilogue.activation)) return;
  for (std::size_t o = row_begin * axis[2].output; o < row_end * axis[2].output; ++o)
    finish_row(args.epilogue, o, args.y + o * args.y_step, args.channels);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(depthwise, Depthwise)
}  // namespace sdx::kernels
