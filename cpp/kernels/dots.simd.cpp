// Dot products of rows, four rows of B at a time against each row of A, and of rows with columns.
#include "kernels/dots.h"

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

constexpr std::size_t kAtOnce = 4;

template <std::size_t kRows>
SDX_INLINE void dots(const float* a, const float* b, std::size_t ldb, std::size_t depth, float* c) {
  VecF sums[kRows] = {};
  std::size_t i = 0;
  for (; i + kF32 <= depth; i += kF32) {
    const VecF v = load(a + i);
    for (std::size_t r = 0; r < kRows; ++r) sums[r] += v * load(b + r * ldb + i);
  }
  if (i < depth) {
    const VecF v = load_head(a + i, depth - i);
    for (std::size_t r = 0; r < kRows; ++r) sums[r] += v * load_head(b + r * ldb + i, depth - i);
  }
  for (std::size_t r = 0; r < kRows; ++r) c[r] = reduce_add(sums[r]);
}

// A tile of rows of A and vectors of columns of B. Sums of this many terms are added up in turn:
// errors grow more slowly.
constexpr std::size_t kTileRows = 4, kTileVectors = kF32 == 16 ? 4 : 2, kTermBlock = 128;

struct Product {
  static VecF add(VecF sum, VecF a, VecF b) { return sum + a * b; }
};

struct SquaredDifference {
  static VecF add(VecF sum, VecF a, VecF b) {
    const VecF difference = a - b;
    return sum + difference * difference;
  }
};

// Columns [j, j + kVectors * kF32), or the first `lanes` of one vector.
template <class Term, std::size_t kRows, std::size_t kVectors, bool kWhole>
SDX_INLINE void column_tile(const DotRowsArgs& args, std::size_t i, std::size_t j,
                            std::size_t lanes) {
  static_assert(kWhole || kVectors == 1);
  VecF totals[kRows][kVectors] = {};
  for (std::size_t begin = 0; begin < args.depth; begin += kTermBlock) {
    const std::size_t end = args.depth - begin < kTermBlock ? args.depth : begin + kTermBlock;
    VecF sums[kRows][kVectors] = {};
    for (std::size_t k = begin; k < end; ++k) {
      const float* row = args.b + k * args.ldb + j;
      VecF b[kVectors];
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v)
        b[v] = kWhole ? load(row + v * kF32) : load_head(row, lanes);
#pragma GCC unroll 4
      for (std::size_t r = 0; r < kRows; ++r) {
        const VecF a = splat(args.a[(i + r) * args.lda + k]);
#pragma GCC unroll 4
        for (std::size_t v = 0; v < kVectors; ++v) sums[r][v] = Term::add(sums[r][v], a, b[v]);
      }
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) totals[r][v] += sums[r][v];
  }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      float* to = args.c + (i + r) * args.ldc + j + v * kF32;
      if (kWhole)
        store(to, totals[r][v]);
      else
        store_head(to, totals[r][v], lanes);
    }
}

template <class Term, std::size_t kVectors, bool kWhole>
void column_panel(const DotRowsArgs& args, std::size_t j, std::size_t lanes) {
  std::size_t i = 0;
  for (; i + kTileRows <= args.m; i += kTileRows)
    column_tile<Term, kTileRows, kVectors, kWhole>(args, i, j, lanes);
  for (; i < args.m; ++i) column_tile<Term, 1, kVectors, kWhole>(args, i, j, lanes);
}

template <class Term>
SDX_INLINE void all_columns(const DotRowsArgs& args) {
  std::size_t j = 0;
  for (; j + kTileVectors * kF32 <= args.n; j += kTileVectors * kF32)
    column_panel<Term, kTileVectors, true>(args, j, kF32);
  for (; j + kF32 <= args.n; j += kF32) column_panel<Term, 1, true>(args, j, kF32);
  if (j < args.n) column_panel<Term, 1, false>(args, j, args.n - j);
}

}  // namespace

void dot_rows(const DotRowsArgs& args) {
  std::size_t j = 0;
  for (; j + kAtOnce <= args.n; j += kAtOnce)
    for (std::size_t i = 0; i < args.m; ++i)
      dots<kAtOnce>(args.a + i * args.lda, args.b + j * args.ldb, args.ldb, args.depth,
                    args.c + i * args.ldc + j);
  for (; j < args.n; ++j)
    for (std::size_t i = 0; i < args.m; ++i)
      dots<1>(args.a + i * args.lda, args.b + j * args.ldb, args.ldb, args.depth,
              args.c + i * args.ldc + j);
}

void dot_columns(const DotRowsArgs& args) { all_columns<Product>(args); }
void square_distances(const DotRowsArgs& args) { all_columns<SquaredDifference>(args); }

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(dot_rows, DotRows)
SDX_DEFINE_KERNEL(dot_columns, DotRows)
SDX_DEFINE_KERNEL(square_distances, DotRows)

}  // namespace sdx::kernels
