// Products of 4-bit weights with rows quantised to bytes.
#include "kernels/int4.h"
#include "kernels/simd/dot.h"
#include "kernels/simd/int4_panel.h"

namespace sdx::kernels {
namespace SDX_ISA {

// kRows rows times one panel. A block's integer sums become floats by the row's scale, less what
// the zero point (8 where there are no offsets) takes from every product.
template <std::size_t kRows>
SDX_INLINE void multiply_panel(const Int4GemmArgs& args, const Int4Quantized& x, std::size_t row,
                               std::size_t panel) {
  constexpr std::size_t kSplit = 2;  // low and high nibbles
  const std::size_t block = args.weights.block, blocks = int4_blocks(args.weights.k, block);
  Int4Panel w = panel_at(args.weights, panel, 0);
  VecF y[kRows][kPanelVecs] = {};
  for (std::size_t b = 0; b < blocks; ++b) {
    const uint8_t* q[kRows];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kRows; ++i)
      q[i] = reinterpret_cast<const uint8_t*>(x.values) + ((row + i) * blocks + b) * block;
    VecI sums[kSplit][kRows][kPanelVecs] = {};
    for (std::size_t k = 0; k < block; k += 8, w.packed += kInt4PanelCols * 4) {
      __builtin_prefetch(w.packed + 2048);
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kPanelVecs; ++v) {
        const VecI words = load(reinterpret_cast<const int32_t*>(w.packed + v * kVecBytes));
        const VecI low = words & 0x0f0f0f0f, high = (words >> 4) & 0x0f0f0f0f;
#pragma GCC unroll 4
        for (std::size_t i = 0; i < kRows; ++i) {
          sums[0][i][v] = dot_nibbles(sums[0][i][v], low, spread4(q[i] + k));
          sums[1][i][v] = dot_nibbles(sums[1][i][v], high, spread4(q[i] + k + 4));
        }
      }
    }
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kRows; ++i) {
      const std::size_t at = (row + i) * blocks + b;
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kPanelVecs; ++v) {
        const VecF whole = __builtin_convertvector(sums[0][i][v] + sums[1][i][v], VecF);
        const VecF zero = w.offsets ? load(w.offsets + v * kF32) - 8.0f : splat(-8.0f);
        y[i][v] += (whole * x.scales[at] + zero * x.sums[at]) * load(w.scales + v * kF32);
      }
    }
    w.scales += kInt4PanelCols;
    if (w.offsets) w.offsets += kInt4PanelCols;
  }
  for (std::size_t i = 0; i < kRows; ++i) store_panel(args, row + i, panel, y[i], true);
}

void int4_gemm_s8(const Int4GemmArgs& args, const Int4Quantized& x) {
  for_row_groups(args.rows, [&]<std::size_t kRows>(std::size_t row) {
    for (std::size_t p = args.panel_begin; p < args.panel_end; ++p)
      multiply_panel<kRows>(args, x, row, p);
  });
}

}  // namespace SDX_ISA

SDX_DEFINE_DOT_KERNEL(int4_gemm_s8, Int4GemmS8)

}  // namespace sdx::kernels
