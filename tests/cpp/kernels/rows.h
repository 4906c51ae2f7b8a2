// What the kernel tests share: every variant this machine can run, buffers that end where the
// kernel must stop, and values to feed.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "kernels/kernel.h"

namespace sdx::kernels {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Calls check(run) for each variant of the kernel that this machine can run.
template <class Fn, std::size_t N, class Check>
void for_each_variant(const Kernel<Fn, N>& kernel, Check check) {
  for (const auto& variant : kernel.variants) {
    if (variant.isa > host_isa()) continue;
    CAPTURE(kernel.name);
    CAPTURE(isa_name(variant.isa));
    check(variant.run);
  }
}

// n elements on the heap, exactly: the address sanitizer sees a step over either end.
template <class T>
class Exact {
 public:
  explicit Exact(std::size_t n, T fill = T{}) : data_(new T[n]), size_(n) {
    for (std::size_t i = 0; i < n; ++i) data_[i] = fill;
  }
  Exact(const Exact& other) : Exact(other.size_) {
    for (std::size_t i = 0; i < size_; ++i) data_[i] = other[i];
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  std::size_t size() const { return size_; }

 private:
  std::unique_ptr<T[]> data_;
  std::size_t size_;
};

// The same values in every run.
class Values {
 public:
  explicit Values(unsigned seed = 1) : engine_(seed) {}

  Exact<float> floats(std::size_t n, float lo = -3, float hi = 3) {
    Exact<float> values(n);
    std::uniform_real_distribution<float> uniform(lo, hi);
    for (float& value : values) value = uniform(engine_);
    return values;
  }
  // Integers of [lo, hi].
  template <class T>
  Exact<T> integers(std::size_t n, int lo, int hi) {
    Exact<T> values(n);
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
