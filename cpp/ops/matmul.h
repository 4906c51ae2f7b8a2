// Matrix products of types that are not hot: doubles and integers.
#pragma once

#include <cstdint>

namespace sdx::ops {

// An operand of any strides, in elements.
template <class T>
struct StridedMatrix {
  const T* data;
  int64_t row_stride, column_stride;
};

// c (m x n, dense) = a (m x k) * b (k x n). Integers wrap: pass signed ones as unsigned.
void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<double> a, StridedMatrix<double> b,
              double* c);
void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<uint32_t> a, StridedMatrix<uint32_t> b,
              uint32_t* c);
void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<uint64_t> a, StridedMatrix<uint64_t> b,
              uint64_t* c);

}  // namespace sdx::ops
