// Quantisation against ONNX's definition.
#include <algorithm>
#include <cmath>

#include "kernels/quantize.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

template <class T>
T quantized(float x, float scale, int32_t zero_point) {
  const float rounded = std::nearbyint(x / scale) + static_cast<float>(zero_point);
  const float lo = std::numeric_limits<T>::min(), hi = std::numeric_limits<T>::max();
  return static_cast<T>(std::min(std::max(rounded, lo), hi));
}

template <class T, class Fn>
void check_quantize(const Kernel<Fn, kIsaCount>& kernel, std::initializer_list<int32_t> zeros) {
  for_each_variant(kernel, [&](Fn* run) {
    for (std::size_t n = 0; n <= kLongest; ++n)
      for (const int32_t zero_point : zeros) {
        Fenced<float> x = Values(static_cast<unsigned>(n)).floats(n, -20, 20);
        for (std::size_t i = 0; i < n; i += 3) x[i] = std::floor(x[i] * 10) / 20;  // halves of 0.1
        const float edges[] = {0.05f, -0.05f, 1e30f, -1e30f, kInf, -kInf, -0.0f};
        for (std::size_t i = 0; i < n; i += 5) x[i] = edges[i / 5 % 7];
        Fenced<T> y(n);
        run(x.data(), y.data(), n, 0.1f, zero_point);
        for (std::size_t i = 0; i < n; ++i) {
          CAPTURE(x[i]);
          CHECK(int{y[i]} == int{quantized<T>(x[i], 0.1f, zero_point)});
        }
      }
    T y = 7;
    run(&kNan, &y, 1, 1, 5);
    CHECK(y == std::numeric_limits<T>::min());
  });
}

template <class T, class Fn>
void check_dequantize(const Kernel<Fn, kIsaCount>& kernel, int lo, int hi) {
  for_each_variant(kernel, [&](Fn* run) {
    for (std::size_t n = 0; n <= kLongest; ++n) {
      const Fenced<T> x = Values(static_cast<unsigned>(n)).integers<T>(n, lo, hi);
      Fenced<float> y(n);
      run(x.data(), y.data(), n, 0.3f, 3);
      for (std::size_t i = 0; i < n; ++i)
        CHECK(y[i] == static_cast<float>(static_cast<int32_t>(x[i]) - 3) * 0.3f);
    }
  });
}

}  // namespace

TEST_CASE("quantize_u8 and quantize_s8 round halves to even and saturate") {
  check_quantize<uint8_t>(quantize_u8, {0, 128, 255});
  check_quantize<int8_t>(quantize_s8, {0, -128, 127});
}

TEST_CASE("dequantize") {
  check_dequantize<uint8_t>(dequantize_u8, 0, 255);
  check_dequantize<int8_t>(dequantize_s8, -128, 127);
  check_dequantize<int32_t>(dequantize_s32, -2000000000, 2000000000);
}

TEST_CASE("min_max passes over NaN") {
  for_each_variant(min_max, [](MinMaxOf* run) {
    const MinMax none = run(nullptr, 0);
    CHECK(none.min == kInf);
    CHECK(none.max == -kInf);
    for (std::size_t n = 2; n <= 2 * kLongest; ++n) {
      Fenced<float> x = Values(static_cast<unsigned>(n)).floats(n);
      const auto [least, greatest] = std::minmax_element(x.begin(), x.end());
      const float min = *least, max = *greatest;
      for (std::size_t i = 0; i < n; ++i)
        if (i % 3 == 0 && x[i] != min && x[i] != max) x[i] = kNan;
      const MinMax found = run(x.data(), n);
      CHECK(found.min == min);
      CHECK(found.max == max);
    }
  });
}

}  // namespace sdx::kernels
