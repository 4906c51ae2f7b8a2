// Convolution of many channels into few outputs over channels-last tensors: channels are lanes, and
// a sum over the lanes ends each output.
#pragma once

#include "kernels/conv.h"

namespace sdx::kernels {

// So few outputs that a register tile of conv, which has them as lanes, would stay empty.
inline constexpr std::size_t kFewOutputs = 4;

// Floats between the weights of one tap and the next: channels rounded up to whole vectors of any
// tier.
constexpr std::size_t few_tap_step(std::size_t channels) { return (channels + 15) / 16 * 16; }

// As conv, for at most kFewOutputs outputs, but that args.packed holds [outputs][taps] rows of
// few_tap_step(channels) floats, zeros behind the channels, and that a call computes output rows
// [row_begin, row_end), numbered over depth and height. The epilogue's accumulate and row_bias are
// not supported. Disjoint ranges may run on different threads.
using ConvFew = void(const ConvArgs& args, std::size_t row_begin, std::size_t row_end);
extern const Kernel<ConvFew, kIsaCount> conv_few;

}  // namespace sdx::kernels
