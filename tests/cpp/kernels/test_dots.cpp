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

}  // namespace sdx::kernels
