// Activations that matrix products and convolutions apply to their results, named as ONNX
// operators.
#pragma once

#include <cstdint>

#include "ir/attributes.h"
#include "kernels/epilogue.h"

namespace sdx::ops {

// Read from attributes: `activation`, the name of an operator (Relu, Clip, LeakyRelu, Sigmoid,
// Tanh, Gelu, FastGelu, Silu, HardSwish, HardSigmoid; empty for none), and its constants, either
// the list `activation_params` or `activation_alpha` and `activation_beta`. FastGelu is Gelu by
// tanh.
struct FusedActivation {
  kernels::Activation kind = kernels::Activation::none;
  float alpha = 0;
  float beta = 0;

  void set_in(kernels::Epilogue& epilogue) const {
    epilogue.activation = kind;
    epilogue.alpha = alpha;
    epilogue.beta = beta;
  }
  double operator()(double x) const;
};

FusedActivation read_activation(const Attributes& attrs);

}  // namespace sdx::ops
