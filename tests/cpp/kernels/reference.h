// What the kernels of products, convolutions and pools are held against, in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kernels/epilogue.h"
#include "kernels/window.h"

namespace sdx::kernels::test {

inline double reference_activation(double v, const Epilogue& e) {
  const auto clip = [](double x, double low, double high) {
    return std::min(std::max(x, low), high);
  };
  switch (e.activation) {
    case Activation::none:
      return v;
    case Activation::relu:
      return std::max(v, 0.0);
    case Activation::clip:
      return clip(v, e.alpha, e.beta);
    case Activation::leaky_relu:
      return v < 0 ? v * e.alpha : v;
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-v));
    case Activation::tanh:
      return std::tanh(v);
    case Activation::gelu:
      return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
    case Activation::gelu_tanh:
      return 0.5 * v * (1 + std::tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
    case Activation::silu:
      return v / (1 + std::exp(-v));
    case Activation::hard_swish:
      return v * clip(v / 6 + 0.5, 0, 1);
    case Activation::hard_sigmoid:
      return clip(e.alpha * v + e.beta, 0, 1);
  }
  return v;
}

// Calls f(input offset in floats, tap) for every tap of an output pixel that lies inside.
template <class F>
void for_each_tap(const Window& window, std::size_t pixel, F f) {
  const WindowAxis* axis = window.axis;
  const std::size_t at[3] = {pixel / axis[2].output / axis[1].output,
                             pixel / axis[2].output % axis[1].output, pixel % axis[2].output};
  for (std::size_t tap = 0; tap < axis[0].taps * axis[1].taps * axis[2].taps; ++tap) {
    const std::size_t t[3] = {tap / axis[2].taps / axis[1].taps, tap / axis[2].taps % axis[1].taps,
                              tap % axis[2].taps};
    std::ptrdiff_t offset = 0;
    bool inside = true;
    for (int d = 0; d < 3; ++d) {
      const auto i = static_cast<std::ptrdiff_t>(at[d] * axis[d].stride + t[d] * axis[d].dilation) -
                     axis[d].pad;
      inside = inside && i >= 0 && i < static_cast<std::ptrdiff_t>(axis[d].input);
      offset += i * static_cast<std::ptrdiff_t>(axis[d].input_step);
    }
    if (inside) f(offset, tap);
  }
}

inline std::size_t output_pixels(const Window& window) {
  return window.axis[0].output * window.axis[1].output * window.axis[2].output;
}

inline std::size_t input_pixels(const Window& window) {
  return window.axis[0].input * window.axis[1].input * window.axis[2].input;
}

inline std::size_t tap_count(const Window& window) {
  return window.axis[0].taps * window.axis[1].taps * window.axis[2].taps;
}

// Sets output sizes for a total of `pad` zeros before and `pad_end` behind each axis of taps, and
// the steps of a dense channels-last image whose pixels are `pixel_step` floats apart.
inline void complete_window(Window& window, std::size_t pixel_step, std::ptrdiff_t pad_end) {
  std::size_t step = pixel_step;
  for (int d = 2; d >= 0; --d) {
    WindowAxis& a = window.axis[d];
    const auto extent = static_cast<std::ptrdiff_t>((a.taps - 1) * a.dilation + 1);
    const std::ptrdiff_t end = a.taps > 1 || a.pad ? pad_end : 0;
    const std::ptrdiff_t room = static_cast<std::ptrdiff_t>(a.input) + a.pad + end - extent;
    a.output = room < 0 ? 0 : static_cast<std::size_t>(room) / a.stride + 1;
    a.input_step = step;
    step *= a.input;
  }
}

}  // namespace sdx::kernels::test
