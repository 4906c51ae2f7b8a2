// The geometry convolutions and pools share: a window sliding along up to three spatial axes.
#pragma once

#include <cstddef>

namespace sdx::kernels {

// One spatial axis. Output o meets input o * stride + t * dilation - pad at tap t; inputs outside
// [0, input) are padding. An axis that is not there has the default values.
struct WindowAxis {
  std::size_t input = 1;
  std::size_t output = 1;
  std::size_t taps = 1;
  std::size_t stride = 1;
  std::size_t dilation = 1;
  std::ptrdiff_t pad = 0;
  std::size_t input_step = 0;  // floats between neighbours of the input along this axis
};

// Depth, height, width. Output pixels are numbered row-major over the three outputs; all of
// o * stride + t * dilation must fit std::ptrdiff_t.
struct Window {
  WindowAxis axis[3];
};

}  // namespace sdx::kernels
