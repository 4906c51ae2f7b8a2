// Depthwise convolution of planes: some rows of a plane are copied between zeros, then a few rows
// of outputs are summed at once, so that each vector of inputs serves all of them.
#include "kernels/depthwise_planes.h"

#include "kernels/simd/finish.h"
#include "kernels/simd/transpose.h"
#include "kernels/simd/window_taps.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// Rows of outputs that are summed at once where there are so many; fewer wait for their own sums.
constexpr std::size_t kManyRows = 8;
// The same where the rows are a multiple of this, as those of many images are.
constexpr std::size_t kSevenRows = 7;

// One channel's share of the arguments. Rows of the frame hold their even columns, then the odd
// ones, where every other column starts a window: neighbouring outputs then read neighbours.
struct Plane {
  const float* frame;
  std::size_t row_floats, odd_at;
  const float* weights;  // [taps]
  float bias;
  float* y;
};

// Vectors of a row that meet a weight together: more chains of sums than one add up meanwhile.
constexpr std::size_t kTogether = kF32 >= 16 ? 2 : 1;

// kRows rows of outputs and kVectors vectors of each from output `o` on. kTaps: along the height,
// whose stride and dilation are 1; 0: any.
template <std::size_t kRows, std::size_t kStride, std::size_t kTaps, std::size_t kVectors>
SDX_INLINE void sum_vectors(const DepthwisePlanesArgs& args, const Plane& plane, const float* start,
                            std::size_t o, float* y) {
  const WindowAxis& height = args.window.axis[1];
  const WindowAxis& width = args.window.axis[2];
  VecF sums[kRows][kVectors];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) sums[r][v] = splat(plane.bias);
  for (std::size_t t = 0; t < width.taps; ++t) {
    const std::size_t at = t * width.dilation;
    const float* x = start + o + (kStride == 1 ? at : at / 2 + (at % 2 ? plane.odd_at : 0));
    if constexpr (kTaps > 0) {
      VecF weights[kTaps];
#pragma GCC unroll 8
      for (std::size_t h = 0; h < kTaps; ++h) weights[h] = splat(plane.weights[h * width.taps + t]);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kRows + kTaps - 1; ++i)
#pragma GCC unroll 2
        for (std::size_t v = 0; v < kVectors; ++v) {
          const VecF input = load(x + i * plane.row_floats + v * kF32);
#pragma GCC unroll 8
          for (std::size_t h = 0; h < kTaps; ++h)
            if (i >= h && i - h < kRows) sums[i - h][v] += weights[h] * input;
        }
    } else {
      for (std::size_t h = 0; h < height.taps; ++h) {
        const VecF weight = splat(plane.weights[h * width.taps + t]);
#pragma GCC unroll 8
        for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
          for (std::size_t v = 0; v < kVectors; ++v)
            sums[r][v] +=
                weight *
                load(x + (h * height.dilation + r * height.stride) * plane.row_floats + v * kF32);
      }
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t at = o + v * kF32, lanes = smaller(kF32, width.output - at);
      const VecF sum = is_simple(args.epilogue.activation)
                           ? activate_simple(sums[r][v], args.epilogue)
                           : sums[r][v];
      if (lanes == kF32)
        store(y + r * width.output + at, sum);
      else
        store_head(y + r * width.output + at, sum, lanes);
    }
}

// kRows rows of outputs from `row` of the frame on.
template <std::size_t kRows, std::size_t kStride, std::size_t kTaps>
void sum_rows(const DepthwisePlanesArgs& args, const Plane& plane, std::size_t row, float* y) {
  const std::size_t outputs = args.window.axis[2].output;
  const float* start = plane.frame + row * plane.row_floats;
  std::size_t o = 0;
  for (; o + (kTogether - 1) * kF32 < outputs; o += kTogether * kF32)
    sum_vectors<kRows, kStride, kTaps, kTogether>(args, plane, start, o, y);
  if constexpr (kTogether > 1)
    for (; o < outputs; o += kF32) sum_vectors<kRows, kStride, kTaps, 1>(args, plane, start, o, y);
}

using SumRows = void(const DepthwisePlanesArgs&, const Plane&, std::size_t, float*);

struct Group {
  std::size_t rows;
  SumRows* sum;
};

template <std::size_t kRows, std::size_t kStride>
SumRows* choose_taps(const WindowAxis& height) {
  if (height.stride == 1 && height.dilation == 1) {
    if (height.taps == 3) return sum_rows<kRows, kStride, 3>;
    if (height.taps == 5) return sum_rows<kRows, kStride, 5>;
    if (height.taps == 7) return sum_rows<kRows, kStride, 7>;
  }
  return sum_rows<kRows, kStride, 0>;
}

template <std::size_t kRows>
SumRows* choose_rows(const Window& window) {
  return window.axis[2].stride == 2 ? choose_taps<kRows, 2>(window.axis[1])
                                    : choose_taps<kRows, 1>(window.axis[1]);
}

// Copies input row `row` between zeros; all zeros where it is padding. Writes up to a vector past
// the row.
void copy_row(const DepthwisePlanesArgs& args, const float* x, std::ptrdiff_t row, float* to,
              std::size_t row_floats) {
  const WindowAxis& width = args.window.axis[2];
  const bool inside = is_inside(args.window.axis[1], row);
  const std::size_t left =
      width.pad > 0 ? smaller(static_cast<std::size_t>(width.pad), row_floats) : 0;
  const std::size_t skipped = width.pad < 0 ? static_cast<std::size_t>(-width.pad) : 0;
  const std::size_t count =
      inside && skipped < width.input ? smaller(width.input - skipped, row_floats - left) : 0;
  const float* from = x + (inside ? static_cast<std::size_t>(row) * width.input + skipped : 0);
  // Whole vectors: what goes too far is zero, and the next one or the next row overwrites it.
  for (std::size_t i = 0; i < left; i += kF32) store(to + i, VecF{});
  std::size_t i = 0;
  for (; i + kF32 <= count; i += kF32) store(to + left + i, load(from + i));
  if (i < count) {
    store(to + left + i, load_head(from + i, count - i));
    i += kF32;
  }
  for (i += left; i < row_floats; i += kF32) store(to + i, VecF{});
}

// The even columns of a row, then the odd ones. What goes too far is overwritten by those and by
// the next row.
void split_row(const float* from, float* to, std::size_t odd_at) {
  for (std::size_t i = 0; i < odd_at; i += kF32)
    store(to + i, AllLanes::even(load(from + 2 * i), load(from + 2 * i + kF32)));
  for (std::size_t i = 0; i < odd_at; i += kF32)
    store(to + odd_at + i, AllLanes::odd(load(from + 2 * i), load(from + 2 * i + kF32)));
}

}  // namespace

void depthwise_planes(const DepthwisePlanesArgs& args, std::size_t plane_begin,
                      std::size_t plane_end) {
  const WindowAxis& height = args.window.axis[1];
  const WindowAxis& width = args.window.axis[2];
  const std::size_t taps = height.taps * width.taps;
  const std::size_t reach = (height.taps - 1) * height.dilation + 1;
  const std::size_t pixels = height.output * width.output;
  alignas(kVecBytes) float frame[kPlaneFloats + kF32];
  alignas(kVecBytes) float line[kPlaneFloats / kPlaneRows + 2 * kF32] = {};
  float weights[kPlaneTaps];
  Plane plane;
  plane.frame = frame;
  plane.row_floats = plane_row_floats(width);
  plane.odd_at = (plane.row_floats + 1) / 2;
  plane.weights = weights;
  const Group groups[] = {{kManyRows, choose_rows<kManyRows>(args.window)},
                          {kSevenRows, choose_rows<kSevenRows>(args.window)},
                          {kPlaneRows, choose_rows<kPlaneRows>(args.window)},
                          {1, choose_rows<1>(args.window)}};
  // Rows of outputs whose inputs the frame holds.
  const std::size_t held = kPlaneFloats / plane.row_floats;
  const std::size_t at_once = (held - reach) / height.stride + 1;
  for (std::size_t p = plane_begin; p < plane_end; ++p) {
    const std::size_t channel = p % args.channels;
    const float* x = args.x + p * height.input * width.input;
    float* y = args.y + p * pixels;
    for (std::size_t t = 0; t < taps; ++t) weights[t] = args.weights[t * args.channels + channel];
    plane.bias = args.epilogue.column_bias ? args.epilogue.column_bias[channel] : 0;
    for (std::size_t first = 0; first < height.output; first += at_once) {
      const std::size_t count = smaller(at_once, height.output - first);
      const std::size_t rows = (count - 1) * height.stride + reach;
      for (std::size_t i = 0; i < rows; ++i) {
        float* row = frame + i * plane.row_floats;
        copy_row(args, x, first_input(height, first) + static_cast<std::ptrdiff_t>(i),
                 width.stride == 2 ? line : row, plane.row_floats);
        if (width.stride == 2) split_row(line, row, plane.odd_at);
      }
      const Group& group = count % kSevenRows == 0 && count % kManyRows != 0 ? groups[1]
                           : count >= kManyRows                              ? groups[0]
                           : count >= kPlaneRows                             ? groups[2]
                                                                             : groups[3];
      // The last rows once more where they do not fill a group.
      for (std::size_t i = 0; i < count; i += group.rows) {
        const std::size_t r = i + group.rows <= count ? i : count - group.rows;
        group.sum(args, plane, r * height.stride, y + (first + r) * width.output);
      }
    }
    Epilogue rest = args.epilogue;
    rest.column_bias = nullptr;
    finish_rows(rest, 0, 1, y, 0, pixels);
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(depthwise_planes, DepthwisePlanes)
}  // namespace sdx::kernels
