// Products with 4-bit weights in blocks along the depth, each with a scale and a zero point
// (com.microsoft MatMulNBits): y[m, n] = sum over k of x[m, k] (q[n, k] - zero_point) scale.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// Packed weights are panels of kInt4PanelCols columns: [panel][k/8][col][4 bytes], a byte holding
// depth i in its low and depth i + 4 in its high nibble (i < 4). block is a multiple of 8, at most
// kInt4MaxBlock; k is rounded up to whole blocks, n to whole panels, and there the scale is 0.
inline constexpr std::size_t kInt4PanelCols = 16;
inline constexpr std::size_t kInt4MaxBlock = 256;

constexpr std::size_t int4_panels(std::size_t n) {
  return (n + kInt4PanelCols - 1) / kInt4PanelCols;
}
constexpr std::size_t int4_blocks(std::size_t k, std::size_t block) {
  return (k + block - 1) / block;
}
constexpr std::size_t int4_packed_bytes(std::size_t k, std::size_t n, std::size_t block) {
  return int4_panels(n) * int4_blocks(k, block) * block * (kInt4PanelCols / 2);
}
// Floats in Int4Weights::scales, and in offsets.
constexpr std::size_t int4_scale_count(std::size_t k, std::size_t n, std::size_t block) {
  return int4_panels(n) * int4_blocks(k, block) * kInt4PanelCols;
}

struct Int4Weights {
  const uint8_t* packed = nullptr;
  const float* scales = nullptr;   // [panel][block][kInt4PanelCols]
  const float* offsets = nullptr;  // 8 - zero point, laid out as scales; null where all are 8
  std::size_t k = 0, n = 0, block = 0;
};

// From the operator's layout: b [n, blocks, block / 2], even depths in low nibbles; scales
// [n, blocks]; zero_points [n, ceil(blocks / 2)] nibbles, low first, or float_zero_points
// [n, blocks], or neither (8). offsets is written only where there are zero points.
struct Int4PackArgs {
  const uint8_t* b = nullptr;
  const float* scales = nullptr;
  const uint8_t* zero_points = nullptr;
  const float* float_zero_points = nullptr;
  std::size_t k = 0, n = 0, block = 0;
  uint8_t* packed = nullptr;
  float* packed_scales = nullptr;
  float* packed_offsets = nullptr;
};
using Int4Pack = void(const Int4PackArgs& args);

extern const Kernel<Int4Pack, kIsaCount> int4_pack;

// `rows` rows of x (k floats, x_stride apart) times panels [panel_begin, panel_end), in float;
// meant for few rows. y[r * y_stride + column] is the sum plus bias[column] (bias may be null).
struct Int4GemmArgs {
  Int4Weights weights;
  const float* x = nullptr;
  std::size_t x_stride = 0;
  std::size_t rows = 0;
  const float* bias = nullptr;
  float* y = nullptr;
  std::size_t y_stride = 0;
  std::size_t panel_begin = 0, panel_end = 0;
};
using Int4Gemm = void(const Int4GemmArgs& args);

extern const Kernel<Int4Gemm, kIsaCount> int4_gemm_f32;

// The same with x quantised to 8 bits a block first (accuracy_level 4): x is not read.
// quantized: [rows][blocks * block], scales and sums: [rows][blocks].
struct Int4Quantized {
  int8_t* values = nullptr;
  float* scales = nullptr;
  float* sums = nullptr;  // scale times the sum of the values: what a zero point is multiplied by
};
using Int4QuantizeRows = void(const float* x, std::size_t x_stride, std::size_t rows, std::size_t k,
                              std::size_t block, const Int4Quantized& out);
using Int4GemmS8 = void(const Int4GemmArgs& args, const Int4Quantized& x);

extern const Kernel<Int4QuantizeRows, kIsaCount> int4_quantize_rows;
extern const Kernel<Int4GemmS8, kDotIsaCount> int4_gemm_s8;

// Weights back to f32 for many rows: out[(i - k_begin) * out_stride + j] for depths [k_begin,
// k_end) and the columns j of panels [panel_begin, panel_end), counted from the first. With four
// panels and out_stride 64 that is a panel of the f32 GEMM. Columns from n on are 0. k_begin is a
// multiple of 8.
struct Int4DequantizeArgs {
  Int4Weights weights;
  std::size_t panel_begin = 0, panel_end = 0;
  std::size_t k_begin = 0, k_end = 0;
  float* out = nullptr;
  std::size_t out_stride = 0;
};
using Int4Dequantize = void(const Int4DequantizeArgs& args);

extern const Kernel<Int4Dequantize, kIsaCount> int4_dequantize;

}  // namespace sdx::kernels
