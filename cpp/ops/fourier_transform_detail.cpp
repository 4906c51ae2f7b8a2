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
Complex root(int64_t k, int64_t n) {
  if (2 * k > n) return conj(root(n - k, n));
  const auto at = [n](int64_t eighths) {  // an angle in eighths of 2 pi / n
    return std::numbers::pi / 4 * (static_cast<double>(eighths) / static_cast<double>(n));
  };
  const int64_t t = 8 * k;
  if (t <= n) return {std::cos(at(t)), -std::sin(at(t))};
  if (t <= 3 * n) return {-std::sin(at(t - 2 * n)), -std::cos(at(t - 2 * n))};
  return {-std::cos(at(4 * n - t)), -std::sin(at(4 * n - t))};
}

CountedVector<Complex> roots_of(int64_t n, int64_t count) {
  CountedVector<Complex> roots(static_cast<std::size_t>(count));
  for (int64_t k = 0; k < count; ++k) roots[static_cast<std::size_t>(k)] = root(k, n);
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
Complex turn(Complex z) { return {z.im, -z.re}; }

struct Butterfly2 {
  void operator()(Complex (&a)[2]) const {
    const Complex b = a[0] - a[1];
    a[0] = a[0] + a[1];
    a[1] = b;
  }
};

struct Butterfly3 {
  void operator()(Complex (&a)[3]) const {
    constexpr double kSine = 0.86602540378443864676;
    const Complex sum = a[1] + a[2], difference = a[1] - a[2];
    const Complex middle{a[0].re - 0.5 * sum.re, a[0].im - 0.5 * sum.im};
    const Complex side{kSine * difference.im, -kSine * difference.re};
    a[0] = a[0] + sum;
    a[1] = middle + side;
    a[2] = middle - side;
  }
};

struct Butterfly4 {
  void operator()(Complex (&a)[4]) const {
    const Complex even = a[0] + a[2], even_difference = a[0] - a[2];
    const Complex odd = a[1] + a[3], odd_difference = turn(a[1] - a[3]);
    a[0] = even + odd;
    a[1] = even_difference + odd_difference;
    a[2] = even - odd;
    a[3] = even_difference - odd_difference;
  }
};

// Of any odd radix: terms j and r - j share their cosines and sines.
template <int kRadix>
struct ButterflyOdd {
  Complex roots[kRadix];

  explicit ButterflyOdd(const CountedVector<Complex>& all) {
    const std::size_t step = all.size() / kRadix;
    for (std::size_t k = 0; k < kRadix; ++k) roots[k] = all[k * step];
  }
  void operator()(Complex (&a)[kRadix]) const {
    constexpr int kHalf = kRadix / 2;
    Complex sums[kHalf], differences[kHalf], total = a[0];
    for (int j = 0; j < kHalf; ++j) {
      sums[j] = a[j + 1] + a[kRadix - 1 - j];
      differences[j] = a[j + 1] - a[kRadix - 1 - j];
      total = total + sums[j];
    }
    const Complex first = a[0];
    a[0] = total;
    for (int k = 1; k <= kHalf; ++k) {
      Complex even = first, odd;
      for (int j = 0; j < kHalf; ++j) {
        const Complex w = roots[(j + 1) * k % kRadix];
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
template <int kRadix, class Butterfly>
void run_stage(const Complex* x, Complex* y, int64_t m, int64_t stride, const Complex* roots,
               const Butterfly& butterfly) {
  for (int64_t p = 0; p < m; ++p) {
    constexpr int64_t kLook = 1 << 12;
    if (p % kLook == kLook - 1 && Interrupt::due()) return;
    Complex twiddles[kRadix];
    for (int k = 1; k < kRadix; ++k) twiddles[k] = roots[p * k * stride];
    const Complex* from = x + p * stride;
    Complex* to = y + p * kRadix * stride;
    for (int64_t q = 0; q < stride; ++q) {
      Complex a[kRadix];
      for (int j = 0; j < kRadix; ++j) a[j] = from[q + j * m * stride];
      butterfly(a);
      to[q] = a[0];
      for (int k = 1; k < kRadix; ++k) to[q + k * stride] = a[k] * twiddles[k];
    }
  }
}

Complex swapped(Complex z) { return {z.im, z.re}; }

}  // namespace

FourierTransform::FourierTransform(int64_t size)
    : size_(size), work_count_(size), radices_(small_factors(size)) {
  check(size > 0, "a transform of length ", size);
  if (size == 1) return;
  if (!radices_.empty()) {
    roots_ = roots_of(size, size);
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
    chirp_[k] = root(static_cast<int64_t>(square), 2 * size);
    square = (square + 2 * k + 1) % (2 * n);
  }
  CountedVector<Complex> filter(m), work(static_cast<std::size_t>(convolution_->work_count()));
  for (std::size_t k = 0; k < n; ++k) {
    filter[k] = conj(chirp_[k]);
    if (k > 0) filter[m - k] = filter[k];
  }
  const Complex* transformed = convolution_->run(filter.data(), work.data());
  filter_.assign(transformed, transformed + m);
  for (Complex& z : filter_) {
    z.re /= static_cast<double>(m);
    z.im /= static_cast<double>(m);
  }
}

Complex* FourierTransform::run(Complex* x, Complex* work) const {
  if (size_ == 1) return x;
  return convolution_ ? run_chirp(x, work) : run_stages(x, work);
}

Complex* FourierTransform::run_stages(Complex* x, Complex* work) const {
  int64_t stride = 1;
  for (const int radix : radices_) {
    if (Interrupt::due()) return x;  // nobody will read it
    const int64_t m = size_ / stride / radix;
    const auto stage = [&]<int kRadix>(const auto& butterfly) {
      run_stage<kRadix>(x, work, m, stride, roots_.data(), butterfly);
    };
    switch (radix) {
      case 2:
        stage.operator()<2>(Butterfly2{});
        break;
      case 3:
        stage.operator()<3>(Butterfly3{});
        break;
      case 4:
        stage.operator()<4>(Butterfly4{});
        break;
      case 5:
        stage.operator()<5>(ButterflyOdd<5>(roots_));
        break;
      case 7:
        stage.operator()<7>(ButterflyOdd<7>(roots_));
        break;
      case 11:
        stage.operator()<11>(ButterflyOdd<11>(roots_));
        break;
      default:
        stage.operator()<kLargestRadix>(ButterflyOdd<kLargestRadix>(roots_));
    }
    std::swap(x, work);
    stride *= radix;
  }
  return x;
}

Complex* FourierTransform::run_chirp(Complex* x, Complex* work) const {
  const int64_t padded = convolution_->size();
  Complex *a = work, *spare = work + padded;
  for (int64_t k = 0; k < size_; ++k) a[k] = x[k] * chirp_[static_cast<std::size_t>(k)];
  std::fill(a + size_, a + padded, Complex{});
  Complex* product = convolution_->run(a, spare);
  // An inverse transform is a forward one with real and imaginary parts exchanged on both sides.
  for (int64_t k = 0; k < padded; ++k)
    product[k] = swapped(product[k] * filter_[static_cast<std::size_t>(k)]);
  const Complex* sums = convolution_->run(product, product == a ? spare : a);
  for (int64_t k = 0; k < size_; ++k) x[k] = swapped(sums[k]) * chirp_[static_cast<std::size_t>(k)];
  return x;
}

RealFourierTransform::RealFourierTransform(int64_t size)
    : size_(size), complex_(size % 2 == 0 ? size / 2 : size) {
  if (size % 2 == 0) roots_ = roots_of(size, size / 2 + 1);
}

int64_t RealFourierTransform::work_count() const {
  return checked_add(complex_.size(), complex_.work_count());
}

void RealFourierTransform::forward(const double* x, Complex* bins, Complex* work) const {
  Complex* z = work;
  Complex* spare = work + complex_.size();
  if (size_ % 2 != 0) {
    for (int64_t j = 0; j < size_; ++j) z[j] = {x[j], 0};
    const Complex* all = complex_.run(z, spare);
    std::copy_n(all, this->bins(), bins);
    return;
  }
  // Even values are the real parts, odd ones the imaginary parts; their spectra part by symmetry.
  const int64_t half = size_ / 2;
  for (int64_t j = 0; j < half; ++j) z[j] = {x[2 * j], x[2 * j + 1]};
  z = complex_.run(z, spare);
  for (int64_t k = 0; k <= half; ++k) {
    const Complex a = z[k < half ? k : 0], b = conj(z[k > 0 ? half - k : 0]);
    const Complex even = a + b;
    const Complex odd = turn(a - b) * roots_[static_cast<std::size_t>(k)];
    bins[k] = {0.5 * (even.re + odd.re), 0.5 * (even.im + odd.im)};
  }
}

void RealFourierTransform::inverse(const Complex* bins, double* x, Complex* work) const {
  Complex* z = work;
  Complex* spare = work + complex_.size();
  if (size_ % 2 != 0) {
    z[0] = {0, bins[0].re};
    for (int64_t k = 1; k < this->bins(); ++k) {
      z[k] = swapped(bins[k]);
      z[size_ - k] = swapped(conj(bins[k]));
    }
    const Complex* all = complex_.run(z, spare);
    for (int64_t j = 0; j < size_; ++j) x[j] = all[j].im;
    return;
  }
  const int64_t half = size_ / 2;
  const auto bin = [&](int64_t k) {
    return k == 0 || k == half ? Complex{bins[k].re, 0} : bins[k];
  };
  for (int64_t k = 0; k < half; ++k) {
    const Complex a = bin(k), b = conj(bin(half - k));
    const Complex odd = (a - b) * conj(roots_[static_cast<std::size_t>(k)]);
    z[k] = swapped({a.re + b.re - odd.im, a.im + b.im + odd.re});
  }
  z = complex_.run(z, spare);
  for (int64_t j = 0; j < half; ++j) {
    x[2 * j] = z[j].im;
    x[2 * j + 1] = z[j].re;
  }
}

}  // namespace sdx::ops
