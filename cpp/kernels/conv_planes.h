// Convolution over channels-first tensors of one or two axes, and its transpose: planes in, planes
// out, with neighbouring pixels as lanes. It saves turning tensors around that are wanted
// channels-first, and groups of few channels and outputs fill its registers.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/kernel.h"
#include "kernels/window.h"

namespace sdx::kernels {

// One group of one image: dense planes of x and y, one for each channel and output.
//
// The window of a transposed convolution reads as that of the convolution it transposes: `output`
// counts pixels of x, `input` pixels of y. input_step is not read. Of the epilogue only
// column_bias, one an output, and the activation are read.
struct ConvPlanesArgs {
  Window window;
  std::size_t channels, outputs;
  const float* x;
  const float* packed;
  float* y;
  Epilogue epilogue = {};
};

// Cells of y: pixels; of a transposed convolution, blocks of stride times stride pixels.
struct PlaneCells {
  std::size_t row_begin, row_end, column_begin, column_end;
};

// Computes some cells, at most as many as conv_planes_tile says. Cells are independent of each
// other and may be computed on different threads.
using ConvPlanes = void(const ConvPlanesArgs& args, const PlaneCells& cells);
extern const Kernel<ConvPlanes, kIsaCount> conv_planes;
extern const Kernel<ConvPlanes, kIsaCount> conv_transpose_planes;

// Rows and columns of cells of a call at most; none where the window does not fit.
struct PlaneTile {
  std::size_t rows = 0, columns = 0;
};
PlaneTile conv_planes_tile(const Window& window, bool transposed, std::size_t channels) noexcept;

// Weights of output o, channel c and tap t lie at o * output_step + c * channel_step + t. Packed,
// they are plane_outputs(outputs) * channels * taps floats: blocks of outputs, of which each has
// channels and taps, a transposed convolution's by the pixels of a cell they fall on. Of the
// window, taps, strides and dilations are read, and it fits.
struct PackPlanes {
  Window window;
  bool transposed;
  std::size_t channels, outputs;
  const float* weights;
  std::size_t output_step, channel_step;
};
void pack_planes(const PackPlanes& args, float* packed) noexcept;

inline constexpr std::size_t kPlaneBlock = 8;  // outputs of a block
// Outputs that a block of the last ones counts; those beyond are zero.
constexpr std::size_t plane_block(std::size_t outputs) {
  return outputs > kPlaneBlock ? kPlaneBlock : outputs > 2 ? (outputs + 1) / 2 * 2 : outputs;
}
constexpr std::size_t plane_outputs(std::size_t outputs) {
  return outputs / kPlaneBlock * kPlaneBlock + plane_block(outputs % kPlaneBlock);
}

// What follows is for the kernels alone.

inline constexpr std::size_t kPlaneFrame = 16384;   // floats of a call's inputs, with their padding
inline constexpr std::size_t kMostPlaneSums = 480;  // of an output in a row, or in rows of a run
inline constexpr std::size_t kMostAxisTaps = 256;
inline constexpr std::size_t kMostPlaneTaps = 256;
inline constexpr std::size_t kMostPlaneStride = 16;
inline constexpr std::size_t kMostCellPixels = 4;  // along an axis

// Strides cut the pixels of x into phases, or those of y, so that neighbouring cells meet
// neighbouring pixels of one phase of x and make neighbouring ones of y.
struct PlaneAxis {
  std::size_t x_size, y_size, cells;
  std::size_t x_phases, y_phases;  // one of them is 1
  std::ptrdiff_t first;            // the pixel of x at place 0 of phase 0 of cell 0
  std::size_t reach;               // places past its own that a cell meets
  std::size_t taps;
  struct Tap {
    std::size_t phase, place;
  } tap[kMostAxisTaps];
  std::size_t pixel[kMostPlaneStride];  // of a cell, by the phase of y
};
PlaneAxis plane_axis(const WindowAxis& axis, bool transposed) noexcept;

}  // namespace sdx::kernels
