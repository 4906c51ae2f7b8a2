// Matrix products of types that have no packed GEMM: doubles, and integers that wrap.
#pragma once

#include <cstdint>

#include "kernels/kernel.h"

namespace sdx::kernels {

// c[i][j] = sum over p of a[i][p] * b[p][j] for i < m, j < n, p < k. Rows of b and c are
// contiguous, strides count items, and c overlaps neither input.
template <class T>
struct ProductArgs {
  std::size_t m = 0, n = 0, k = 0;
  const T* a = nullptr;
  std::size_t a_row = 0, a_column = 1;
  const T* b = nullptr;
  std::size_t b_row = 0;
  T* c = nullptr;
  std::size_t c_row = 0;
};
template <class T>
using Product = void(const ProductArgs<T>& args);
using ProductF64 = Product<double>;
using ProductU32 = Product<uint32_t>;

extern const Kernel<ProductF64, kIsaCount> product_f64;
extern const Kernel<ProductU32, kIsaCount> product_u32;

}  // namespace sdx::kernels
