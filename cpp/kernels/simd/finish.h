// The epilogue for kernels that produce one vector of a row at a time.
#pragma once

#include "kernels/simd/activation.h"

namespace sdx::kernels {
namespace SDX_ISA {

// Whole vectors or, at the end of a row, the head of one.
template <bool kHead>
struct Lanes {
  std::size_t count;
  SDX_INLINE VecF load_from(const float* p, Lanes lanes) {
    if constexpr (kHead) return load_head(p, lanes.count);
    return load(p);
  }
  SDX_INLINE void store_to(float* p, VecF v, Lanes lanes) {
    if constexpr (kHead)
      store_head(p, v, lanes.count);
    else
      store(p, v);
  }
};

// Calls f(first, lanes) for every vector of n floats.
template <class F>
SDX_INLINE void for_each_vector(std::size_t n, F f) {
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) f(i, Lanes<false>{kF32});
  if (i < n) f(i, Lanes<true>{n - i});
}

template <class L>
SDX_INLINE VecF bias_at(const Epilogue& e, std::size_t column, L lanes) {
  return e.column_bias ? L::load_from(e.column_bias + column, lanes) : VecF{};
}

// Stores vectors, in which the bias is, at y, which lies at (row, column), and below it. Simple
// activations run on registers; for the others, finish_row follows once the row is stored.
template <int kRows, class L>
SDX_INLINE void finish_vectors(const Epilogue& e, std::size_t row, std::size_t column, float* y,
                               std::size_t y_step, VecF (&v)[kRows], L lanes) {
  const float* residual = e.residual && is_simple(e.activation)
                              ? e.residual + row * e.residual_stride + column
                              : nullptr;
  const auto map = [&](auto f) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) v[i] = f(v[i], i);
  };
  const auto add_residual = [&](VecF sum, int i) __attribute__((always_inline)) {
    return sum + L::load_from(residual + i * e.residual_stride, lanes);
  };
  if (residual && !e.residual_last) map(add_residual);
  if (e.activation == Activation::relu) {
    map([](VecF sum, int) { return relu(sum); });
  } else if (e.activation == Activation::clip) {
    const VecF low = splat(e.alpha), high = splat(e.beta);
    map([=](VecF sum, int) { return clip(sum, low, high); });
  } else if (e.activation == Activation::leaky_relu) {
    const VecF slope = splat(e.alpha);
    map([=](VecF sum, int) { return leaky_relu(sum, slope); });
  }
  if (residual && e.residual_last) map(add_residual);
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) L::store_to(y + i * y_step, v[i], lanes);
}

template <class L>
SDX_INLINE void finish_vector(const Epilogue& e, std::size_t row, std::size_t column, float* y,
                              VecF v, L lanes) {
  VecF one[1] = {v};
  finish_vectors(e, row, column, y, 0, one, lanes);
}

// Rows [row, row + count), which lie y_step floats apart from y on.
SDX_INLINE void finish_rows(const Epilogue& e, std::size_t row, std::size_t count, float* y,
                            std::size_t y_step, std::size_t columns) {
  if (is_simple(e.activation)) return;
  const auto add_residual = [&]() __attribute__((always_inline)) {
    for (std::size_t i = 0; i < count; ++i)
      add_row(y + i * y_step, e.residual + (row + i) * e.residual_stride, columns);
  };
  if (e.residual && !e.residual_last) add_residual();
  activate_rows(y, y_step, count, columns, e);
  if (e.residual && e.residual_last) add_residual();
}

SDX_INLINE void finish_row(const Epilogue& e, std::size_t row, float* y, std::size_t columns) {
  finish_rows(e, row, 1, y, 0, columns);
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
