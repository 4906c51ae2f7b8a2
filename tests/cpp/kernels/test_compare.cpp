// Comparisons and choices: every tier against scalars, operands that move and that stand still.
#include "kernels/compare.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

template <class T>
Fenced<T> operand(unsigned seed, std::size_t n) {
  auto values = Values(seed).integers<T>(n, -3, 3);
  if constexpr (std::is_floating_point_v<T>)
    for (std::size_t i = 0; i < n; i += 5) values[i] = kNan;
  return values;
}

template <class T>
bool holds(Relation relation, T a, T b) {
  switch (relation) {
    case Relation::equal:
      return a == b;
    case Relation::not_equal:
      return a != b;
    case Relation::greater:
      return a > b;
    case Relation::greater_or_equal:
      return a >= b;
  }
  return false;
}

template <class T>
void check_compare(const Kernel<Compare<T>, kIsaCount>& kernel) {
  for_each_variant(kernel, [&](Compare<T>* run) {
    for (std::size_t n = 0; n <= 2 * kLongest; ++n)
      for (const Relation relation :
           {Relation::equal, Relation::not_equal, Relation::greater, Relation::greater_or_equal})
        for (const std::size_t a_step : {0, 1})
          for (const std::size_t b_step : {0, 1}) {
            const auto a = operand<T>(1, a_step ? n : 1), b = operand<T>(2, b_step ? n : 1);
            Fenced<uint8_t> y(n);
            run(relation, a.data(), a_step, b.data(), b_step, y.data(), n);
            std::size_t wrong = 0;
            for (std::size_t i = 0; i < n; ++i)
              wrong += y[i] != (holds(relation, a[i * a_step], b[i * b_step]) ? 1 : 0);
            CAPTURE(n);
            CHECK(wrong == 0);
          }
  });
}

template <class T>
void check_select(const Kernel<Select<T>, kIsaCount>& kernel) {
  for_each_variant(kernel, [&](Select<T>* run) {
    for (std::size_t n = 0; n <= 2 * kLongest; ++n)
      for (const std::size_t x_step : {0, 1})
        for (const std::size_t y_step : {0, 1})
          for (const bool in_place : {false, true}) {
            const auto condition = Values(3).integers<uint8_t>(n, 0, 2);
            auto x = Values(4).integers<T>(x_step ? n : 1, 0, 99);
            const auto y = Values(5).integers<T>(y_step ? n : 1, 100, 199);
            const auto before = x;
            Fenced<T> result(n);
            T* to = in_place && x_step ? x.data() : result.data();
            run(condition.data(), x.data(), x_step, y.data(), y_step, to, n);
            std::size_t wrong = 0;
            for (std::size_t i = 0; i < n; ++i)
              wrong += to[i] != (condition[i] ? before[i * x_step] : y[i * y_step]);
            CAPTURE(n);
            CHECK(wrong == 0);
          }
  });
}

TEST_CASE("comparisons of numbers") {
  check_compare<float>(compare_f32);
  check_compare<int32_t>(compare_i32);
  check_compare<int64_t>(compare_i64);
}

TEST_CASE("choices by bytes") {
  check_select<uint32_t>(select_32);
  check_select<uint64_t>(select_64);
}

}  // namespace
}  // namespace sdx::kernels
