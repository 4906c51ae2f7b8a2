// What a matrix product or convolution does to its results before it stores them.
#pragma once

#include <cstddef>

namespace sdx::kernels {

// Activations with constants read Epilogue::alpha and beta as said here.
enum class Activation : unsigned char {
  none,
  relu,
  clip,        // to [alpha, beta]
  leaky_relu,  // slope alpha below zero
  sigmoid,     // the transcendental ones follow the accuracy of kernels/simd/math.h
  tanh,
  gelu,          // by erf
  gelu_tanh,     // the tanh approximation
  silu,          // x * sigmoid(x)
  hard_swish,    // x * clip(x / 6 + 1/2, 0, 1)
  hard_sigmoid,  // clip(alpha * x + beta, 0, 1)
};

// With v = A * B at row i and column j:
//   v += C[i][j] if accumulate, column_bias[j], row_bias[i], residual[i][j] if those are given;
//   C[i][j] = activation(v), with the residual added after it if residual_last.
// Rows and columns count from the start of the whole C, whatever range a call covers. The biases
// and the residual need no padding and no alignment. The residual must not overlap C.
struct Epilogue {
  const float* column_bias = nullptr;
  const float* row_bias = nullptr;
  const float* residual = nullptr;
  std::size_t residual_stride = 0;  // floats from one row of the residual to the next
  float alpha = 0;
  float beta = 0;
  Activation activation = Activation::none;
  bool accumulate = false;
  bool residual_last = false;
};

}  // namespace sdx::kernels
