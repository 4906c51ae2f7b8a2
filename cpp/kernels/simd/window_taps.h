// Walks the output pixels of a window and finds the input each of its taps meets.
#pragma once

#include "kernels/simd/vec.h"
#include "kernels/window.h"

namespace sdx::kernels {
namespace SDX_ISA {

// An output pixel by its place along the three axes.
struct Pixel {
  std::size_t at[3];
};

SDX_INLINE Pixel pixel_at(const Window& window, std::size_t index) {
  Pixel pixel;
  pixel.at[2] = index % window.axis[2].output;
  index /= window.axis[2].output;
  pixel.at[1] = index % window.axis[1].output;
  pixel.at[0] = index / window.axis[1].output;
  return pixel;
}

SDX_INLINE void next_pixel(const Window& window, Pixel& pixel) {
  if (++pixel.at[2] < window.axis[2].output) return;
  pixel.at[2] = 0;
  if (++pixel.at[1] < window.axis[1].output) return;
  pixel.at[1] = 0;
  ++pixel.at[0];
}

// Where tap 0 of output o lies.
SDX_INLINE std::ptrdiff_t first_input(const WindowAxis& axis, std::size_t o) {
  return static_cast<std::ptrdiff_t>(o * axis.stride) - axis.pad;
}

SDX_INLINE std::ptrdiff_t input_of(const WindowAxis& axis, std::size_t o, std::size_t tap) {
  return first_input(axis, o) + static_cast<std::ptrdiff_t>(tap * axis.dilation);
}

// Padding on either side fails one unsigned comparison.
SDX_INLINE bool is_inside(const WindowAxis& axis, std::ptrdiff_t input) {
  return static_cast<std::size_t>(input) < axis.input;
}

SDX_INLINE bool meets_no_padding(const WindowAxis& axis, std::size_t o) {
  return first_input(axis, o) >= 0 && is_inside(axis, input_of(axis, o, axis.taps - 1));
}

// The taps [begin, end) of an axis that lie inside the input for output o.
struct TapRange {
  std::size_t begin, end;
};
SDX_INLINE TapRange inside_taps(const WindowAxis& axis, std::size_t o) {
  const std::ptrdiff_t first = first_input(axis, o);
  const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(axis.dilation);
  const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(axis.input);
  const std::ptrdiff_t taps = static_cast<std::ptrdiff_t>(axis.taps);
  std::ptrdiff_t begin = first >= 0 ? 0 : -first;
  std::ptrdiff_t end = first >= size ? 0 : size - first;
  if (step != 1) {
    begin = (begin + step - 1) / step;
    end = (end + step - 1) / step;
  }
  if (end > taps) end = taps;
  if (begin > end) begin = end;
  return {static_cast<std::size_t>(begin), static_cast<std::size_t>(end)};
}

SDX_INLINE std::size_t tap_count(const Window& window) {
  return window.axis[0].taps * window.axis[1].taps * window.axis[2].taps;
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
