// Eigen's products behind a plain interface, so that only this file pays for its headers.
#include <Eigen/Core>
#include <algorithm>

#include "ops/matmul.h"

namespace sdx::ops {
namespace {

template <class T>
void multiply_with_eigen(int64_t m, int64_t n, int64_t k, StridedMatrix<T> a, StridedMatrix<T> b,
                         T* c) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
  if (k == 0) {
    std::fill_n(c, m * n, T{});
    return;
  }
  Eigen::Map<const Matrix, 0, Stride> left(a.data, m, k, Stride(a.row_stride, a.column_stride));
  Eigen::Map<const Matrix, 0, Stride> right(b.data, k, n, Stride(b.row_stride, b.column_stride));
  Eigen::Map<Matrix> result(c, m, n);
  result.noalias() = left * right;
}

}  // namespace

void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<double> a, StridedMatrix<double> b,
              double* c) {
  multiply_with_eigen(m, n, k, a, b, c);
}

void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<uint32_t> a, StridedMatrix<uint32_t> b,
              uint32_t* c) {
  multiply_with_eigen(m, n, k, a, b, c);
}

void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<uint64_t> a, StridedMatrix<uint64_t> b,
              uint64_t* c) {
  multiply_with_eigen(m, n, k, a, b, c);
}

}  // namespace sdx::ops
