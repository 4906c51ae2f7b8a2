// Transposes of matrices whose items are 1, 2, 4 or 8 bytes wide, whatever they mean.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel.h"

namespace sdx::kernels {

// dst[c * ldd + r] = src[r * lds + c] for r < rows and c < cols; strides count items. No alignment
// beyond the item's own is needed, src and dst do not overlap, and an empty matrix does nothing.
// lds may be 0: all rows are the same one. A channels-first image [C][H*W] becomes channels-last
// with rows = C, cols = H*W, and back.
template <class T>
using Transpose = void(std::size_t rows, std::size_t cols, const T* src, std::size_t lds, T* dst,
                       std::size_t ldd);

using Transpose8 = Transpose<uint8_t>;
using Transpose16 = Transpose<uint16_t>;
using Transpose32 = Transpose<uint32_t>;
using Transpose64 = Transpose<uint64_t>;
extern const Kernel<Transpose8, kIsaCount> transpose_8;
extern const Kernel<Transpose16, kIsaCount> transpose_16;
extern const Kernel<Transpose32, kIsaCount> transpose_32;
extern const Kernel<Transpose64, kIsaCount> transpose_64;

}  // namespace sdx::kernels
