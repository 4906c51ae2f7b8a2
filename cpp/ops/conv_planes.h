// Convolutions, and transposed ones, from channels-first planes into planes: no tensor is turned.
#pragma once

#include "kernels/conv_planes.h"
#include "ops/conv_step.h"

namespace sdx::ops {

// Whether weights [outputs][group channels][taps..] of a convolution between channels-first tensors
// are convolved plane by plane, if the window fits; with few channels in a group, turning tensors
// around would take longer than the products.
bool suits_planes(int64_t groups, const Shape& weights);

// Sizes as of a convolution; those of a transposed one are of the convolution it transposes, but
// for channels and outputs, which are its own.
struct PlanesConv {
  ConvSizes sizes;
  bool transposed = false;

  bool fits() const;
  int64_t packed_floats() const;
  void pack(const float* weights, float* packed) const;
  // Inputs are X, weights, bias.
  Step step(const FusedActivation& activation, const float* packed) const;
};

}  // namespace sdx::ops
