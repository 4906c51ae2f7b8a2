// The second half of a transposed convolution over channels-last tensors. The first is a product:
// [input pixels][channels] * [channels][taps * outputs] gives what every input pixel adds to its
// taps; this gathers, for each output pixel, the terms that fall on it.
//
// Where kernel and stride are equal along every axis and nothing is cut off, the product can write
// its result in place instead: a row of input pixels times one row of taps is a run of the output.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/kernel.h"
#include "kernels/window.h"

namespace sdx::kernels {

// The window reads as that of the convolution this transposes: `output` counts pixels of the
// columns (the operator's input), `input` pixels of y (the operator's output), and column pixel o
// adds its tap t to y at o * stride + t * dilation - pad. input_step is not read.
//
// Where every channel has an image of its own, the terms are not made beforehand: `weights` are
// [taps][outputs], and columns the operator's input, its pixels x_step floats apart.
struct GatherArgs {
  Window window;
  std::size_t outputs;   // channels of y
  const float* columns;  // [column pixels][taps][outputs], dense, unless there are weights
  // The column pixel that `columns` begins with. Those that fall on the pixels asked for are there.
  std::size_t first_column = 0;
  const float* weights = nullptr;
  std::size_t x_step = 0;
  float* y;
  std::size_t y_step;      // floats between neighbouring pixels of y
  Epilogue epilogue = {};  // rows are pixels of y; accumulate and row_bias are not supported
};

// Computes pixels [pixel_begin, pixel_end) of y, numbered row-major.
using ConvTransposeGather = void(const GatherArgs& args, std::size_t pixel_begin,
                                 std::size_t pixel_end);
extern const Kernel<ConvTransposeGather, kIsaCount> conv_transpose_gather;

}  // namespace sdx::kernels
