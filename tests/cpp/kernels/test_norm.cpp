// Normalisation kernels against two-pass formulas in double.
#include <cmath>

#include "kernels/norm.h"
#include "kernels/rows.h"

namespace sdx::kernels {

TEST_CASE("layer and RMS normalisation of rows, with and without what is optional") {
  for (const bool centred : {true, false})
    for_each_variant(centred ? layer_norm_rows : rms_norm_rows, [&](NormRows* run) {
      for (std::size_t cols = 1; cols <= kLongest + 2000; cols += cols <= kLongest ? 1 : 700)
        for (const bool full : {false, true}) {
          const std::size_t rows = 2;
          Values values(static_cast<unsigned>(cols));
          const Fenced<float> x = values.floats(rows * cols, 4, 6),
                              skip = values.floats(rows * cols);
          const Fenced<float> skip_bias = values.floats(cols), scale = values.floats(cols),
                              bias = values.floats(cols);
          Fenced<float> y(rows * cols), sum(rows * cols), mean(rows), inv_std(rows);
          NormRowsArgs args{
              .x = x.data(), .y = y.data(), .rows = rows, .cols = cols, .epsilon = 1e-5f};
          if (full) {
            args.skip = skip.data();
            args.skip_bias = skip_bias.data();
            args.scale = scale.data();
            args.bias = bias.data();
            args.sum = sum.data();
            args.mean = mean.data();
            args.inv_std = inv_std.data();
          }
          run(args);
          for (std::size_t r = 0; r < rows; ++r) {
            std::vector<double> s(cols);
            double average = 0, variance = 0;
            for (std::size_t c = 0; c < cols; ++c) {
              const std::size_t i = r * cols + c;
              s[c] = static_cast<double>(full ? sum[i] : x[i]);
              average += centred ? s[c] / static_cast<double>(cols) : 0;
              if (full)
                CHECK(close(s[c], static_cast<double>(x[i]) + skip[i] + skip_bias[c], 2e-7, 2e-6));
            }
            for (const double v : s)
              variance += (v - average) * (v - average) / static_cast<double>(cols);
            const double inverse = 1 / std::sqrt(variance + 1e-5f);
            for (std::size_t c = 0; c < cols; ++c) {
              const double factor = inverse * (full ? scale[c] : 1);
              const double want = (s[c] - average) * factor + (full ? bias[c] : 0);
              // The mean is rounded to float, and so is the product before the bias.
              const double rounding = 6e-8 * std::fabs(average * factor);
              CAPTURE(cols);
              CHECK_MESSAGE(close(y[r * cols + c], want, 1e-6, 2 * rounding + 3e-7),
                            y[r * cols + c], " for ", want);
            }
            if (full) {
              CHECK(close(mean[r], average, 1e-6));
              CHECK(close(inv_std[r], inverse, 1e-5));
            }
          }
          if (full) {  // the sum in place of x, the result in place of skip
            Fenced<float> same_x(x), same_skip(skip);
            args.x = args.sum = same_x.data();
            args.skip = args.y = same_skip.data();
            run(args);
            for (std::size_t i = 0; i < rows * cols; ++i) {
              CHECK(same_x[i] == sum[i]);
              CHECK(same_skip[i] == y[i]);
            }
          }
        }
    });
}

TEST_CASE("rows divided by their norms") {
  for_each_variant(lp_norm_rows, [](LpNormRows* run) {
    for (const bool squares : {true, false})
      for (const std::size_t rows : {1, 7, 16, 37, 100})
        for (std::size_t cols = 1; cols <= 50; ++cols) {
          Fenced<float> x = Values(static_cast<unsigned>(cols)).floats(rows * cols);
          for (std::size_t i = 0; i < cols; ++i) {
            x[i] = 0;
            if (rows > 20) x[20 * cols + i] *= 1e-30f;
            if (rows > 36) x[36 * cols + i] *= 1e25f;
          }
          Fenced<float> y(rows * cols), same(x);
          run(x.data(), y.data(), rows, cols, squares);
          run(same.data(), same.data(), rows, cols, squares);
          for (std::size_t r = 0; r < rows; ++r) {
            double sum = 0;
            for (std::size_t c = 0; c < cols; ++c) {
              const double v = x[r * cols + c];
              sum += squares ? v * v : std::fabs(v);
            }
            const double norm = squares ? std::sqrt(sum) : sum;
            for (std::size_t c = 0; c < cols; ++c) {
              const std::size_t i = r * cols + c;
              CAPTURE(cols);
              CHECK_MESSAGE(close(y[i], norm == 0 ? 0 : x[i] / norm, 1e-6), y[i], " of ", x[i]);
              CHECK(y[i] == same[i]);
            }
          }
        }
  });
}

TEST_CASE("moments of a run and of columns") {
  for_each_variant(moments, [](MomentsOf* run) {
    for (const std::size_t n : {1, 2, 15, 16, 17, 65, 1024, 1025, 300001}) {
      const Fenced<float> x = Values(5).floats(n, 99, 101);
      double mean = 0, variance = 0;
      for (const float v : x) mean += v / static_cast<double>(n);
      for (const float v : x) variance += (v - mean) * (v - mean) / static_cast<double>(n);
      const Moments got = run(x.data(), n);
      CHECK(close(got.mean, mean, 2e-7));
      CHECK(close(got.variance, variance, 1e-5, 1e-10));
    }
  });
  for_each_variant(moments_columns, [](MomentsColumns* run) {
    for (std::size_t cols = 0; cols <= kLongest; cols += 3)
      for (const std::size_t rows : {1, 2, 64, 65, 5000}) {
        const std::size_t stride = cols + 2;
        const Fenced<float> x = Values(6).floats((rows - 1) * stride + cols, 99, 101);
        Fenced<float> mean(cols), variance(cols);
        run(x.data(), stride, rows, cols, mean.data(), variance.data());
        for (std::size_t c = 0; c < cols; ++c) {
          double m = 0, v = 0;
          for (std::size_t r = 0; r < rows; ++r) m += x[r * stride + c] / static_cast<double>(rows);
          for (std::size_t r = 0; r < rows; ++r) {
            const double d = x[r * stride + c] - m;
            v += d * d / static_cast<double>(rows);
          }
          CHECK(close(mean[c], m, 2e-7));
          CHECK(close(variance[c], v, 1e-5, 1e-10));
        }
      }
  });
}

TEST_CASE("items by the responses of neighbouring channels") {
  for_each_variant(local_response, [](LocalResponse* run) {
    for (std::size_t n = 0; n <= kLongest; ++n)
      for (const float power : {0.75f, 0.6f}) {
        const std::size_t neighbours = 3, stride = n + 2;
        const Fenced<float> all = Values(7).floats((neighbours - 1) * stride + n);
        Fenced<float> y(n);
        const float* x = all.data() + stride;
        run({.x = x,
             .first = all.data(),
             .y = y.data(),
             .n = n,
             .neighbours = neighbours,
             .stride = stride,
             .alpha = 0.5f,
             .power = power,
             .bias = 1.5f});
        for (std::size_t i = 0; i < n; ++i) {
          double sum = 0;
          for (std::size_t c = 0; c < neighbours; ++c)
            sum += std::pow(static_cast<double>(all[c * stride + i]), 2);
          const double want = x[i] / std::pow(1.5 + 0.5 * sum, static_cast<double>(power));
          CHECK(close(y[i], want, 1e-6));
        }
      }
  });
}

TEST_CASE("scale_shift_rows") {
  for_each_variant(scale_shift_rows, [](ScaleShiftRows* run) {
    for (std::size_t cols = 0; cols <= kLongest; ++cols) {
      const std::size_t rows = 3;
      Values values(8);
      const Fenced<float> x = values.floats(rows * cols), scale = values.floats(cols),
                          shift = values.floats(cols);
      Fenced<float> y(x);
      run(y.data(), y.data(), rows, cols, scale.data(), shift.data());
      for (std::size_t i = 0; i < rows * cols; ++i) {
        const double want = static_cast<double>(x[i]) * scale[i % cols] + shift[i % cols];
        CHECK(close(y[i], want, 1e-7, 1e-6));
      }
    }
  });
}

}  // namespace sdx::kernels
