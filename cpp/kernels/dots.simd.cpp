// Dot products of rows: four rows of B at a time against each row of A.
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

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(dot_rows, DotRows)

}  // namespace sdx::kernels
