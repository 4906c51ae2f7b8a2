// Discrete Fourier transforms of any length in O(n log n), in float or double arithmetic.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ops/counted_vector.h"

namespace sdx::ops {

// std::complex asks about NaN in every product.
template <class T>
struct Complex {
  T re = 0, im = 0;

  friend Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
  friend Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
  friend Complex operator*(Complex a, Complex b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  }
};

template <class T>
Complex<T> conj(Complex<T> a) {
  return {a.re, -a.im};
}

// y[k] = sum of x[j] exp(-2 pi i j k / n). Lengths whose prime factors are small go by the
// self-sorting mixed-radix algorithm of Stockham (Cochran et al., "What is the fast Fourier
// transform?", 1967), others by a convolution with a chirp (Bluestein, "A linear filtering approach
// to the computation of the discrete Fourier transform", 1970).
template <class T>
class FourierTransform {
 public:
  using Value = Complex<T>;

  explicit FourierTransform(int64_t size);

  int64_t size() const { return size_; }
  // Values of `work` that run needs.
  int64_t work_count() const { return work_count_; }
  // Transforms the `size` values at x, which are lost. The result is at x or in `work`.
  Value* run(Value* x, Value* work) const;

 private:
  Value* run_stages(Value* x, Value* work) const;
  Value* run_chirp(Value* x, Value* work) const;

  int64_t size_, work_count_;
  std::vector<int> radices_;    // empty where the chirp is used
  CountedVector<Value> roots_;  // exp(-2 pi i k / n)
  CountedVector<Value> chirp_, filter_;
  std::unique_ptr<FourierTransform> convolution_;
};

// Transforms of real values: the bins 0 ... n / 2 of a spectrum whose other half mirrors them. Even
// lengths cost half a complex transform.
template <class T>
class RealFourierTransform {
 public:
  using Value = Complex<T>;

  explicit RealFourierTransform(int64_t size);

  int64_t size() const { return size_; }
  int64_t bins() const { return size_ / 2 + 1; }
  int64_t work_count() const;
  // The bins of the spectrum of x.
  void forward(const T* x, Value* bins, Value* work) const;
  // n times the real values of a spectrum; what bins 0 and n / 2 have of imaginary is left out.
  void inverse(const Value* bins, T* x, Value* work) const;

 private:
  int64_t size_;
  FourierTransform<T> complex_;  // of n / 2 pairs, or of n values where n is odd
  CountedVector<Value> roots_;
};

}  // namespace sdx::ops
