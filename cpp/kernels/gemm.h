// Single-precision matrix products, C = epilogue(A * B), with B packed ahead of time or as it lies.
//
// All matrices are row-major with any row stride not below the row length; nothing is read or
// written outside the rows and columns named, and no alignment is needed. C overlaps no input.
// Every element is summed in an order that depends on (m, n, k) and the tier only, so disjoint
// ranges may run on different threads and give the same bits as one call. k == 0 is a zero product.
#pragma once

#include <cstddef>

#include "kernels/epilogue.h"
#include "kernels/kernel.h"

namespace sdx::kernels {

// The tile a tier computes in registers. Ranges split best at multiples of rows; columns is the
// width of a panel of packed B, the unit in which ranges count columns.
struct GemmTiling {
  std::size_t rows;
  std::size_t columns;
  std::size_t lanes;  // floats in a vector: the width of the last panel is rounded up to it
};
using GemmTilingQuery = GemmTiling();
extern const Kernel<GemmTilingQuery, kIsaCount> gemm_tiling;

inline std::size_t panel_count(const GemmTiling& tiling, std::size_t n) {
  return (n + tiling.columns - 1) / tiling.columns;
}

// Floats of a packed k x n matrix: panels one after the other, each k rows of its width, so panel p
// starts at p * columns * k.
inline std::size_t packed_b_floats(const GemmTiling& tiling, std::size_t k, std::size_t n) {
  return (n + tiling.lanes - 1) / tiling.lanes * tiling.lanes * k;
}

// Packs panels [panel_begin, panel_end) of B for the tier whose gemm_tiling is in use. B is k x n
// with row stride ldb or, transposed, n x k with row stride ldb. Align `packed` to 64 bytes.
struct PackB {
  std::size_t k, n;
  const float* b;
  std::size_t ldb;
  bool transposed = false;
  float* packed;
};
using GemmPackB = void(const PackB& args, std::size_t panel_begin, std::size_t panel_end);
extern const Kernel<GemmPackB, kIsaCount> gemm_pack_b;

// A sum of many products rounds them one after the other: the fewer in a chain, the smaller the
// error, at one more addition a chain.
inline constexpr std::size_t kAnyChain = static_cast<std::size_t>(-1);

// C is m x n and A m x k.
struct GemmArgs {
  std::size_t m, n, k;
  const float* a;
  std::size_t lda;
  const float* b;             // gemm_packed: all of packed B; gemm_dynamic: B itself
  std::size_t ldb = 0;        // gemm_dynamic only, as in PackB
  bool transposed_b = false;  // gemm_dynamic only
  float* c;
  std::size_t ldc;
  Epilogue epilogue = {};
  std::size_t chain = kAnyChain;
};

// The part of C that one call computes. Columns [panel_begin * columns, panel_end * columns) that
// lie inside C are meant; row_end must not exceed m.
struct GemmRange {
  std::size_t row_begin, row_end;
  std::size_t panel_begin, panel_end;
};

using GemmPacked = void(const GemmArgs& args, const GemmRange& range);
extern const Kernel<GemmPacked, kIsaCount> gemm_packed;

// B as it lies. A call needs gemm_dynamic_scratch(args) floats of scratch of its own, 64-byte
// aligned, with unspecified contents; the answer does not depend on the pointers in args and is
// bounded whatever the sizes.
using GemmDynamic = void(const GemmArgs& args, const GemmRange& range, float* scratch);
extern const Kernel<GemmDynamic, kIsaCount> gemm_dynamic;
using GemmDynamicScratch = std::size_t(const GemmArgs& args);
extern const Kernel<GemmDynamicScratch, kIsaCount> gemm_dynamic_scratch;

}  // namespace sdx::kernels
