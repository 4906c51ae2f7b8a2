// Depthwise convolution over channels-last tensors: every channel has a filter of its own, or every
// few channels one over themselves.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/kernel.h"
#include "kernels/window.h"

namespace sdx::kernels {

// weights is [taps][group][channels], from ONNX's [channels][group][taps]. Of the epilogue only
// column_bias, residual (rows are output pixels) and activation are read. No alignment is needed.
struct DepthwiseArgs {
  Window window;
  std::size_t channels;
  std::size_t group = 1;  // a power of two that divides channels and the floats of a vector
  const float* x;
  const float* weights;
  float* y;
  std::size_t y_step;  // floats between neighbouring output pixels
  Epilogue epilogue = {};
};

// Computes output rows [row_begin, row_end), a row being all output pixels along the width; rows
// are numbered over depth and height. Disjoint ranges may run on different threads.
using Depthwise = void(const DepthwiseArgs& args, std::size_t row_begin, std::size_t row_end);
extern const Kernel<Depthwise, kIsaCount> depthwise;

}  // namespace sdx::kernels
