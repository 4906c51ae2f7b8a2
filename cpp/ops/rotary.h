// Rotation of one head's elements by angles whose cosines and sines are given.
#pragma once

#include <cstdint>

namespace sdx::ops {

// Pairs are (i, i + half), or neighbours where interleaved.
struct Rotation {
  int64_t width = 0;    // of a head
  int64_t rotated = 0;  // its first elements turn, an even number; the rest are copied
  bool interleaved = false;
};

// cos and sin hold rotated / 2 floats. x and y may be the same.
inline void rotate(const Rotation& r, const float* x, const float* cos, const float* sin,
                   float* y) {
  const int64_t half = r.rotated / 2;
  const int64_t step = r.interleaved ? 2 : 1, partner = r.interleaved ? 1 : half;
  for (int64_t i = 0; i < half; ++i) {
    const int64_t at = i * step;
    const float a = x[at], b = x[at + partner];
    y[at] = a * cos[i] - b * sin[i];
    y[at + partner] = b * cos[i] + a * sin[i];
  }
  for (int64_t i = r.rotated; i < r.width; ++i) y[i] = x[i];
}

}  // namespace sdx::ops
