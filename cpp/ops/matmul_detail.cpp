// Products by kernels where rows of B are contiguous, by Eigen elsewhere: behind a plain interface,
// so that only this file pays for Eigen's headers.
#include <Eigen/Core>
#include <algorithm>

#include "kernels/product.h"
#include "ops/matmul.h"

namespace sdx::ops {
namespace {

template <class T>
void multiply_with_eigen(int64_t m, int64_t n, int64_t k, StridedMatrix<T> a, StridedMatrix<T> b,
                         T* c, int64_t c_stride) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
  if (c_stride == 0) c_stride = n;
  if (k == 0) {
    for (int64_t row = 0; row < m; ++row) std::fill_n(c + row * c_stride, n, T{});
    return;
  }
  Eigen::Map<const Matrix, 0, Stride> left(a.data, m, k, Stride(a.row_stride, a.column_stride));
  Eigen::Map<const Matrix, 0, Stride> right(b.data, k, n, Stride(b.row_stride, b.column_stride));
  Eigen::Map<Matrix, 0, Eigen::OuterStride<>> result(c, m, n, Eigen::OuterStride<>(c_stride));
  result.noalias() = left * right;
}

template <class T>
void multiply_by_kernel(const kernels::Kernel<kernels::Product<T>, kernels::kIsaCount>& kernel,
                        int64_t m, int64_t n, int64_t k, StridedMatrix<T> a, StridedMatrix<T> b,
                        T* c, int64_t c_stride) {
  if (b.column_stride != 1) return multiply_with_eigen(m, n, k, a, b, c, c_stride);
  kernel.resolve()({.m = static_cast<std::size_t>(m),
                    .n = static_cast<std::size_t>(n),
                    .k = static_cast<std::size_t>(k),
                    .a = a.data,
                    .a_row = static_cast<std::size_t>(a.row_stride),
                    .a_column = static_cast<std::size_t>(a.column_stride),
                    .b = b.data,
                    .b_row = static_cast<std::size_t>(b.row_stride),
                    .c = c,
                    .c_row = static_cast<std::size_t>(c_stride == 0 ? n : c_stride)});
}

}  // namespace

void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<double> a, StridedMatrix<double> b,
              double* c, int64_t c_stride) {
  multiply_by_kernel(kernels::product_f64, m, n, k, a, b, c, c_stride);
}

void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<uint32_t> a, StridedMatrix<uint32_t> b,
              uint32_t* c, int64_t c_stride) {
  multiply_by_kernel(kernels::product_u32, m, n, k, a, b, c, c_stride);
}

void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<uint64_t> a, StridedMatrix<uint64_t> b,
              uint64_t* c, int64_t c_stride) {
  multiply_with_eigen(m, n, k, a, b, c, c_stride);
}

}  // namespace sdx::ops
