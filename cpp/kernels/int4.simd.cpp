// 4-bit weights: packing, products with floats, quantising the rows for products with bytes, and
// the way back to f32.
#include "kernels/int4.h"

#include "kernels/simd/int4_panel.h"
#include "kernels/simd/narrow.h"
#include "kernels/simd/sum.h"

namespace sdx::kernels {
namespace SDX_ISA {

void int4_pack(const Int4PackArgs& args) {
  const std::size_t blocks = int4_blocks(args.k, args.block), half = args.block / 2;
  const std::size_t zero_bytes = (blocks + 1) / 2;
  const bool has_zeros = args.zero_points || args.float_zero_points;
  uint8_t* out = args.packed;
  for (std::size_t panel = 0; panel < int4_panels(args.n); ++panel)
    for (std::size_t b = 0; b < blocks; ++b, out += args.block * (kInt4PanelCols / 2))
      for (std::size_t j = 0; j < kInt4PanelCols; ++j) {
        const std::size_t column = panel * kInt4PanelCols + j;
        const std::size_t at = (panel * blocks + b) * kInt4PanelCols + j;
        const bool inside = column < args.n;
        const uint8_t* from = args.b + (inside ? (column * blocks + b) * half : 0);
        for (std::size_t group = 0; group < args.block / 8; ++group)
          for (std::size_t i = 0; i < 4; ++i) {
            // Depths i and i + 4 of the group; a byte of the source holds two neighbours.
            const uint32_t low = inside ? from[group * 4 + i / 2] >> (i % 2 * 4) & 15u : 0u;
            const uint32_t high = inside ? from[group * 4 + 2 + i / 2] >> (i % 2 * 4) & 15u : 0u;
            out[(group * kInt4PanelCols + j) * 4 + i] = static_cast<uint8_t>(low | high << 4);
          }
        args.packed_scales[at] = inside ? args.scales[column * blocks + b] : 0.0f;
        if (!has_zeros) continue;
        float zero = 8.0f;
        if (inside && args.float_zero_points)
          zero = args.float_zero_points[column * blocks + b];
        else if (inside)
          zero =
              static_cast<float>(args.zero_points[column * zero_bytes + b / 2] >> (b % 2 * 4) & 15);
        args.packed_offsets[at] = 8.0f - zero;
      }
}

constexpr std::size_t kChunkBlocks = 512;  // blocks whose sums of x are kept at a time

// The values less 8 of one nibble of every lane.
SDX_INLINE VecF nibble_value(VecI words, std::size_t nibble) {
  const VecI shifted = words >> static_cast<int>(nibble * 4);
#if defined(__AVX512F__)
  // The permutation looks at the low four bits of a lane only.
  const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
  return reinterpret_cast<VecF>(_mm512_permutexvar_ps(reinterpret_cast<__m512i>(shifted), values));
#else
  // A nibble at the bottom of the mantissa of 2^23 is that much more than 2^23.
  return as_float((shifted & 15) | 0x4b000000) - 8388616.0f;
#endif
}

// Where in a group of 8 depths the nibble at bits 4 * nibble of a lane belongs.
constexpr std::size_t depth_of(std::size_t nibble) { return nibble / 2 + (nibble % 2) * 4; }

// Sums over one block of kRows rows times a panel, of weights less 8.
template <std::size_t kRows>
SDX_INLINE void multiply_block(const uint8_t* packed, std::size_t block, const float* const* x,
                               VecF (*sums)[kPanelVecs]) {
  constexpr std::size_t kSplit = kChains<kRows>;
  VecF chains[kSplit][kRows][kPanelVecs] = {};
  for (std::size_t k = 0; k < block; k += 8, packed += kInt4PanelCols * 4) {
    __builtin_prefetch(packed + 2048);
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kPanelVecs; ++v) {
      const VecI words = load(reinterpret_cast<const int32_t*>(packed + v * kVecBytes));
#pragma GCC unroll 8
      for (std::size_t nibble = 0; nibble < 8; ++nibble) {
        const VecF q = nibble_value(words, nibble);
#pragma GCC unroll 4
        for (std::size_t i = 0; i < kRows; ++i)
          chains[nibble % kSplit][i][v] += q * x[i][k + depth_of(nibble)];
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kPanelVecs; ++v) {
      sums[i][v] = chains[0][i][v];
#pragma GCC unroll 4
      for (std::size_t c = 1; c < kSplit; ++c) sums[i][v] += chains[c][i][v];
    }
}

// Rows [row, row + kRows) times panel `panel` over blocks [begin, end); totals are the sums of x
// over each of them, for the offsets.
template <std::size_t kRows>
SDX_INLINE void multiply_blocks(const Int4GemmArgs& args, std::size_t row, std::size_t panel,
                                std::size_t begin, std::size_t end,
                                const float (*totals)[kChunkBlocks]) {
  const std::size_t block = args.weights.block, k = args.weights.k;
  Int4Panel w = panel_at(args.weights, panel, begin);
  VecF y[kRows][kPanelVecs] = {};
  for (std::size_t b = begin; b < end; ++b) {
    float tail[kRows][kInt4MaxBlock];
    const float* x[kRows];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kRows; ++i) x[i] = args.x + (row + i) * args.x_stride + b * block;
    const std::size_t left = k - b * block;
    if (left < block)
      for (std::size_t i = 0; i < kRows; ++i) {
        for (std::size_t d = 0; d < block; ++d) tail[i][d] = d < left ? x[i][d] : 0.0f;
        x[i] = tail[i];
      }
    VecF sums[kRows][kPanelVecs];
    multiply_block<kRows>(w.packed, block, x, sums);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kPanelVecs; ++v) {
        if (w.offsets) sums[i][v] += load(w.offsets + v * kF32) * totals[i][b - begin];
        y[i][v] += sums[i][v] * load(w.scales + v * kF32);
      }
    w.packed += block * (kInt4PanelCols / 2);
    w.scales += kInt4PanelCols;
    if (w.offsets) w.offsets += kInt4PanelCols;
  }
  for (std::size_t i = 0; i < kRows; ++i) store_panel(args, row + i, panel, y[i], begin == 0);
}

void int4_gemm_f32(const Int4GemmArgs& args) {
  const std::size_t block = args.weights.block, k = args.weights.k, blocks = int4_blocks(k, block);
  for_row_groups(args.rows, [&]<std::size_t kRows>(std::size_t row) {
    float totals[kRows][kChunkBlocks];
    std::size_t begin = 0;
    do {  // once even where k is 0, for the bias
      const std::size_t end = blocks - begin < kChunkBlocks ? blocks : begin + kChunkBlocks;
      if (args.weights.offsets)
        for (std::size_t i = 0; i < kRows; ++i)
          for (std::size_t b = begin; b < end; ++b) {
            const std::size_t left = k - b * block;
            totals[i][b - begin] = static_cast<float>(sum_of(
                args.x + (row + i) * args.x_stride + b * block, left < block ? left : block));
          }
      for (std::size_t p = args.panel_begin; p < args.panel_end; ++p)
        multiply_blocks<kRows>(args, row, p, begin, end, totals);
      begin = end;
    } while (begin < blocks);
  });
}

void int4_quantize_rows(const float* x, std::size_t x_stride, std::size_t rows, std::size_t k,
                        std::size_t block, const Int4Quantized& out) {
  const std::size_t blocks = int4_blocks(k, block);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t b = 0; b < blocks; ++b) {
      const float* from = x + r * x_stride + b * block;
      const std::size_t at = r * blocks + b, left = k - b * block, n = left < block ? left : block;
      int8_t* values = out.values + at * block;
      VecF most{};
      std::size_t i = 0;
      for (; i + kF32 <= n; i += kF32) most = max(abs(load(from + i)), most);
      if (i < n) most = max(abs(load_head(from + i, n - i)), most);
      const float peak = reduce_max(most);
      const VecF factor = splat(peak > 0 ? 127.0f / peak : 0.0f);
      const VecF bound = splat(127.0f);
      VecI total{};
      for (i = 0; i < n; i += kF32) {
        const std::size_t lanes = n - i < kF32 ? n - i : kF32;
        const VecF v = (lanes == kF32 ? load(from + i) : load_head(from + i, lanes)) * factor;
        const VecI q = to_int_even(min(max(v, -bound), bound));
        total += q;
        if (lanes == kF32)
          store_lanes(values + i, q);
        else
          store_lanes_head(values + i, q, lanes);
      }
      for (i = n; i < block; ++i) values[i] = 0;
      out.scales[at] = peak / 127.0f;
      out.sums[at] = out.scales[at] * reduce_add(to_float(total));  // whole numbers: exact
    }
}

void int4_dequantize(const Int4DequantizeArgs& args) {
  const std::size_t block = args.weights.block;
  for (std::size_t p = args.panel_begin; p < args.panel_end; ++p)
    for (std::size_t k = args.k_begin; k < args.k_end; k += 8) {
      const Int4Panel w = panel_at(args.weights, p, k / block);
      const uint8_t* packed = w.packed + k % block * (kInt4PanelCols / 2);
      for (std::size_t v = 0; v < kPanelVecs; ++v) {
        const VecI words = load(reinterpret_cast<const int32_t*>(packed + v * kVecBytes));
        const VecF scale = load(w.scales + v * kF32);
        const VecF offset = w.offsets ? load(w.offsets + v * kF32) : VecF{};
        float* out = args.out + (k - args.k_begin) * args.out_stride +
                     (p - args.panel_begin) * kInt4PanelCols + v * kF32;
#pragma GCC unroll 8
        for (std::size_t nibble = 0; nibble < 8; ++nibble) {
          const std::size_t depth = depth_of(nibble);
          if (k + depth < args.k_end)
            store(out + depth * args.out_stride, (nibble_value(words, nibble) + offset) * scale);
        }
      }
    }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(int4_pack, Int4Pack)
SDX_DEFINE_KERNEL(int4_gemm_f32, Int4Gemm)
SDX_DEFINE_KERNEL(int4_quantize_rows, Int4QuantizeRows)
SDX_DEFINE_KERNEL(int4_dequantize, Int4Dequantize)

}  // namespace sdx::kernels
