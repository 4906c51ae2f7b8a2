// Reductions of rows and columns and positions of extremes against scalar loops in double.
#include <cmath>

#include "kernels/reduce.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

struct Case {
  const Kernel<ReduceRows, kIsaCount>& rows;
  const Kernel<ReduceColumns, kIsaCount>& columns;
  double neutral;
  double (*add)(double total, double x);
};

double greatest(double a, double b) { return std::isnan(a) || a > b ? a : b; }
double least(double a, double b) { return std::isnan(a) || a < b ? a : b; }

const Case kCases[] = {
    {reduce_sum_rows, reduce_sum_columns, 0, [](double t, double x) { return t + x; }},
    {reduce_sum_square_rows, reduce_sum_square_columns, 0,
     [](double t, double x) { return t + x * x; }},
    {reduce_l1_rows, reduce_l1_columns, 0, [](double t, double x) { return t + std::fabs(x); }},
    {reduce_prod_rows, reduce_prod_columns, 1, [](double t, double x) { return t * x; }},
    {reduce_max_rows, reduce_max_columns, -kInf, greatest},
    {reduce_min_rows, reduce_min_columns, kInf, least},
};

// Sums of numbers of one sign, so that a relative error means something.
Fenced<float> input(const Case& c, std::size_t n) {
  const bool product = &c.rows == &reduce_prod_rows;
  return Values(static_cast<unsigned>(n)).floats(n, product ? 0.95f : 1, product ? 1.05f : 3);
}

}  // namespace

TEST_CASE("reductions of rows") {
  for (const Case& c : kCases)
    for_each_variant(c.rows, [&](ReduceRows* run) {
      for (std::size_t cols = 0; cols <= 200000; cols = cols < kLongest ? cols + 1 : cols * 5 + 1) {
        const std::size_t rows = cols <= kLongest ? 41 : 2;
        const Fenced<float> x = input(c, rows * cols);
        Fenced<float> y(rows);
        run(x.data(), y.data(), rows, cols);
        for (std::size_t r = 0; r < rows; ++r) {
          double want = c.neutral;
          for (std::size_t i = 0; i < cols; ++i) want = c.add(want, x[r * cols + i]);
          const bool product = &c.rows == &reduce_prod_rows;
          CAPTURE(cols);
          CHECK_MESSAGE(close(y[r], want, product ? 1e-4 : 4e-7), y[r], " for ", want);
        }
      }
    });
}

TEST_CASE("reductions of columns") {
  for (const Case& c : kCases)
    for_each_variant(c.columns, [&](ReduceColumns* run) {
      for (std::size_t cols = 0; cols <= kLongest; ++cols)
        for (const std::size_t rows : {0, 1, 63, 64, 130, 3001}) {
          if (rows > 200 && cols % 16 != 1) continue;
          const std::size_t stride = cols + 3;
          const Fenced<float> x = input(c, rows ? (rows - 1) * stride + cols : 0);
          Fenced<float> y(cols);
          run(x.data(), stride, y.data(), rows, cols);
          for (std::size_t i = 0; i < cols; ++i) {
            double want = c.neutral;
            for (std::size_t r = 0; r < rows; ++r) want = c.add(want, x[r * stride + i]);
            const bool product = &c.rows == &reduce_prod_rows;
            CHECK_MESSAGE(close(y[i], want, product ? 1e-4 : 4e-7), y[i], " for ", want);
          }
        }
    });
}

TEST_CASE("reductions meet NaN and infinities") {
  for (const Case& c : kCases)
    for (const float odd : {kNan, kInf, -kInf})
      for (const std::size_t n : {1, 5, 40, 3000})
        for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
          Fenced<float> x(n, 1.0f);
          x[at] = odd;
          double want = c.neutral;
          for (const float v : x) want = c.add(want, v);
          if (std::isnan(odd)) want = kNan;
          CAPTURE(odd);
          CAPTURE(n);
          float y = 0;
          for_each_variant(c.rows, [&](ReduceRows* run) {
            run(x.data(), &y, 1, n);
            CHECK_MESSAGE(close(y, want, 0), y, " for ", want);
          });
          for_each_variant(c.columns, [&](ReduceColumns* run) {
            run(x.data(), 1, &y, n, 1);
            CHECK_MESSAGE(close(y, want, 0), y, " for ", want);
          });
        }
}

TEST_CASE("reduce_log_sum_exp_rows") {
  for_each_variant(reduce_log_sum_exp_rows, [](ReduceRows* run) {
    for (std::size_t cols = 1; cols <= kLongest; ++cols) {
      const Fenced<float> x = Values(2).floats(cols, 90, 120);  // exp itself would overflow
      double sum = 0;
      for (const float v : x) sum += std::exp(v - 100.0);
      float y = 0;
      run(x.data(), &y, 1, cols);
      CHECK(close(y, std::log(sum) + 100, 3e-7));
    }
    float y = 0;
    run(nullptr, &y, 1, 0);
    CHECK(y == -kInf);
    for (const float odd : {kInf, -kInf, kNan}) {
      const Fenced<float> x(20, odd);
      run(x.data(), &y, 1, 20);
      CHECK(close(y, odd, 0));
    }
  });
}

TEST_CASE("extremes of many short rows of which some have a NaN") {
  for (const bool greatest_wanted : {true, false})
    for_each_variant(greatest_wanted ? reduce_max_rows : reduce_min_rows, [&](ReduceRows* run) {
      constexpr std::size_t kRows = 50;
      for (std::size_t cols = 1; cols <= kLongest; ++cols) {
        Fenced<float> x = Values(static_cast<unsigned>(cols)).floats(kRows * cols);
        for (std::size_t i = 0; i < x.size(); i += 3 * cols + 1) x[i] = kNan;
        Fenced<float> y(kRows);
        run(x.data(), y.data(), kRows, cols);
        for (std::size_t r = 0; r < kRows; ++r) {
          float one = 0;
          run(x.data() + r * cols, &one, 1, cols);
          CAPTURE(cols);
          CHECK(close(y[r], one, 0));
        }
      }
    });
}

namespace {

std::size_t place_of_extreme(const float* x, std::size_t n, bool greatest_wanted, ArgTie tie) {
  std::size_t want = 0;
  for (std::size_t i = 1; i < n; ++i) {
    const float a = x[i], b = x[want];
    const bool equal = a == b || (std::isnan(a) && std::isnan(b));
    const bool better = std::isnan(a) ? !std::isnan(b) : greatest_wanted ? a > b : a < b;
    if (equal ? tie == ArgTie::last : better) want = i;
  }
  return want;
}

}  // namespace

TEST_CASE("argmax and argmin: ties, NaN, every length, one row and many") {
  for (const bool greatest_wanted : {true, false})
    for_each_variant(greatest_wanted ? argmax_rows : argmin_rows, [&](ArgRows* run) {
      for (std::size_t cols = 1; cols <= 2 * kLongest; ++cols)
        for (const int odd : {0, 1, 2})  // how many NaN in a row on average
          for (const ArgTie tie : {ArgTie::first, ArgTie::last})
            for (const std::size_t rows : {1, 35}) {
              Values values(static_cast<unsigned>(cols));
              const std::size_t count = rows * cols;
              Fenced<float> x(count);
              const auto small = values.integers<int>(count, -4, 4);
              for (std::size_t i = 0; i < count; ++i) x[i] = static_cast<float>(small[i]);
              for (std::size_t k = 0; k < static_cast<std::size_t>(odd) * rows; ++k)
                x[static_cast<std::size_t>(
                    values.integers<int>(1, 0, static_cast<int>(count) - 1)[0])] = kNan;
              Fenced<int64_t> y(rows);
              run(x.data(), y.data(), rows, cols, tie);
              std::size_t wrong = 0;
              for (std::size_t r = 0; r < rows; ++r)
                wrong += y[r] != static_cast<int64_t>(place_of_extreme(x.data() + r * cols, cols,
                                                                       greatest_wanted, tie));
              CAPTURE(cols);
              CAPTURE(rows);
              CHECK(wrong == 0);
            }
    });
}

}  // namespace sdx::kernels
