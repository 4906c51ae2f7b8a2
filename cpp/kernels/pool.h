// Maximum and average pooling over channels-last tensors and over single planes.
#pragma once

#include "kernels/kernel.h"
#include "kernels/window.h"

namespace sdx::kernels {

// One image of pixels of `channels` adjacent floats. Output pixels are y_step floats apart. To
// split by channels, offset x and y. Padding takes no part in a maximum, so that of a window of
// padding alone is -inf; a NaN in the window is the answer.
struct PoolArgs {
  Window window;
  std::size_t channels;
  const float* x;
  float* y;
  std::size_t y_step;
  // Average only. The divisor counts taps inside the image or, including padding, taps inside
  // [-pad, input + pad_end) of each axis; a window without any gives NaN.
  bool count_padding = false;
  std::ptrdiff_t pad_end[3] = {};
};

// Computes output pixels [pixel_begin, pixel_end), numbered row-major.
using Pool = void(const PoolArgs& args, std::size_t pixel_begin, std::size_t pixel_end);
extern const Kernel<Pool, kIsaCount> max_pool;
extern const Kernel<Pool, kIsaCount> average_pool;

// The same over channels-first tensors: `channels` dense planes, x_plane and y_plane floats apart,
// each pooled on its own. The window's input_step is not read, a plane being dense; nor is y_step.
struct PlanePoolArgs {
  PoolArgs pool;
  std::size_t x_plane, y_plane;
};

// Computes planes [plane_begin, plane_end).
using PlanePool = void(const PlanePoolArgs& args, std::size_t plane_begin, std::size_t plane_end);
extern const Kernel<PlanePool, kIsaCount> max_pool_planes;
extern const Kernel<PlanePool, kIsaCount> average_pool_planes;

}  // namespace sdx::kernels
