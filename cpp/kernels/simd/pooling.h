// What pooling does to the inputs of a window, and what it divides by.
#pragma once

#include "kernels/pool.h"
#include "kernels/simd/window_taps.h"

namespace sdx::kernels {
namespace SDX_ISA {

SDX_INLINE float max(float a, float b) { return a > b ? a : b; }

// Folds of floats or vectors of them; they start empty. A NaN is kept apart, so that no order of
// the operands can lose it.
template <class V>
struct MaxFold {
  static constexpr bool kAverage = false;
  V largest = V{} - __builtin_inff();
  V nan = {};
  __attribute__((always_inline)) void add(V x) {
    largest = max(largest, x);
    nan = x != x ? x : nan;
  }
  __attribute__((always_inline)) V value() const { return nan != nan ? nan : largest; }
};

template <class V>
struct SumFold {
  static constexpr bool kAverage = true;
  V sum = {};
  __attribute__((always_inline)) void add(V x) { sum += x; }
  __attribute__((always_inline)) V value() const { return sum; }
};

// Taps of output o that count: inside the image or, including padding, inside the padded image.
SDX_INLINE std::size_t counted_taps(const WindowAxis& axis, std::ptrdiff_t pad_end,
                                    bool count_padding, std::size_t o) {
  if (!count_padding) {
    const TapRange range = inside_taps(axis, o);
    return range.end - range.begin;
  }
  WindowAxis padded = axis;
  const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(axis.input) + axis.pad + pad_end;
  padded.input = size > 0 ? static_cast<std::size_t>(size) : 0;
  padded.pad = 0;
  const TapRange range = inside_taps(padded, o);
  return range.end - range.begin;
}

// The part of the divisor that axes [begin, end) make.
SDX_INLINE float divisor(const PoolArgs& args, const Pixel& pixel, std::size_t begin = 0,
                         std::size_t end = 3) {
  float count = 1;
  for (std::size_t d = begin; d < end; ++d)
    count *= static_cast<float>(
        counted_taps(args.window.axis[d], args.pad_end[d], args.count_padding, pixel.at[d]));
  return count;
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
