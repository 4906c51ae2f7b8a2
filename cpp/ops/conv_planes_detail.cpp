// Images are cut into tiles of cells, which are independent of each other.
#include <algorithm>

#include "base/checked.h"
#include "kernels/depthwise_planes.h"
#include "ops/conv_planes.h"

namespace sdx::ops {
namespace {

// Channels times taps of a group that pay.
constexpr int64_t kPlanesDepth = 256, kPlanesDepthOfGroups = 400, kPlanesDepthOfFew = 400;
constexpr int64_t kPlanesDepthOfPixels = 160;  // of one tap: a plain product
// Groups of so few channels pay with filters of one axis whatever their length, and single channels
// with those that are too long for depthwise kernels.
constexpr int64_t kFewOfGroup = 8;
constexpr int64_t kFewOutputs = 4;
constexpr int64_t kFewTiles = 8;  // rows of cells are shared out where an image has fewer
constexpr double kTileNs = 5000;  // and take longer than this

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }
int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

kernels::Window window_of(const PlanesConv& conv) {
  std::vector<AxisWindow> axes = conv.sizes.axes;
  // One tap without padding reads a plane as if it were a row.
  bool plain = axes.size() == 2;
  for (const AxisWindow& axis : axes)
    plain &= axis.taps == 1 && axis.stride == 1 && axis.pad_begin == 0 && axis.input == axis.output;
  if (plain) {
    axes[1].input = axes[1].output = axes[0].input * axes[1].input;
    axes.erase(axes.begin());
  }
  return kernel_window(axes, 1);
}

}  // namespace

bool suits_planes(int64_t groups, const Shape& w) {
  if (w.size() < 3 || w.size() > 4 || groups < 1 || w[0] % groups != 0) return false;
  int64_t depth = w[1];
  for (std::size_t i = 2; i < w.size(); ++i) depth = checked_mul(depth, w[i]);
  const bool depthwise = groups > 1 && w[1] == 1 && w[0] == groups;
  if (groups > 1 && w.size() == 3 && w[1] <= kFewOfGroup)
    return !depthwise || w[2] > static_cast<int64_t>(kernels::kPlaneTaps);
  if (groups > 1) return !depthwise && depth <= kPlanesDepthOfGroups;
  return depth <= (w[0] <= kFewOutputs ? kPlanesDepthOfFew
                   : depth == w[1]     ? kPlanesDepthOfPixels
                                       : kPlanesDepth);
}

bool PlanesConv::fits() const {
  if (sizes.axes.size() > 2) return false;
  kernels::Window window = window_of(*this);
  const auto fits_here = [&] {
    return kernels::conv_planes_tile(window, transposed, size(sizes.group_channels())).rows > 0;
  };
  if (!fits_here()) return false;
  if (!transposed) return true;
  // The padding, which need not be known yet, says how taps fall on cells.
  for (std::size_t down = 0; down < window.axis[1].stride; ++down)
    for (std::size_t across = 0; across < window.axis[2].stride; ++across) {
      window.axis[1].pad = static_cast<std::ptrdiff_t>(down);
      window.axis[2].pad = static_cast<std::ptrdiff_t>(across);
      if (!fits_here()) return false;
    }
  return true;
}

int64_t PlanesConv::packed_floats() const {
  const auto outputs = static_cast<int64_t>(kernels::plane_outputs(size(sizes.group_outputs())));
  return checked_mul(checked_mul(sizes.groups, outputs),
                     checked_mul(sizes.group_channels(), sizes.taps));
}

void PlanesConv::pack(const float* weights, float* packed) const {
  const int64_t channels = sizes.group_channels(), outputs = sizes.group_outputs();
  const int64_t floats = packed_floats() / sizes.groups;
  for (int64_t g = 0; g < sizes.groups; ++g)
    kernels::pack_planes({.window = window_of(*this),
                          .transposed = transposed,
                          .channels = size(channels),
                          .outputs = size(outputs),
                          .weights = weights + g * channels * outputs * sizes.taps,
                          .output_step = size(transposed ? sizes.taps : channels * sizes.taps),
                          .channel_step = size(transposed ? outputs * sizes.taps : sizes.taps)},
                         packed + g * floats);
}

Step PlanesConv::step(const FusedActivation& activation, const float* packed) const {
  const auto run = (transposed ? kernels::conv_transpose_planes : kernels::conv_planes).resolve();
  const kernels::Window window = window_of(*this);
  const int64_t channels = sizes.group_channels(), outputs = sizes.group_outputs();
  const int64_t x_plane = transposed ? sizes.output_pixels : sizes.input_pixels;
  const int64_t y_plane = transposed ? sizes.input_pixels : sizes.output_pixels;
  const kernels::PlaneTile most = kernels::conv_planes_tile(window, transposed, size(channels));
  if (sizes.images * outputs * y_plane == 0) return [](Frame&) {};
  const auto cells = [&](int axis) {
    return static_cast<int64_t>(kernels::plane_axis(window.axis[axis], transposed).cells);
  };
  const int64_t rows = cells(1), columns = cells(2);
  const int64_t across = divide_up(columns, static_cast<int64_t>(most.columns));
  int64_t down = divide_up(rows, static_cast<int64_t>(most.rows));
  const double products = static_cast<double>(channels * sizes.taps) *
                          static_cast<double>(outputs * (transposed ? x_plane : y_plane));
  const int64_t parts = sizes.images * sizes.groups * across;
  const double ns = 0.015 * products + 0.5 * static_cast<double>(outputs * y_plane);
  while (parts * down < kFewTiles && down < rows &&
         ns / static_cast<double>(across * down) > 2 * kTileNs)
    ++down;
  const int64_t tiles = across * down, floats = packed_floats() / sizes.groups;
  return [=, groups = sizes.groups, images = sizes.images](Frame& f) {
    f.parallel_for(
        split_work(images * groups * tiles, ns / static_cast<double>(tiles) + 50), [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i) {
            const int64_t part = i / tiles, group = part % groups;
            const int64_t row = i % tiles / across, column = i % across;
            kernels::ConvPlanesArgs args{.window = window,
                                         .channels = size(channels),
                                         .outputs = size(outputs),
                                         .x = f.in<float>(0) + part * channels * x_plane,
                                         .packed = packed + group * floats,
                                         .y = f.out<float>(0) + part * outputs * y_plane};
            activation.set_in(args.epilogue);
            if (const float* bias = f.in<float>(2))
              args.epilogue.column_bias = bias + group * outputs;
            run(args, {size(rows * row / down), size(rows * (row + 1) / down),
                       size(columns * column / across), size(columns * (column + 1) / across)});
          }
        });
  };
}

}  // namespace sdx::ops
