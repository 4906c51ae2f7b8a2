// Logic on bytes, and quotients of integers: every tier against scalars, in place or not.
#include <limits>

#include "kernels/divide.h"
#include "kernels/logic.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

template <class T>
using Pair = void(const T* a, std::size_t a_step, const T* b, std::size_t b_step, T* y,
                  std::size_t n);

// Operands move or stand still; results lie apart, or where an operand does that moves.
template <class T>
void check_pairs(const Kernel<Pair<T>, kIsaCount>& kernel, const std::vector<T>& values,
                 T (*expected)(T, T)) {
  for_each_variant(kernel, [&](Pair<T>* run) {
    for (std::size_t n = 0; n <= 2 * kLongest; ++n)
      for (const std::size_t a_step : {0, 1})
        for (const std::size_t b_step : {0, 1}) {
          Fenced<T> a(a_step ? n : 1), b(b_step ? n : 1), y(n);
          for (std::size_t i = 0; i < a.size(); ++i) a[i] = values[(i + n) % values.size()];
          for (std::size_t i = 0; i < b.size(); ++i)
            b[i] = values[(i / values.size() + 3 * i + n) % values.size()];
          Fenced<T> in_a(a), in_b(b);
          run(a.data(), a_step, b.data(), b_step, y.data(), n);
          if (a_step) run(in_a.data(), 1, b.data(), b_step, in_a.data(), n);
          if (b_step) run(a.data(), a_step, in_b.data(), 1, in_b.data(), n);
          std::size_t wrong = 0;
          for (std::size_t i = 0; i < n; ++i) {
            const T right = expected(a[i * a_step], b[i * b_step]);
            wrong += y[i] != right || (a_step && in_a[i] != right) || (b_step && in_b[i] != right);
          }
          CAPTURE(n);
          CHECK(wrong == 0);
        }
  });
}

TEST_CASE("logic on bytes of which any but 0 is true") {
  const std::vector<uint8_t> bytes{0, 1, 2, 0, 128, 255, 1, 0, 3};
  check_pairs<uint8_t>(logic_and, bytes, [](uint8_t a, uint8_t b) -> uint8_t { return a && b; });
  check_pairs<uint8_t>(logic_or, bytes, [](uint8_t a, uint8_t b) -> uint8_t { return a || b; });
  check_pairs<uint8_t>(logic_xor, bytes, [](uint8_t a, uint8_t b) -> uint8_t { return !a != !b; });
  for_each_variant(logic_not, [&](LogicNot* run) {
    for (std::size_t n = 0; n <= 2 * kLongest; ++n) {
      Fenced<uint8_t> x(n), y(n);
      for (std::size_t i = 0; i < n; ++i) x[i] = bytes[i % bytes.size()];
      run(x.data(), y.data(), n);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < n; ++i) wrong += y[i] != !x[i];
      run(x.data(), x.data(), n);
      for (std::size_t i = 0; i < n; ++i) wrong += y[i] != x[i];
      CHECK(wrong == 0);
    }
  });
}

int64_t truncated(int64_t a, int64_t b) { return b == 0 ? 0 : a / b; }

TEST_CASE("quotients and remainders of integers") {
  constexpr int32_t kLeast = std::numeric_limits<int32_t>::min(), kMost = -(kLeast + 1);
  const std::vector<int32_t> values{0,    1,   -1,     2,         -2,         3,       7,
                                    -7,   100, kLeast, kMost,     kLeast + 1, 65536,   46341,
                                    -999, 10,  -3,     kMost - 1, 12345,      1 << 30, -(1 << 30)};
  check_pairs<int32_t>(divide_i32, values,
                       [](int32_t a, int32_t b) { return static_cast<int32_t>(truncated(a, b)); });
  check_pairs<int32_t>(truncated_remainder_i32, values, [](int32_t a, int32_t b) {
    return b == 0 ? 0 : static_cast<int32_t>(a - truncated(a, b) * b);
  });
  check_pairs<int32_t>(floored_remainder_i32, values, [](int32_t a, int32_t b) {
    if (b == 0) return 0;
    const int64_t rest = a - truncated(a, b) * b;
    return static_cast<int32_t>(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
  });
}

}  // namespace
}  // namespace sdx::kernels
