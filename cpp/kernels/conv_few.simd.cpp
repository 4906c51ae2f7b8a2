// Convolution into few outputs: sums of a few neighbouring pixels wait in registers, a vector of
// channels for each, over all taps.
#include "kernels/conv_few.h"

#include "kernels/simd/finish.h"
#include "kernels/simd/window_taps.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Sums in registers; pixels of a group times outputs.
constexpr std::size_t kSums = kF32 >= 16 ? 12 : 8;
constexpr std::size_t kPixels = kSums;

alignas(kVecBytes) constexpr float kPadding[kF32] = {};

// The part of the window of an output row that lies inside, along depth and height.
struct RowTaps {
  TapRange depth, height;
  std::ptrdiff_t offset;  // floats from x to where tap (0, 0) meets the first pixel of the width
};

// Adds one tap of all channels; pixel i lies at x(i, channel).
template <std::size_t kOutputs, std::size_t kAtOnce, class Input>
SDX_INLINE void add_tap(const ConvArgs& args, const float* weights, std::size_t output_step,
                        VecF (&sums)[kOutputs][kAtOnce], Input x) {
  const auto add = [&](std::size_t c, auto lanes) __attribute__((always_inline)) {
    VecF w[kOutputs];
#pragma GCC unroll 4
    for (std::size_t o = 0; o < kOutputs; ++o) w[o] = load(weights + o * output_step + c);
#pragma GCC unroll 12
    for (std::size_t i = 0; i < kAtOnce; ++i) {
      const VecF input = lanes.load_from(x(i, c), lanes);
#pragma GCC unroll 4
      for (std::size_t o = 0; o < kOutputs; ++o) sums[o][i] += w[o] * input;
    }
  };
  for_each_vector(args.channels, add);
}

// kAtOnce neighbouring pixels from `o` on into results[pixel][output]; kInside: none of their taps
// lies in the padding left or right.
template <std::size_t kOutputs, std::size_t kAtOnce, bool kInside>
void sum_pixels(const ConvArgs& args, const RowTaps& row, std::size_t o, float* results) {
  const WindowAxis* axis = args.window.axis;
  const std::size_t tap_step = few_tap_step(args.channels);
  const std::size_t output_step = tap_count(args.window) * tap_step;
  const auto column_step = static_cast<std::ptrdiff_t>(axis[2].input_step);
  const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(axis[2].stride) * column_step;
  VecF sums[kOutputs][kAtOnce];
#pragma GCC unroll 4
  for (auto& output : sums)
#pragma GCC unroll 12
    for (VecF& sum : output) sum = VecF{};
  for (std::size_t d = row.depth.begin; d < row.depth.end; ++d)
    for (std::size_t h = row.height.begin; h < row.height.end; ++h) {
      const std::ptrdiff_t at =
          row.offset + static_cast<std::ptrdiff_t>(d * axis[0].dilation * axis[0].input_step +
                                                   h * axis[1].dilation * axis[1].input_step);
      const float* weights = args.packed + (d * axis[1].taps + h) * axis[2].taps * tap_step;
      for (std::size_t t = 0; t < axis[2].taps; ++t, weights += tap_step) {
        const std::ptrdiff_t first = input_of(axis[2], o, t);
        if constexpr (kInside) {
          const float* x = args.x + at + first * column_step;
          add_tap<kOutputs, kAtOnce>(
              args, weights, output_step,
              sums, [=](std::size_t i, std::size_t c) __attribute__((always_inline)) {
                // Every third place is kept, the others are reached from there.
                return x + static_cast<std::ptrdiff_t>(i / 3 * 3) * step + c +
                       static_cast<std::ptrdiff_t>(i % 3) * step;
              });
        } else {
          const float* places[kAtOnce];
          std::size_t moves[kAtOnce];
          for (std::size_t i = 0; i < kAtOnce; ++i) {
            const std::ptrdiff_t column = first + static_cast<std::ptrdiff_t>(i * axis[2].stride);
            const bool inside = is_inside(axis[2], column);
            places[i] = inside ? args.x + at + column * column_step : kPadding;
            moves[i] = inside ? ~std::size_t{0} : 0;
          }
          add_tap<kOutputs, kAtOnce>(
              args, weights, output_step,
              sums, [&](std::size_t i, std::size_t c) __attribute__((always_inline)) {
                return places[i] + (c & moves[i]);
              });
        }
      }
    }
#pragma GCC unroll 12
  for (std::size_t i = 0; i < kAtOnce; ++i)
#pragma GCC unroll 4
    for (std::size_t j = 0; j < kOutputs; ++j) results[i * kOutputs + j] = reduce_add(sums[j][i]);
}

// Stores `pixels` results; those of one output lie along a row.
template <std::size_t kOutputs>
SDX_INLINE void store_pixels(const ConvArgs& args, std::size_t pixel, std::size_t pixels,
                             const float* results) {
  const Epilogue& e = args.epilogue;
  float* y = args.y + pixel * args.y_step;
  if (kOutputs == 1 && args.y_step == 1 && (!e.residual || e.residual_stride == 1)) {
    Epilogue along = e;
    along.column_bias = nullptr;
    const VecF bias = splat(e.column_bias ? e.column_bias[0] : 0.0f);
    for_each_vector(
        pixels, [&](std::size_t i, auto lanes) __attribute__((always_inline)) {
          finish_vector(along, pixel + i, 0, y + i, lanes.load_from(results + i, lanes) + bias,
                        lanes);
        });
    return;
  }
  const Lanes<true> lanes{kOutputs};
  const VecF bias = bias_at(e, 0, lanes);
  for (std::size_t i = 0; i < pixels; ++i)
    finish_vector(e, pixel + i, 0, y + i * args.y_step,
                  lanes.load_from(results + i * kOutputs, lanes) + bias, lanes);
}

// A row in groups of kAtOnce, or fewer where it is short; the last group takes some once more.
template <std::size_t kOutputs, std::size_t kAtOnce>
void convolve_row(const ConvArgs& args, const RowTaps& row, std::size_t row_pixel) {
  const WindowAxis& width = args.window.axis[2];
  if constexpr (kAtOnce > 1)
    if (width.output < kAtOnce) return convolve_row<kOutputs, kAtOnce / 2>(args, row, row_pixel);
  float results[kPixels];
  for (std::size_t i = 0; i < width.output; i += kAtOnce) {
    const std::size_t o = i + kAtOnce <= width.output ? i : width.output - kAtOnce;
    if (first_input(width, o) >= 0 && meets_no_padding(width, o + kAtOnce - 1))
      sum_pixels<kOutputs, kAtOnce, true>(args, row, o, results);
    else
      sum_pixels<kOutputs, kAtOnce, false>(args, row, o, results);
    store_pixels<kOutputs>(args, row_pixel + o, kAtOnce, results);
  }
}

using RowFunction = void(const ConvArgs&, const RowTaps&, std::size_t);

}  // namespace

void conv_few(const ConvArgs& args, std::size_t row_begin, std::size_t row_end) {
  static_assert(kFewOutputs == 4);
  constexpr RowFunction* kRows[] = {convolve_row<1, kSums>, convolve_row<2, kSums / 2>,
                                    convolve_row<3, kSums / 3>, convolve_row<4, kSums / 4>};
  const WindowAxis* axis = args.window.axis;
  for (std::size_t r = row_begin; r < row_end; ++r) {
    const std::size_t depth = r / axis[1].output, height = r % axis[1].output;
    const std::ptrdiff_t offset =
        first_input(axis[0], depth) * static_cast<std::ptrdiff_t>(axis[0].input_step) +
        first_input(axis[1], height) * static_cast<std::ptrdiff_t>(axis[1].input_step);
    const std::size_t pixel = r * axis[2].output;
    kRows[args.outputs - 1](
        args, {inside_taps(axis[0], depth), inside_taps(axis[1], height), offset}, pixel);
    finish_rows(args.epilogue, pixel, axis[2].output, args.y + pixel * args.y_step, args.y_step,
                args.outputs);
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(conv_few, ConvFew)
}  // namespace sdx::kernels
