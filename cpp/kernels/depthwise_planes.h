// Depthwise convolution over channels-first tensors of one or two axes: every plane by itself, with
// neighbouring pixels as lanes. It saves turning tensors around that are wanted channels-first.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/kernel.h"
#include "kernels/window.h"

namespace sdx::kernels {

// Planes are dense, image after image; the window's input_step is not read. weights is
// [taps][channels]. Of the epilogue only column_bias, one a channel, and activation are read.
struct DepthwisePlanesArgs {
  Window window;
  std::size_t channels;
  const float* x;
  const float* weights;
  float* y;
  Epilogue epilogue = {};
};

// Whether the kernel takes such a window: strides of at most 2 along the width, and rows of inputs
// that fit its buffer.
bool fits_planes(const Window& window) noexcept;

// Computes planes [plane_begin, plane_end). Disjoint ranges may run on different threads.
using DepthwisePlanes = void(const DepthwisePlanesArgs& args, std::size_t plane_begin,
                             std::size_t plane_end);
extern const Kernel<DepthwisePlanes, kIsaCount> depthwise_planes;

// Taps, and floats of the rows of inputs that a few rows of outputs meet.
inline constexpr std::size_t kPlaneTaps = 176;
inline constexpr std::size_t kPlaneFloats = 8192;
inline constexpr std::size_t kPlaneRows = 4;  // of outputs summed at once
// Floats of such a row, for vectors of any tier.
constexpr std::size_t plane_row_floats(const WindowAxis& width) {
  return ((width.output + 15) / 16 + 1) * 16 * width.stride + (width.taps - 1) * width.dilation;
}

}  // namespace sdx::kernels
