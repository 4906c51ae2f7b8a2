// Softmax kernels against the formula in double.
#include <algorithm>
#include <cmath>

#include "kernels/rows.h"
#include "kernels/softmax.h"

namespace sdx::kernels {
namespace {

std::vector<double> softmax(const float* x, const float* mask, std::size_t n, double scale) {
  std::vector<double> y(n);
  double peak = -kInf, sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    y[i] = scale * x[i] + (mask ? mask[i] : 0);
    peak = std::max(peak, y[i]);
  }
  for (double& value : y) sum += value = std::exp(value - peak);
  for (double& value : y) value /= sum;
  return y;
}

}  // namespace

TEST_CASE("softmax_rows and log_softmax_rows at every width, in place or not") {
  const auto lengths = [] {
    std::vector<std::size_t> all;
    for (std::size_t n = 0; n <= kLongest; ++n) all.push_back(n);
    all.insert(all.end(), {1000, 2049, 50000});
    return all;
  }();
  for (const auto* kernel : {&softmax_rows, &log_softmax_rows})
    for_each_variant(*kernel, [&](SoftmaxRows* run) {
      for (const std::size_t cols : lengths) {
        const std::size_t rows = cols < 60 ? 37 : 3;  // short rows are taken many at a time
        const Fenced<float> x = Values(7).floats(rows * cols, -12, 12);
        Fenced<float> y(rows * cols), same(x);
        run(x.data(), y.data(), rows, cols);
        run(same.data(), same.data(), rows, cols);
        for (std::size_t r = 0; r < rows; ++r) {
          const auto expected = softmax(x.data() + r * cols, nullptr, cols, 1);
          for (std::size_t c = 0; c < cols; ++c) {
            const bool is_log = kernel == &log_softmax_rows;
            const double want = is_log ? std::log(expected[c]) : expected[c];
            CAPTURE(cols);
            const double absolute = is_log ? 2.4e-7 : 0;  // the sum is rounded before its logarithm
            CHECK_MESSAGE(close(y[r * cols + c], want, 2e-6, absolute), y[r * cols + c], " for ",
                          want);
            CHECK(same[r * cols + c] == y[r * cols + c]);
          }
        }
      }
    });
}

TEST_CASE("softmax of rows with NaN and infinities is what the formula gives") {
  for_each_variant(softmax_rows, [](SoftmaxRows* run) {
    for (const std::size_t cols : {3, 40})
      for (const std::size_t rows : {1, 40}) {
        const std::size_t odd_row = rows / 2;
        Fenced<float> x(rows * cols, 1.0f), y(rows * cols);
        float* const odd_x = x.data() + odd_row * cols;
        const float* const odd_y = y.data() + odd_row * cols;
        odd_x[1] = -kInf;
        run(x.data(), y.data(), rows, cols);
        CHECK(odd_y[1] == 0);
        CHECK(close(odd_y[0], 1.0 / static_cast<double>(cols - 1), 1e-6));
        for (const float odd : {kNan, kInf}) {
          odd_x[2] = odd;
          run(x.data(), y.data(), rows, cols);
          CHECK(std::isnan(odd_y[2]));
          if (odd_row > 0) CHECK(close(y[0], 1.0 / static_cast<double>(cols), 1e-6));
        }
        const Fenced<float> nothing(rows * cols, -kInf);
        run(nothing.data(), y.data(), rows, cols);
        for (const float value : y) CHECK(std::isnan(value));
      }
  });
}

TEST_CASE("softmax_masked_row masks, scales and limits") {
  for_each_variant(softmax_masked_row, [](SoftmaxMaskedRow* run) {
    for (std::size_t cols = 0; cols <= kLongest; ++cols)
      for (const std::size_t limit : {cols, cols / 2, std::min<std::size_t>(cols, 1)})
        for (const bool masked : {false, true}) {
          Values values(static_cast<unsigned>(cols));
          const Fenced<float> x = values.floats(cols);
          Fenced<float> mask = values.floats(cols), y(cols), same(x);
          if (cols > 4) mask[3] = -kInf;
          const float* row = masked ? mask.data() : nullptr;
          run(x.data(), row, y.data(), cols, limit, 0.125f);
          run(same.data(), row, same.data(), cols, limit, 0.125f);
          const auto expected = softmax(x.data(), row, limit, 0.125);
          for (std::size_t c = 0; c < cols; ++c) {
            CHECK(close(y[c], c < limit ? expected[c] : 0.0, 2e-6));
            CHECK(same[c] == y[c]);
          }
        }
    const Fenced<float> x(40, 1.0f), mask(40, -kInf);
    Fenced<float> y(40, 9.0f);
    run(x.data(), mask.data(), y.data(), 40, 40, 1);
    for (const float value : y) CHECK(value == 0);
  });
}

TEST_CASE("softmax_weights over their sums are the softmax of rows that lie apart") {
  for_each_variant(softmax_weights, [](SoftmaxWeights* run) {
    for (std::size_t cols = 0; cols <= kLongest; ++cols)
      for (const bool masked : {false, true}) {
        const std::size_t rows = 3, stride = cols + 2;
        Values values(static_cast<unsigned>(cols));
        const Fenced<float> x = values.floats(rows * stride);
        Fenced<float> mask = values.floats(rows * cols), y(x), sums(rows);
        for (std::size_t c = 0; c < cols; ++c) mask[c] = -kInf;
        run({.x = y.data(),
             .stride = stride,
             .mask = masked ? mask.data() : nullptr,
             .mask_stride = cols,
             .rows = rows,
             .cols = cols,
             .scale = 0.125f,
             .sums = sums.data()});
        for (std::size_t r = 0; r < rows; ++r) {
          const bool nothing = cols == 0 || (masked && r == 0);
          if (nothing) CHECK(sums[r] == 0);
          const auto expected = softmax(x.data() + r * stride,
                                        masked ? mask.data() + r * cols : nullptr, cols, 0.125);
          for (std::size_t c = 0; c < cols; ++c) {
            const float weight = y[r * stride + c];
            CHECK(close(nothing ? weight : weight / sums[r], nothing ? 0 : expected[c], 2e-6));
          }
          for (std::size_t c = cols; c < stride; ++c) CHECK(y[r * stride + c] == x[r * stride + c]);
        }
      }
  });
}

TEST_CASE("softmax_online_row over blocks adds up to the softmax of the row") {
  for_each_variant(softmax_online_row, [](SoftmaxOnlineRow* run) {
    const std::size_t cols = 150;
    const Fenced<float> x = Values(3).floats(cols, -20, 20);
    Fenced<float> mask(cols, 0.0f);
    for (std::size_t c = 0; c < 70; ++c) mask[c] = -kInf;  // the first blocks hold nothing
    Fenced<float> y(cols);
    OnlineSoftmax state{-kInf, 0};
    for (std::size_t begin = 0; begin < cols; begin += 37) {
      const std::size_t n = std::min<std::size_t>(37, cols - begin);
      const float factor =
          run(x.data() + begin, mask.data() + begin, y.data() + begin, n, 0.5f, &state);
      for (std::size_t c = 0; c < begin; ++c) y[c] *= factor;
    }
    const auto expected = softmax(x.data(), mask.data(), cols, 0.5);
    for (std::size_t c = 0; c < cols; ++c) CHECK(close(y[c] / state.sum, expected[c], 2e-6));
    const float kept = run(nullptr, nullptr, nullptr, 0, 1, &state);
    CHECK(kept == 1);
  });
}

}  // namespace sdx::kernels
