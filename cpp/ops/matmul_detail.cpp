// Eigen's products behind a plain interface, so that only this file pays for its headers.
#include <Eigen/Core>
#include <algorithm>

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

}  // namespace

void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<double> a, StridedMatrix<double> b,
              double* c, int64_t c_stride) {
  multiply_with_eigen(m, n, k, a, b, c, c_stride);
}

void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<uint32_t> a, StridedMatrix<uint32_t> b,
              uint32_t* c, int64_t c_stride) {
  multiply_with_eigen(m, n, k, a, b, c, c_stride);
}

void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<uint64_t> a, StridedMatrix<uint64_t> b,
              uint64_t* c, int64_t c_stride) {
  multiply_with_eigen(m, n, k, a, b, c, c_stride);
}

}  // namespace sdx::ops
