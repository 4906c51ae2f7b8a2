// Convolution with pixels as lanes: rows of the image are copied into planes, one for each channel,
// with zeros around them; every weight then meets a few vectors of neighbouring pixels.
#include "kernels/conv_narrow.h"

#include "kernels/simd/finish.h"
#include "kernels/simd/window_taps.h"
#include "kernels/transpose.h"

namespace sdx::kernels {
namespace SDX_ISA {

Transpose32 transpose_32;

namespace {

// Sums in registers: outputs times vectors of pixels.
constexpr std::size_t kSums = kF32 >= 16 ? 24 : 8;
constexpr std::size_t kMostOutputs = 480;  // of a row at a time

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// A stretch of a row of outputs and the frame of inputs it meets.
struct Stretch {
  std::size_t output, outputs;
  std::size_t columns;  // of the frame
  std::size_t plane;    // floats from one channel's row to the next one's
};

// kOutputs times kVectors vectors of sums from column `at` on, into planes of results.
template <std::size_t kOutputs, std::size_t kVectors>
SDX_INLINE void sum_vectors(const ConvArgs& args, const float* const* rows, TapRange taps,
                            const Stretch& stretch, std::size_t at, const float* bias,
                            float* results) {
  const WindowAxis* axis = args.window.axis;
  const std::size_t tap_floats = axis[1].taps * axis[2].taps * kOutputs;
  VecF sums[kOutputs][kVectors];
#pragma GCC unroll 8
  for (std::size_t o = 0; o < kOutputs; ++o)
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) sums[o][v] = splat(bias[o]);
  for (std::size_t c = 0; c < args.channels; ++c)
    for (std::size_t h = taps.begin; h < taps.end; ++h) {
      const float* x = rows[h] + c * stretch.plane + at;
      const float* w = args.packed + c * tap_floats + h * axis[2].taps * kOutputs;
      for (std::size_t t = 0; t < axis[2].taps; ++t, x += axis[2].dilation, w += kOutputs) {
        VecF inputs[kVectors];
#pragma GCC unroll 16
        for (std::size_t v = 0; v < kVectors; ++v) inputs[v] = load(x + v * kF32);
#pragma GCC unroll 8
        for (std::size_t o = 0; o < kOutputs; ++o) {
          const VecF weight = splat(w[o]);
#pragma GCC unroll 16
          for (std::size_t v = 0; v < kVectors; ++v) sums[o][v] += weight * inputs[v];
        }
      }
    }
#pragma GCC unroll 8
  for (std::size_t o = 0; o < kOutputs; ++o)
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v)
      store(results + o * kMostOutputs + at + v * kF32, sums[o][v]);
}

template <std::size_t kOutputs>
void sum_stretch(const ConvArgs& args, const float* const* rows, TapRange taps,
                 const Stretch& stretch, const float* bias, float* results) {
  constexpr std::size_t kMost = kSums / kOutputs < 8 ? kSums / kOutputs : 8;
  std::size_t at = 0;
  for (; at + kMost * kF32 <= stretch.outputs; at += kMost * kF32)
    sum_vectors<kOutputs, kMost>(args, rows, taps, stretch, at, bias, results);
  if constexpr (kMost > 2)
    for (; at + kF32 < stretch.outputs; at += 2 * kF32)
      sum_vectors<kOutputs, 2>(args, rows, taps, stretch, at, bias, results);
  for (; at < stretch.outputs; at += kF32)
    sum_vectors<kOutputs, 1>(args, rows, taps, stretch, at, bias, results);
}

using SumStretch = void(const ConvArgs&, const float* const*, TapRange, const Stretch&,
                        const float*, float*);

SumStretch* choose_sums(std::size_t outputs) {
  switch (narrow_outputs(outputs)) {
    case 1:
      return sum_stretch<1>;
    case 2:
      return sum_stretch<2>;
    case 4:
      return sum_stretch<4>;
    case 6:
      return sum_stretch<6>;
    default:
      return sum_stretch<8>;
  }
}

// Copies a row of the image, which lies inside, into planes of the frame.
void copy_row(const ConvArgs& args, const Stretch& stretch, std::ptrdiff_t row, float* to) {
  const WindowAxis* axis = args.window.axis;
  const std::ptrdiff_t first = first_input(axis[2], stretch.output);
  const auto columns = static_cast<std::ptrdiff_t>(stretch.columns);
  std::ptrdiff_t begin = first < 0 ? -first : 0;
  std::ptrdiff_t end = static_cast<std::ptrdiff_t>(axis[2].input) - first;
  if (begin > columns) begin = columns;
  if (end > columns) end = columns;
  if (end < begin) end = begin;
  const std::size_t left = static_cast<std::size_t>(begin);
  const std::size_t count = static_cast<std::size_t>(end - begin);
  for (std::size_t c = 0; c < args.channels; ++c) {
    float* plane = to + c * stretch.plane;
    for (std::size_t i = 0; i < left; ++i) plane[i] = 0;
    for (std::size_t i = left + count; i < stretch.columns; ++i) plane[i] = 0;
  }
  if (count == 0) return;
  const float* x = args.x + row * static_cast<std::ptrdiff_t>(axis[1].input_step) +
                   (first + begin) * static_cast<std::ptrdiff_t>(axis[2].input_step);
  transpose_32(count, args.channels, reinterpret_cast<const uint32_t*>(x), axis[2].input_step,
               reinterpret_cast<uint32_t*>(to + left), stretch.plane);
}

// Turns `count` results around into y and finishes them.
void store_stretch(const ConvArgs& args, const float* results, std::size_t pixel,
                   std::size_t count) {
  const Epilogue& e = args.epilogue;
  const std::size_t n = args.outputs;
  float* y = args.y + pixel * args.y_step;
  transpose_32(n, count, reinterpret_cast<const uint32_t*>(results), kMostOutputs,
               reinterpret_cast<uint32_t*>(y), args.y_step);
  const bool plain = e.activation == Activation::none && !e.residual;
  if (is_simple(e.activation) && !plain) {
    Epilogue rest = e;
    rest.column_bias = nullptr;
    const bool dense = args.y_step == n && (!e.residual || e.residual_stride == n);
    // Dense pixels are finished as if they were one.
    const std::size_t pixels = dense ? 1 : count, length = dense ? count * n : n;
    if (dense && e.residual) rest.residual += pixel * n;
    if (dense) rest.residual_stride = 0;
    for (std::size_t i = 0; i < pixels; ++i)
      for_each_vector(
          length, [&](std::size_t j, auto lanes) __attribute__((always_inline)) {
            float* at = y + i * args.y_step + j;
            finish_vector(rest, pixel + i, j, at, lanes.load_from(at, lanes), lanes);
          });
  }
  finish_rows(e, pixel, count, y, args.y_step, n);
}

}  // namespace

void conv_narrow(const ConvArgs& args, std::size_t row_begin, std::size_t row_end) {
  const WindowAxis& height = args.window.axis[1];
  const WindowAxis& width = args.window.axis[2];
  const std::size_t slots = (height.taps - 1) * height.dilation + 1;
  const std::size_t reach = (width.taps - 1) * width.dilation;
  const std::size_t most = kNarrowFloats / (slots * args.channels) - reach;
  const std::size_t tile = smaller(most / kF32 * kF32, kMostOutputs);
  alignas(kVecBytes) float frame[kNarrowFloats + 4 * kF32];
  alignas(kVecBytes) float results[kNarrowOutputs * kMostOutputs];
  float bias[kNarrowOutputs] = {};
  for (std::size_t o = 0; o < args.outputs && args.epilogue.column_bias; ++o)
    bias[o] = args.epilogue.column_bias[o];
  SumStretch* sum = choose_sums(args.outputs);
  for (std::size_t o = 0; o < width.output; o += tile) {
    Stretch stretch;
    stretch.output = o;
    stretch.outputs = smaller(tile, width.output - o);
    stretch.columns = (stretch.outputs + kF32 - 1) / kF32 * kF32 + reach;
    stretch.plane = stretch.columns;
    const auto place = [&](std::ptrdiff_t row) {
      return frame + static_cast<std::size_t>(row) % slots * stretch.plane * args.channels;
    };
    std::ptrdiff_t copied = 0;
    for (std::size_t r = row_begin; r < row_end; ++r) {
      const std::ptrdiff_t first = first_input(height, r);
      std::ptrdiff_t row = first > copied ? first : copied;
      for (; row < first + static_cast<std::ptrdiff_t>(slots) && is_inside(height, row); ++row)
        copy_row(args, stretch, row, place(row));
      copied = row;
      const TapRange taps = inside_taps(height, r);
      const float* rows[kNarrowRows];
      for (std::size_t t = taps.begin; t < taps.end; ++t)
        rows[t] = place(first + static_cast<std::ptrdiff_t>(t * height.dilation));
      sum(args, rows, taps, stretch, bias, results);
      store_stretch(args, results, r * width.output + o, stretch.outputs);
    }
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(conv_narrow, ConvNarrow)
}  // namespace sdx::kernels
