// The float32 convolution step: how weights are packed and which kernel runs them.
#pragma once

#include <vector>

#include "ir/op.h"
#include "kernels/conv.h"
#include "kernels/winograd.h"
#include "ops/activation.h"
#include "ops/window.h"

namespace sdx::ops {

// Numbers are slots of packed weights.
enum class ConvMethod {
  indirect = 0,
  depthwise = 1,
  winograd_2 = 2,
  winograd_4 = 3,
  few = 4,
  volume = 5,
  narrow = 6,
  planes = 7
};

// Outputs along a side of a tile of Winograd's method; 0 for the other methods.
constexpr std::size_t winograd_side(ConvMethod method) {
  return method == ConvMethod::winograd_2 ? 2 : method == ConvMethod::winograd_4 ? 4 : 0;
}

struct ConvSizes {
  int64_t images = 0, channels = 0, outputs = 0, groups = 1, taps = 1;
  int64_t input_pixels = 0, output_pixels = 0;
  std::vector<AxisWindow> axes;

  int64_t group_channels() const { return channels / groups; }
  int64_t group_outputs() const { return outputs / groups; }
};

struct ConvOptions {
  bool channels_last = false;  // output and residual
  bool input_last = false;
  bool residual = false;  // input 3
  bool residual_last = false;
  // With weights packed for ConvMethod::indirect: Winograd's method of such a side, which
  // transforms them on the way. 0: as they are.
  std::size_t side_on_the_way = 0;
  FusedActivation activation;
  bool short_chains = false;  // sums of products that round less, for some more time
};

// A framed image lets one tap span the width's taps; it pays where channels are fewer than this.
inline constexpr int64_t kFrameChannels = 8;

// Whether groups have so few channels that these go as lanes of vectors: ConvMethod::depthwise.
bool is_depthwise(const ConvSizes& sizes);
// Whether there are so few outputs, and so many channels, that these go as lanes instead:
// ConvMethod::few.
bool has_few_outputs(const ConvSizes& sizes);
// Whether there are so few outputs and channels that pixels go as lanes: ConvMethod::narrow. Of the
// window, the likely outputs, taps, strides and dilations are read.
bool is_narrow(const ConvSizes& sizes, const kernels::Window& window);
// The last two axes for Winograd's method: all of its arguments but the memory.
kernels::WinogradArgs winograd_sizes(std::size_t side, const ConvSizes& sizes, int64_t x_step,
                                     int64_t y_step);
// Floats of the weights packed for a method.
int64_t packed_conv_floats(ConvMethod method, const ConvSizes& sizes);
// Packs weights [outputs][group channels][taps].
void pack_conv(ConvMethod method, const ConvSizes& sizes, const float* weights, float* packed);
// The same in a run, for ConvMethod::depthwise and ConvMethod::indirect.
void pack_conv(const Frame& f, ConvMethod method, const ConvSizes& sizes, const float* weights,
               float* packed);

// Inputs are X, weights, bias, residual; the weights are read only where `packed` is null, and the
// method is then not Winograd's.
Step conv_step(PrepareContext& ctx, const ConvSizes& sizes, const ConvOptions& options,
               ConvMethod method, const float* packed);

}  // namespace sdx::ops
