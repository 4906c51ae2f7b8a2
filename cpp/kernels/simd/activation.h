// The activations of an epilogue on vectors and rows.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

// Minimum and maximum hand back their second operand where one is NaN, so v comes second.
SDX_INLINE VecF clip(VecF v, VecF low, VecF high) { return min(high, max(low, v)); }
SDX_INLINE VecF relu(VecF v) { return max(VecF{}, v); }
SDX_INLINE VecF leaky_relu(VecF v, VecF slope) { return v < 0.0f ? v * slope : v; }

SDX_INLINE VecF hard_sigmoid(VecF v, VecF alpha, VecF beta) {
  return clip(v * alpha + beta, VecF{}, splat(1.0f));
}

SDX_INLINE VecF activate(VecF v, const Epilogue& e) {
  switch (e.activation) {
    case Activation::relu:
      return relu(v);
    case Activation::clip:
      return clip(v, splat(e.alpha), splat(e.beta));
    case Activation::leaky_relu:
      return leaky_relu(v, splat(e.alpha));
    case Activation::hard_swish:
      return v * hard_sigmoid(v, splat(1.0f / 6), splat(0.5f));
    case Activation::hard_sigmoid:
      return hard_sigmoid(v, splat(e.alpha), splat(e.beta));
    default:
      return v;
  }
}

SDX_INLINE void activate_row(float* p, std::size_t n, const Epilogue& e) {
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) store(p + i, activate(load(p + i), e));
  if (i < n) store_head(p + i, activate(load_head(p + i, n - i), e), n - i);
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
