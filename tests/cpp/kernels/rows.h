// What the kernel tests share: every variant this machine can run, buffers that end where the
// kernel must stop, and values to feed.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/fenced.h"
#include "kernels/kernel.h"

namespace sdx::kernels {

using test::Fenced;

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Calls check(run) for each variant of the kernel that this machine can run.
template <class Fn, std::size_t N, class Check>
void for_each_variant(const Kernel<Fn, N>& kernel, Check check) {
  for (const auto& variant : kernel.variants) {
    if (variant.isa > host_isa()) continue;
    INFO(std::string(kernel.name), " for ", std::string(isa_name(variant.isa)));
    check(variant.run);
  }
}

// The same values in every run.
class Values {
 public:
  explicit Values(unsigned seed = 1) : engine_(seed) {}

  Fenced<float> floats(std::size_t n, float lo = -3, float hi = 3) {
    Fenced<float> values(n);
    std::uniform_real_distribution<float> uniform(lo, hi);
    for (float& value : values) value = uniform(engine_);
    return values;
  }
  // Integers of [lo, hi].
  template <class T>
  Fenced<T> integers(std::size_t n, int lo, int hi) {
    Fenced<T> values(n);
    std::uniform_int_distribution<int> uniform(lo, hi);
    for (T& value : values) value = static_cast<T>(uniform(engine_));
    return values;
  }

 private:
  std::mt19937 engine_;
};

// Equal, or both NaN, or within relative * |expected| + absolute.
inline bool close(double actual, double expected, double relative, double absolute = 0) {
  if (std::isnan(expected)) return std::isnan(actual);
  if (actual == expected) return true;
  return std::fabs(actual - expected) <= relative * std::fabs(expected) + absolute;
}

// Sizes about every vector width up to four of the widest and one.
inline constexpr std::size_t kLongest = 65;

}  // namespace sdx::kernels
