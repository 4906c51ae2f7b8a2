// Convolution over channels-last tensors of one, two or three spatial axes as an indirect matrix
// product: output pixels are rows, output channels columns, taps times input channels the depth.
//
// A call handles one image and one group; groups and images differ in x, y, packed and the bias.
// A 1x1 convolution of stride 1 without padding is better done by gemm_packed; weights packed here
// serve it as they are. The tiling is that of gemm.h. No alignment is needed but of `packed`.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/gemm.h"
#include "kernels/kernel.h"
#include "kernels/window.h"

namespace sdx::kernels {

// Packs weights [outputs][channels][taps], the order of ONNX, for conv: packed_b_floats(tiling,
// channels * taps, outputs) floats, 64-byte aligned, of which this writes some panels, or that part
// of them which lies between two depths.
struct PackConv {
  std::size_t channels, outputs, taps;
  const float* weights;
  float* packed;
  std::size_t depth_begin = 0;
  std::size_t depth_end = static_cast<std::size_t>(-1);  // or the end, channels * taps
};
using ConvPack = void(const PackConv& args, std::size_t panel_begin, std::size_t panel_end);
extern const Kernel<ConvPack, kIsaCount> conv_pack;

// A pixel is `channels` adjacent floats. Where channels are few and the width has dilation 1 it
// pays to copy the image into a frame of zeros and to let one tap span the width's taps: channels
// becomes channels * taps, and the width's taps 1 with pad 0; the packed weights stay the same.
struct ConvArgs {
  Window window;
  std::size_t channels, outputs;
  const float* x;
  const float* packed;
  float* y;
  std::size_t y_step;  // floats between neighbouring output pixels
  Epilogue epilogue = {};
  std::size_t chain = kAnyChain;
  // Sums over very many taps and channels may be made by so many calls, one after the other. All
  // but the first add to what those before left in y; only the last heeds the epilogue but for
  // its `accumulate`, which is for the first.
  std::size_t part = 0, parts = 1;
};

// Rows of the range are output pixels, panels are of output channels.
using Conv = void(const ConvArgs& args, const GemmRange& range);
extern const Kernel<Conv, kIsaCount> conv;

}  // namespace sdx::kernels
