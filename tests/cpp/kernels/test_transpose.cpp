// Transposes of every item width, every tier.
#include <doctest/doctest.h>

#include <cstdint>

#include "fenced.h"
#include "kernels/transpose.h"

namespace sdx::kernels {
namespace {

template <class T>
void check_transpose(const Kernel<Transpose<T>, kIsaCount>& kernel) {
  for (const auto& variant : kernel.variants) {
    if (variant.isa > host_isa()) continue;
    for (std::size_t rows : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 33, 50})
      for (std::size_t cols : {0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 15, 16, 18, 31, 47, 64})
        for (std::size_t slack : {0, 3}) {
          const std::size_t lds = cols + slack, ldd = rows + slack;
          test::Fenced<T> src(rows && cols ? (rows - 1) * lds + cols : 0);
          test::Fenced<T> dst(rows && cols ? (cols - 1) * ldd + rows : 0);
          for (std::size_t i = 0; i < src.size(); ++i)
            src[i] = static_cast<T>(i * 2654435761u + (i << 3));
          variant.run(rows, cols, src.data(), lds, dst.data(), ldd);
          std::size_t wrong = 0;
          for (std::size_t c = 0; c < cols; ++c)
            for (std::size_t r = 0; r < ldd && c * ldd + r < dst.size(); ++r)
              wrong += dst[c * ldd + r] != (r < rows ? src[r * lds + c] : 0);
          CAPTURE(isa_name(variant.isa));
          CAPTURE(rows);
          CAPTURE(cols);
          CHECK(wrong == 0);
        }
  }
}

TEST_CASE("transposes of one row many times") {
  for (const auto& variant : transpose_16.variants) {
    if (variant.isa > host_isa()) continue;
    for (std::size_t rows = 1; rows <= 9; ++rows)
      for (std::size_t cols = 1; cols <= 20; ++cols) {
        test::Fenced<uint16_t> src(cols), dst(rows * cols);
        for (std::size_t i = 0; i < cols; ++i) src[i] = static_cast<uint16_t>(7 * i + 1);
        variant.run(rows, cols, src.data(), 0, dst.data(), rows);
        for (std::size_t i = 0; i < rows * cols; ++i) CHECK(dst[i] == src[i / rows]);
      }
  }
}

TEST_CASE("transposes") {
  check_transpose(transpose_8);
  check_transpose(transpose_16);
  check_transpose(transpose_32);
  check_transpose(transpose_64);
}

}  // namespace
}  // namespace sdx::kernels
