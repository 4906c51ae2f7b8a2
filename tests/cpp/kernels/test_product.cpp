// Matrix products of other types: every tier against plain loops, A in rows and in columns.
#include "kernels/product.h"
#include "kernels/rows.h"

namespace sdx::kernels {
namespace {

template <class T>
void check_product(const Kernel<Product<T>, kIsaCount>& kernel) {
  for_each_variant(kernel, [&](Product<T>* run) {
    for (const std::size_t m : {1, 3, 4, 9})
      for (const std::size_t n : {1, 2, 7, 8, 16, 17, 33, 50})
        for (const std::size_t k : {0, 1, 5, 20})
          for (const bool columns : {false, true}) {
            const auto a = Values(1).integers<T>(m * k, 0, 50);
            const auto b = Values(2).integers<T>(k ? (k - 1) * (n + 3) + n : 0, 0, 50);
            Fenced<T> c((m - 1) * (n + 1) + n);
            run({.m = m,
                 .n = n,
                 .k = k,
                 .a = a.data(),
                 .a_row = columns ? 1 : k,
                 .a_column = columns ? m : 1,
                 .b = b.data(),
                 .b_row = n + 3,
                 .c = c.data(),
                 .c_row = n + 1});
            std::size_t wrong = 0;
            for (std::size_t i = 0; i < m; ++i)
              for (std::size_t j = 0; j < n; ++j) {
                T sum = 0;
                for (std::size_t p = 0; p < k; ++p)
                  sum += a[columns ? p * m + i : i * k + p] * b[p * (n + 3) + j];
                wrong += c[i * (n + 1) + j] != sum;
              }
            CAPTURE(m);
            CAPTURE(n);
            CAPTURE(k);
            CHECK(wrong == 0);
          }
  });
}

TEST_CASE("products of doubles and integers") {
  check_product<double>(product_f64);
  check_product<uint32_t>(product_u32);
}

}  // namespace
}  // namespace sdx::kernels
