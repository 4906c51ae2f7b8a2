// Transposed convolutions as ordinary ones: outputs that lie a stride apart meet the same taps, so
// each such phase of the output is a convolution of stride 1, written where its pixels lie.
#pragma once

#include "ops/conv_step.h"
#include "ops/gemm_plan.h"

namespace sdx::ops {

struct PhasedConv {
  // Of the convolution this transposes, but for channels and outputs, which are its own. Packing
  // reads the taps, strides and dilations of the axes alone.
  ConvSizes sizes;

  // Whether that takes less time than products of all taps whose terms are then gathered.
  bool pays() const;
  int64_t packed_floats() const;
  // Weights [channels][group outputs][taps].
  void pack(const float* weights, float* packed) const;
  // One image of pixels x_step and y_step floats apart, channels last.
  void run(const Frame& f, const float* x, int64_t x_step, const float* packed, float* y,
           int64_t y_step, const kernels::Epilogue& epilogue) const;

 private:
  // Along the three axes of a window: how far the taps are from multiples of the stride, and how
  // many there are.
  struct Phase {
    int64_t shift[3], taps[3];
    int64_t tap_count() const { return taps[0] * taps[1] * taps[2]; }
  };
  struct Piece;

  AxisWindow axis(std::size_t d) const;
  int64_t phases() const;
  Phase phase(int64_t index) const;
  int64_t phase_floats(const Phase& phase) const;
  Piece piece(const Phase& phase, int64_t x_step) const;

  GemmKernels gemm_;
  kernels::Conv* conv_ = kernels::conv.resolve();
  kernels::ConvPack* conv_pack_ = kernels::conv_pack.resolve();
};

}  // namespace sdx::ops
