// What both products with 4-bit weights do with a panel: where it lies, and how its results leave.
#pragma once

#include "kernels/int4.h"
#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

inline constexpr std::size_t kPanelVecs = kInt4PanelCols / kF32;
inline constexpr std::size_t kInt4Rows = 4;  // rows that share one reading of the weights

// Chains of sums that hide the latency of an addition where there are registers for them.
template <std::size_t kRows>
inline constexpr std::size_t kChains = kRows* kPanelVecs >= 4 ? 1 : 4 / (kRows * kPanelVecs);

struct Int4Panel {
  const uint8_t* packed;
  const float* scales;
  const float* offsets;  // null where the weights have none
};

// From `block` on.
SDX_INLINE Int4Panel panel_at(const Int4Weights& w, std::size_t panel, std::size_t block) {
  const std::size_t at = panel * int4_blocks(w.k, w.block) + block;
  return {w.packed + at * w.block * (kInt4PanelCols / 2), w.scales + at * kInt4PanelCols,
          w.offsets ? w.offsets + at * kInt4PanelCols : nullptr};
}

// Adds a panel's sums to what y has from earlier depths, or to the bias where there are none.
SDX_INLINE void store_panel(const Int4GemmArgs& args, std::size_t row, std::size_t panel,
                            const VecF* sums, bool first) {
  const std::size_t begin = panel * kInt4PanelCols;
  float* y = args.y + row * args.y_stride;
  for (std::size_t v = 0; v < kPanelVecs; ++v) {
    const std::size_t column = begin + v * kF32;
    if (column >= args.weights.n) return;
    const std::size_t left = args.weights.n - column, lanes = left < kF32 ? left : kF32;
    const float* base = first ? args.bias : y;
    VecF sum = sums[v];
    if (lanes == kF32) {
      if (base) sum += load(base + column);
      store(y + column, sum);
    } else {
      if (base) sum += load_head(base + column, lanes);
      store_head(y + column, sum, lanes);
    }
  }
}

// run<kRows>(first row) over all rows, kInt4Rows at a time and then what is left.
template <class Run>
SDX_INLINE void for_row_groups(std::size_t rows, Run run) {
  std::size_t r = 0;
  for (; r + kInt4Rows <= rows; r += kInt4Rows) run.template operator()<kInt4Rows>(r);
  switch (rows - r) {
    case 3:
      run.template operator()<3>(r);
      break;
    case 2:
      run.template operator()<2>(r);
      break;
    case 1:
      run.template operator()<1>(r);
      break;
  }
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
