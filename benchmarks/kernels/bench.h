// Timing of one kernel variant, and the families of kernels that are timed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel.h"

namespace sdx::bench {

// Floats and bytes aligned to 64, which is more than kernels ask for but keeps runs comparable.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t count, T value = T(1)) : items_(count + 64 / sizeof(T), value) {}
  T* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(items_.data());
    return items_.data() + (64 - address % 64) % 64 / sizeof(T);
  }

 private:
  std::vector<T> items_;
};

// Floats in (-2, 2), the same in every run.
Buffer<float> random_floats(std::size_t count);

// Of one call. Integer products have peaks of their own, so no share is shown for them.
struct Work {
  double flops = 0;
  double bytes = 0;
  bool integer = false;
  bool cold = false;  // the bytes come from memory, however few
};

class Bench {
 public:
  // Words that a line must contain, all of them.
  Bench(std::vector<std::string> words, double seconds);

  // Times `run` and prints a line, unless the host cannot run the tier or nobody asked for it.
  void time(std::string_view kernel, kernels::Isa isa, const std::string& shape, const Work& work,
            const std::function<void()>& run) const;

 private:
  // What a tier can do at most, measured when first asked for.
  struct Roof {
    double flops = 0;                              // a second
    std::vector<std::pair<double, double>> bytes;  // read again and again; a second
  };
  double roof_seconds(kernels::Isa isa, const Work& work) const;

  std::vector<std::string> words_;
  double seconds_;
  mutable std::map<kernels::Isa, Roof> roofs_;
};

void bench_matrix_products(const Bench& bench);
void bench_convolutions(const Bench& bench);
void bench_elementwise(const Bench& bench);
void bench_rows(const Bench& bench);
void bench_recurrent(const Bench& bench);
void bench_reductions(const Bench& bench);
void bench_quantization(const Bench& bench);
void bench_movement(const Bench& bench);
void bench_trees(const Bench& bench);
void bench_int4(const Bench& bench);
void bench_winograd_phases(const Bench& bench);
void bench_peaks(const Bench& bench);

}  // namespace sdx::bench
