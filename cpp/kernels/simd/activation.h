// The activations of an epilogue on vectors and rows.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/simd/math.h"
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

// Activations of an instruction or two, fit to run on registers amid other work.
SDX_INLINE bool is_simple(Activation a) { return a <= Activation::leaky_relu; }

SDX_INLINE VecF activate_simple(VecF v, const Epilogue& e) {
  if (e.activation == Activation::relu) return relu(v);
  if (e.activation == Activation::clip) return clip(v, splat(e.alpha), splat(e.beta));
  if (e.activation == Activation::leaky_relu) return leaky_relu(v, splat(e.alpha));
  return v;
}

template <class F>
SDX_INLINE void map_row(float* p, std::size_t n, F f) {
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) store(p + i, f(load(p + i)));
  if (i < n) store_head(p + i, f(load_head(p + i, n - i)), n - i);
}

// Any activation, in place, of rows of n floats that begin `step` floats apart.
SDX_INLINE void activate_rows(float* p, std::size_t step, std::size_t rows, std::size_t n,
                              const Epilogue& e) {
  if (step == n) {  // one after another
    n *= rows;
    rows = 1;
  }
  const auto map = [=](auto f) __attribute__((always_inline)) {
    for (std::size_t i = 0; i < rows; ++i) map_row(p + i * step, n, f);
  };
  switch (e.activation) {
    case Activation::sigmoid:
      return map([](VecF v) { return sigmoid(v); });
    case Activation::tanh:
      return map([](VecF v) { return tanh(v); });
    case Activation::gelu:
      return map([](VecF v) { return gelu(v); });
    case Activation::gelu_tanh:
      return map([](VecF v) { return gelu_tanh(v); });
    case Activation::silu:
      return map([](VecF v) { return v * sigmoid(v); });
    case Activation::hard_swish:
      return map([](VecF v) { return v * hard_sigmoid(v, splat(1.0f / 6), splat(0.5f)); });
    case Activation::hard_sigmoid:
      return map([&](VecF v) { return hard_sigmoid(v, splat(e.alpha), splat(e.beta)); });
    default:
      return map([&](VecF v) { return activate_simple(v, e); });
  }
}

SDX_INLINE void activate_row(float* p, std::size_t n, const Epilogue& e) {
  activate_rows(p, 0, 1, n, e);
}

SDX_INLINE void add_row(float* p, const float* q, std::size_t n) {
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) store(p + i, load(p + i) + load(q + i));
  if (i < n) store_head(p + i, load_head(p + i, n - i) + load_head(q + i, n - i), n - i);
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
