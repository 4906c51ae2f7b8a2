// Matrix products of other types: tiles of C in registers, B read where it lies.
#include "kernels/product.h"

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

template <class T>
struct Lanes {
  static constexpr std::size_t kCount = kVecBytes / sizeof(T);
  typedef T Vec __attribute__((vector_size(kVecBytes)));
  typedef T Unaligned __attribute__((vector_size(kVecBytes), aligned(sizeof(T)), may_alias));
};

template <class T, std::size_t kRows, std::size_t kVectors>
SDX_INLINE void product_tile(const ProductArgs<T>& args, std::size_t i, std::size_t j) {
  using Unaligned = typename Lanes<T>::Unaligned;
  constexpr std::size_t kCount = Lanes<T>::kCount;
  typename Lanes<T>::Vec sums[kRows][kVectors] = {};
  const T* a = args.a + i * args.a_row;
  const T* b = args.b + j;
  for (std::size_t p = 0; p < args.k; ++p, a += args.a_column, b += args.b_row) {
    typename Lanes<T>::Vec row[kVectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v)
      row[v] = *reinterpret_cast<const Unaligned*>(b + v * kCount);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) sums[r][v] += a[r * args.a_row] * row[v];
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v)
      *reinterpret_cast<Unaligned*>(args.c + (i + r) * args.c_row + j + v * kCount) = sums[r][v];
}

template <class T, std::size_t kRows>
SDX_INLINE void product_rows(const ProductArgs<T>& args, std::size_t i) {
  constexpr std::size_t kCount = Lanes<T>::kCount;
  std::size_t j = 0;
  for (; j + 2 * kCount <= args.n; j += 2 * kCount) product_tile<T, kRows, 2>(args, i, j);
  for (; j + kCount <= args.n; j += kCount) product_tile<T, kRows, 1>(args, i, j);
  for (; j < args.n; ++j) {
    T sums[kRows] = {};
    for (std::size_t p = 0; p < args.k; ++p)
      for (std::size_t r = 0; r < kRows; ++r)
        sums[r] += args.a[(i + r) * args.a_row + p * args.a_column] * args.b[p * args.b_row + j];
    for (std::size_t r = 0; r < kRows; ++r) args.c[(i + r) * args.c_row + j] = sums[r];
  }
}

template <class T>
SDX_INLINE void product(const ProductArgs<T>& args) {
  constexpr std::size_t kRows = kVecBytes == 64 ? 8 : 4;  // there are 32 registers or 16
  std::size_t i = 0;
  for (; i + kRows <= args.m; i += kRows) product_rows<T, kRows>(args, i);
  for (; i + 4 <= args.m; i += 4) product_rows<T, 4>(args, i);
  for (; i < args.m; ++i) product_rows<T, 1>(args, i);
}

}  // namespace

void product_f64(const ProductArgs<double>& args) { product(args); }
void product_u32(const ProductArgs<uint32_t>& args) { product(args); }

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(product_f64, ProductF64)
SDX_DEFINE_KERNEL(product_u32, ProductU32)

}  // namespace sdx::kernels
