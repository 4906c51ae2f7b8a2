// Convolution from few channels into few outputs over channels-last tensors of one or two axes:
// neighbouring pixels are lanes, and rows are turned around on the way in and out.
#pragma once

#include "kernels/conv.h"

namespace sdx::kernels {

// More outputs fill the lanes of conv's register tile.
inline constexpr std::size_t kNarrowOutputs = 8;

// Outputs that packed weights count, the last ones zero: args.packed holds [channels][taps]
// [narrow_outputs(outputs)].
constexpr std::size_t narrow_outputs(std::size_t outputs) {
  return outputs > 2 ? (outputs + 1) / 2 * 2 : outputs;
}

// Whether conv_narrow takes such a window: of stride 1, with rows of inputs that fit its buffers.
bool fits_narrow(const Window& window, std::size_t channels) noexcept;

// As conv, but that a call computes output rows [row_begin, row_end). The epilogue's accumulate and
// row_bias are not supported. Disjoint ranges may run on different threads.
using ConvNarrow = void(const ConvArgs& args, std::size_t row_begin, std::size_t row_end);
extern const Kernel<ConvNarrow, kIsaCount> conv_narrow;

// Floats of the rows of inputs that a row of outputs meets, of all channels; outputs of a row go
// some at a time where more do not fit.
inline constexpr std::size_t kNarrowFloats = 6144;
inline constexpr std::size_t kNarrowTile = 96;  // outputs at least
inline constexpr std::size_t kNarrowRows = 64;  // of taps at most

}  // namespace sdx::kernels
