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

// c = a (m x k) * b (k x n). Rows of c lie c_stride apart; 0: dense. Integers wrap: pass signed
// ones as unsigned.
void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<double> a, StridedMatrix<double> b,
              double* c, int64_t c_stride = 0);
void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<uint32_t> a, StridedMatrix<uint32_t> b,
              uint32_t* c, int64_t c_stride = 0);
void multiply(int64_t m, int64_t n, int64_t k, StridedMatrix<uint64_t> a, StridedMatrix<uint64_t> b,
              uint64_t* c, int64_t c_stride = 0);

}  // namespace sdx::ops
