// Dot products of rows against double.
#include <cmath>

#include "kernels/dots.h"
#include "kernels/rows.h"

namespace sdx::kernels {

TEST_CASE("dot_rows at every depth, with rows apart") {
  for_each_variant(dot_rows, [](DotRows* run) {
    for (std::size_t depth = 0; depth <= kLongest; ++depth)
      for (const std::size_t n : {0, 1, 4, 7})
        for (const std::size_t gap : {0, 3}) {
          const std::size_t m = 3, ld = depth + gap;
          const auto last = [&](std::size_t rows) { return rows ? (rows - 1) * ld + depth : 0; };
          const Fenced<float> a = Values(1).floats(last(m)), b = Values(2).floats(last(n));
          Fenced<float> c(m * n, kNan);
          run({.m = m,
               .n = n,
               .depth = depth,
               .a = a.data(),
               .lda = ld,
               .b = b.data(),
               .ldb = ld,
               .c = c.data(),
               .ldc = n});
          for (std::size_t i = 0; i < m; ++i)
            for (std::size_t j = 0; j < n; ++j) {
              double want = 0, size = 0;
              for (std::size_t k = 0; k < depth; ++k) {
                const double term = static_cast<double>(a[i * ld + k]) * b[j * ld + k];
                want += term;
                size += std::fabs(term);
              }
              CAPTURE(depth);
              CHECK(close(c[i * n + j], want, 0, 1e-6 * size));
            }
        }
  });
}

TEST_CASE("dot_columns and square_distances at every width, with rows apart") {
  for (const bool distances : {false, true})
    for_each_variant(distances ? square_distances : dot_columns, [&](DotRows* run) {
      for (std::size_t n = 0; n <= kLongest; ++n)
        for (const std::size_t m : {1, 4, 6})
          for (const std::size_t depth : {0, 1, 20, 300}) {
            const std::size_t lda = depth + 1, ldb = n + 2, ldc = n + 1;
            const auto last = [](std::size_t rows, std::size_t step, std::size_t row) {
              return rows && row ? (rows - 1) * step + row : 0;
            };
            const Fenced<float> a = Values(1).floats(last(m, lda, depth));
            const Fenced<float> b = Values(2).floats(last(depth, ldb, n));
            Fenced<float> c(last(m, ldc, n), kNan);
            run({.m = m,
                 .n = n,
                 .depth = depth,
                 .a = a.data(),
                 .lda = lda,
                 .b = b.data(),
                 .ldb = ldb,
                 .c = c.data(),
                 .ldc = ldc});
            for (std::size_t i = 0; i < m; ++i)
              for (std::size_t j = 0; j < n; ++j) {
                double want = 0, size = 0;
                for (std::size_t k = 0; k < depth; ++k) {
                  const double x = a[i * lda + k], y = b[k * ldb + j];
                  const double term = distances ? (x - y) * (x - y) : x * y;
                  want += term;
                  size += std::fabs(term);
                }
                CAPTURE(depth);
                CHECK(close(c[i * ldc + j], want, 0, 1e-6 * size));
              }
          }
    });
}

}  // namespace sdx::kernels
