// The fast Fourier transforms of fourier_transform.h.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "base/checked.h"
#include "base/interrupt.h"
#include "ops/fourier_transform.h"

namespace sdx::ops {
namespace {

// A factor r costs r operations a value: beyond this the chirp is cheaper.
constexpr int kLargestRadix = 13;

// exp(-2 pi i k / n) for 0 <= k <= n, from an angle of at most 45 degrees.
template <class T>
Complex<T> root(int64_t k, int64_t n) {
  if (2 * k > n) return conj(root<T>(n - k, n));
  const auto at = [n](int64_t eighths) {  // an angle in eighths of 2 pi / n
    return std::numbers::pi / 4 * (static_cast<double>(eighths) / static_cast<double>(n));
  };
  const auto rounded = [](double re, double im) {
    return Complex<T>{static_cast<T>(re), static_cast<T>(im)};
  };
  const int64_t t = 8 * k;
  if (t <= n) return rounded(std::cos(at(t)), -std::sin(at(t)));
  if (t <= 3 * n) return rounded(-std::sin(at(t - 2 * n)), -std::cos(at(t - 2 * n)));
  return rounded(-std::cos(at(4 * n - t)), -std::sin(at(4 * n - t)));
}

template <class T>
CountedVector<Complex<T>> roots_of(int64_t n, int64_t count) {
  CountedVector<Complex<T>> roots(static_cast<std::size_t>(count));
  for (int64_t k = 0; k < count; ++k) roots[static_cast<std::size_t>(k)] = root<T>(k, n);
  return roots;
}

// Empty where a factor is too large.
std::vector<int> small_factors(int64_t n) {
  std::vector<int> factors;
  for (const int factor : {4, 2, 3, 5, 7, 11, kLargestRadix})
    for (; n % factor == 0; n /= factor) factors.push_back(factor);
  if (n != 1) factors.clear();
  return factors;
}

// -i z.
template <class T>
Complex<T> turn(Complex<T> z) {
  return {z.im, -z.re};
}

struct Butterfly2 {
  template <class T>
  void operator()(Complex<T> (&a)[2]) const {
    const Complex<T> b = a[0] - a[1];
    a[0] = a[0] + a[1];
    a[1] = b;
  }
};

struct Butterfly3 {
  template <class T>
  void operator()(Complex<T> (&a)[3]) const {
    constexpr T kSine = static_cast<T>(0.86602540378443864676), kHalf = static_cast<T>(0.5);
    const Complex<T> sum = a[1] + a[2], difference = a[1] - a[2];
    const Complex<T> middle{a[0].re - kHalf * sum.re, a[0].im - kHalf * sum.im};
    const Complex<T> side{kSine * difference.im, -kSine * difference.re};
    a[0] = a[0] + sum;
    a[1] = middle + side;
    a[2] = middle - side;
  }
};

struct Butterfly4 {
  template <class T>
  void operator()(Complex<T> (&a)[4]) const {
    const Complex<T> even = a[0] + a[2], even_difference = a[0] - a[2];
    const Complex<T> odd = a[1] + a[3], odd_difference = turn(a[1] - a[3]);
    a[0] = even + odd;
    a[1] = even_difference + odd_difference;
    a[2] = even - odd;
    a[3] = even_difference - odd_difference;
  }
};

// Of any odd radix: terms j and r - j share their cosines and sines.
template <class T, int kRadix>
struct ButterflyOdd {
  Complex<T> roots[kRadix];

  explicit ButterflyOdd(const CountedVector<Complex<T>>& all) {
    const std::size_t step = all.size() / kRadix;
    for (std::size_t k = 0; k < kRadix; ++k) roots[k] = all[k * step];
  }
  void operator()(Complex<T> (&a)[kRadix]) const {
    constexpr int kHalf = kRadix / 2;
    Complex<T> sums[kHalf], differences[kHalf], total = a[0];
#pragma GCC unroll 8
    for (int j = 0; j < kHalf; ++j) {
      sums[j] = a[j + 1] + a[kRadix - 1 - j];
      differences[j] = a[j + 1] - a[kRadix - 1 - j];
      total = total + sums[j];
    }
    const Complex<T> first = a[0];
    a[0] = total;
#pragma GCC unroll 8
    for (int k = 1; k <= kHalf; ++k) {
      Complex<T> even = first, odd;
#pragma GCC unroll 8
      for (int j = 0; j < kHalf; ++j) {
        const Complex<T> w = roots[(j + 1) * k % kRadix];
        even.re += w.re * sums[j].re;
        even.im += w.re * sums[j].im;
        odd.re -= w.im * differences[j].im;
        odd.im += w.im * differences[j].re;
      }
      a[k] = even + odd;
      a[kRadix - k] = even - odd;
    }
  }
};

// One pass: `stride` interleaved transforms of length r m become r times as many of length m.
template <int kRadix, class T, class Butterfly>
void run_stage(const Complex<T>* x, Complex<T>* y, int64_t m, int64_t stride,
               const Complex<T>* roots, const Butterfly& butterfly) {
  for (int64_t p = 0; p < m; ++p) {
    constexpr int64_t kLook = 1 << 12;
    if (p % kLook == kLook - 1 && Interrupt::due()) return;
    Complex<T> twiddles[kRadix];
    for (int k = 1; k < kRadix; ++k) twiddles[k] = roots[p * k * stride];
    const Complex<T>* from = x + p * stride;
    Complex<T>* to = y + p * kRadix * stride;
    for (int64_t q = 0; q < stride; ++q) {
      Complex<T> a[kRadix];
      for (int j = 0; j < kRadix; ++j) a[j] = from[q + j * m * stride];
      butterfly(a);
      to[q] = a[0];
      for (int k = 1; k < kRadix; ++k) to[q + k * stride] = a[k] * twiddles[k];
    }
  }
}

template <class T>
Complex<T> swapped(Complex<T> z) {
  return {z.im, z.re};
}

}  // namespace

template <class T>
FourierTransform<T>::FourierTransform(int64_t size)
    : size_(size), work_count_(size), radices_(small_factors(size)) {
  check(size > 0, "a transform of length ", size);
  if (size == 1) return;
  if (!radices_.empty()) {
    roots_ = roots_of<T>(size, size);
    return;
  }
  // j k = (j^2 + k^2 - (k - j)^2) / 2 makes the sum a convolution, here by transforms of a power of
  // two that holds it without wrapping around.
  int64_t padded = 1;
  while (padded < checked_mul(2, size) - 1) padded = checked_mul(padded, 2);
  convolution_ = std::make_unique<FourierTransform>(padded);
  work_count_ = checked_add(padded, convolution_->work_count());
  const auto n = static_cast<std::size_t>(size), m = static_cast<std::size_t>(padded);
  chirp_.resize(n);
  uint64_t square = 0;  // k^2 mod 2 n
  for (std::size_t k = 0; k < n; ++k) {
    chirp_[k] = root<T>(static_cast<int64_t>(square), 2 * size);
    square = (square + 2 * k + 1) % (2 * n);
  }
  CountedVector<Value> filter(m), work(static_cast<std::size_t>(convolution_->work_count()));
  for (std::size_t k = 0; k < n; ++k) {
    filter[k] = conj(chirp_[k]);
    if (k > 0) filter[m - k] = filter[k];
  }
  const Value* transformed = convolution_->run(filter.data(), work.data());
  filter_.assign(transformed, transformed + m);
  for (Value& z : filter_) {
    z.re /= static_cast<T>(m);
    z.im /= static_cast<T>(m);
  }
}

template <class T>
Complex<T>* FourierTransform<T>::run(Value* x, Value* work) const {
  if (size_ == 1) return x;
  return convolution_ ? run_chirp(x, work) : run_stages(x, work);
}

template <class T>
Complex<T>* FourierTransform<T>::run_stages(Value* x, Value* work) const {
  int64_t stride = 1;
  for (const int radix : radices_) {
    if (Interrupt::due()) return x;  // nobody will read it
    const int64_t m = size_ / stride / radix;
    const auto stage = [&]<int kRadix>(const auto& butterfly) {
      run_stage<kRadix>(x, work, m, stride, roots_.data(), butterfly);
    };
    switch (radix) {
      case 2:
        stage.template operator()<2>(Butterfly2{});
        break;
      case 3:
        stage.template operator()<3>(Butterfly3{});
        break;
      case 4:
        stage.template operator()<4>(Butterfly4{});
        break;
      case 5:
        stage.template operator()<5>(ButterflyOdd<T, 5>(roots_));
        break;
      case 7:
        stage.template operator()<7>(ButterflyOdd<T, 7>(roots_));
        break;
      case 11:
        stage.template operator()<11>(ButterflyOdd<T, 11>(roots_));
        break;
      default:
        stage.template operator()<kLargestRadix>(ButterflyOdd<T, kLargestRadix>(roots_));
    }
    std::swap(x, work);
    stride *= radix;
  }
  return x;
}

template <class T>
Complex<T>* FourierTransform<T>::run_chirp(Value* x, Value* work) const {
  const int64_t padded = convolution_->size();
  Value *a = work, *spare = work + padded;
  for (int64_t k = 0; k < size_; ++k) a[k] = x[k] * chirp_[static_cast<std::size_t>(k)];
  std::fill(a + size_, a + padded, Value{});
  Value* product = convolution_->run(a, spare);
  // An inverse transform is a forward one with real and imaginary parts exchanged on both sides.
  for (int64_t k = 0; k < padded; ++k)
    product[k] = swapped(product[k] * filter_[static_cast<std::size_t>(k)]);
  const Value* sums = convolution_->run(product, product == a ? spare : a);
  for (int64_t k = 0; k < size_; ++k) x[k] = swapped(sums[k]) * chirp_[static_cast<std::size_t>(k)];
  return x;
}

template <class T>
RealFourierTransform<T>::RealFourierTransform(int64_t size)
    : size_(size), complex_(size % 2 == 0 ? size / 2 : size) {
  if (size % 2 == 0) roots_ = roots_of<T>(size, size / 2 + 1);
}

template <class T>
int64_t RealFourierTransform<T>::work_count() const {
  return checked_add(complex_.size(), complex_.work_count());
}

template <class T>
void RealFourierTransform<T>::forward(const T* x, Value* bins, Value* work) const {
  Value* z = work;
  Value* spare = work + complex_.size();
  if (size_ % 2 != 0) {
    for (int64_t j = 0; j < size_; ++j) z[j] = {x[j], 0};
    const Value* all = complex_.run(z, spare);
    std::copy_n(all, this->bins(), bins);
    return;
  }
  // Even values are the real parts, odd ones the imaginary parts; their spectra part by symmetry.
  constexpr T kHalf = static_cast<T>(0.5);
  const int64_t half = size_ / 2;
  for (int64_t j = 0; j < half; ++j) z[j] = {x[2 * j], x[2 * j + 1]};
  z = complex_.run(z, spare);
  for (int64_t k = 0; k <= half; ++k) {
    const Value a = z[k < half ? k : 0], b = conj(z[k > 0 ? half - k : 0]);
    const Value even = a + b;
    const Value odd = turn(a - b) * roots_[static_cast<std::size_t>(k)];
    bins[k] = {kHalf * (even.re + odd.re), kHalf * (even.im + odd.im)};
  }
}

template <class T>
void RealFourierTransform<T>::inverse(const Value* bins, T* x, Value* work) const {
  Value* z = work;
  Value* spare = work + complex_.size();
  if (size_ % 2 != 0) {
    z[0] = {0, bins[0].re};
    for (int64_t k = 1; k < this->bins(); ++k) {
      z[k] = swapped(bins[k]);
      z[size_ - k] = swapped(conj(bins[k]));
    }
    const Value* all = complex_.run(z, spare);
    for (int64_t j = 0; j < size_; ++j) x[j] = all[j].im;
    return;
  }
  const int64_t half = size_ / 2;
  const auto bin = [&](int64_t k) { return k == 0 || k == half ? Value{bins[k].re, 0} : bins[k]; };
  for (int64_t k = 0; k < half; ++k) {
    const Value a = bin(k), b = conj(bin(half - k));
    const Value odd = (a - b) * conj(roots_[static_cast<std::size_t>(k)]);
    z[k] = {a.im + b.im + odd.re, a.re + b.re - odd.im};
  }
  z = complex_.run(z, spare);
  for (int64_t j = 0; j < half; ++j) {
    x[2 * j] = z[j].im;
    x[2 * j + 1] = z[j].re;
  }
}

template class FourierTransform<float>;
template class FourierTransform<double>;
template class RealFourierTransform<float>;
template class RealFourierTransform<double>;

}  // namespace sdx::ops
