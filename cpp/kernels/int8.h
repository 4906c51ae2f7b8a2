// 8-bit integer matrix products with 32-bit sums: packing, GEMM, indirect and depthwise
// convolution, and what becomes of the sums on the way out.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// Packed weights are [panel][ceil(k/4)][kInt8PanelCols][4] signed bytes, zero where k or n end; the
// layout is the same for every tier. Unsigned weights are stored less 128, and so must the zero
// points that go with them be. column_sums has int8_padded_cols(n) entries.
inline constexpr std::size_t kInt8PanelCols = 64;

constexpr std::size_t int8_panels(std::size_t n) {
  return (n + kInt8PanelCols - 1) / kInt8PanelCols;
}
constexpr std::size_t int8_padded_cols(std::size_t n) { return int8_panels(n) * kInt8PanelCols; }
constexpr std::size_t int8_packed_bytes(std::size_t k, std::size_t n) {
  return int8_padded_cols(n) * ((k + 3) / 4 * 4);
}

// The weight of depth i and column j is b[i * k_stride + j * n_stride]. A convolution packs taps *
// round_up(channels, 4) depths with `group` = channels: every group of that many depths starts at a
// multiple of 4 (k counts real depths, and is a multiple of group). A matrix has group = k.
struct Int8PackArgs {
  const void* b = nullptr;
  bool b_is_signed = true;
  std::size_t k = 0, n = 0, group = 0;
  std::size_t k_stride = 0, n_stride = 0;
  int8_t* packed = nullptr;  // int8_packed_bytes(k / group * round_up(group, 4), n) bytes
  int32_t* column_sums = nullptr;
};
using Int8Pack = void(const Int8PackArgs& args);

extern const Kernel<Int8Pack, kIsaCount> int8_pack;

enum class Int8Out : unsigned char { s32, f32, u8, s8 };

// What is done with each exact sum. First, always:
//   sum = sum over depth of (a - a_zero_point) (b - b_zero_point[col]) + bias_s32[col]
// then s32: stored; f32: sum * row_scale[row] * scale[col] + bias_f32[col], stored or added to out;
// u8, s8: clamp(round_half_to_even(sum * scale[col]) + zero_point, lo, hi).
// Columns are indexed from the first column of the matrix, rows from the first row of the call.
struct Int8Epilogue {
  Int8Out kind = Int8Out::s32;
  bool accumulate = false;  // f32 only
  void* out = nullptr;      // row r, column c at out[r * out_stride + c]
  std::size_t out_stride = 0;
  int32_t a_zero_point = 0;                // in the type of a
  const int32_t* a_zero_points = nullptr;  // [rows], instead of a_zero_point; may be null
  const int32_t* b_zero_points = nullptr;  // [cols], may be null: 0; needs row_sums
  const int32_t* row_sums = nullptr;       // [rows], see int8_row_sums
  const int32_t* column_sums = nullptr;    // [padded cols], from packing
  const int32_t* bias_s32 = nullptr;       // [cols], may be null
  const float* bias_f32 = nullptr;         // [cols], f32 only, may be null
  const float* row_scale = nullptr;        // [rows], f32 only, may be null: 1
  const float* scale = nullptr;            // [cols] or, with scale_step 0, one number
  std::size_t scale_step = 1;
  int32_t zero_point = 0, lo = 0, hi = 255;  // u8 and s8 only
};

// Where the rows of a lie. Direct: row r at a + r * a_stride, `channels` bytes long, taps 1.
// Indirect (pixels not null): tap t of row r at pixels[r * taps + t], `channels` bytes long;
// padding is a row of bytes equal to the zero point. Only those bytes are read.
struct Int8Rows {
  const void* a = nullptr;
  std::size_t a_stride = 0;
  const void* const* pixels = nullptr;
  std::size_t taps = 1;
  std::size_t channels = 0;
  bool is_signed = false;
};

// `rows` rows times panels [panel_begin, panel_end) of a packed matrix of n columns.
struct Int8GemmArgs {
  Int8Rows a;
  std::size_t rows = 0;
  const int8_t* packed = nullptr;
  std::size_t n = 0;
  std::size_t panel_begin = 0, panel_end = 0;
  Int8Epilogue epilogue;
};
using Int8Gemm = void(const Int8GemmArgs& args);

extern const Kernel<Int8Gemm, kDotIsaCount> int8_gemm;

// sums[r] = sum of all bytes of row r, in the type of a.
using Int8RowSums = void(const Int8Rows& a, std::size_t rows, int32_t* sums);

extern const Kernel<Int8RowSums, kIsaCount> int8_row_sums;

// Depthwise: sum over taps of a[tap][c] * weights[tap * channels + c], channels as the columns of
// the epilogue, whose b_zero_points must be null and column_sums the sums over taps. a.channels is
// all channels; [channel_begin, channel_end) is done. Indirect rows only.
struct Int8DepthwiseArgs {
  Int8Rows a;
  std::size_t rows = 0;
  const int8_t* weights = nullptr;  // [taps, channels]
  std::size_t channel_begin = 0, channel_end = 0;
  Int8Epilogue epilogue;
};
using Int8Depthwise = void(const Int8DepthwiseArgs& args);

extern const Kernel<Int8Depthwise, kDotIsaCount> int8_depthwise;

}  // namespace sdx::kernels
