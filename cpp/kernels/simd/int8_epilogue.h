// What becomes of a row of 32-bit sums: corrected for zero points, then stored as Int8Epilogue
// says.
#pragma once

#include "kernels/int8.h"
#include "kernels/simd/narrow.h"

namespace sdx::kernels {
namespace SDX_ISA {

// An epilogue's per-column numbers for one panel, padded so that whole vectors can be read.
struct Int8Panel {
  std::size_t column;  // the first
  std::size_t columns;
  int32_t offset[kInt8PanelCols];
  int32_t column_sums[kInt8PanelCols];
  int32_t b_zero_points[kInt8PanelCols];
  float scale[kInt8PanelCols];
  float bias[kInt8PanelCols];
};

template <class T>
SDX_INLINE void copy_padded(const T* from, std::size_t n, T* to) {
  for (std::size_t i = 0; i < n; ++i) to[i] = from[i];
  for (std::size_t i = n; i < kInt8PanelCols; ++i) to[i] = T{};
}

// a_shift is what was added to every byte of a on the way into the sums.
SDX_INLINE void begin_panel(const Int8Epilogue& e, std::size_t column, std::size_t columns,
                            int32_t a_shift, Int8Panel* panel) {
  panel->column = column;
  panel->columns = columns;
  const int32_t shift = a_shift + (e.a_zero_points ? 0 : e.a_zero_point);
  if (e.column_sums) copy_padded(e.column_sums + column, columns, panel->column_sums);
  copy_padded(e.bias_s32 ? e.bias_s32 + column : nullptr, e.bias_s32 ? columns : 0, panel->offset);
  if (shift)
    for (std::size_t i = 0; i < kInt8PanelCols; i += kF32)
      store(panel->offset + i, load(panel->offset + i) - shift * load(panel->column_sums + i));
  if (e.b_zero_points) copy_padded(e.b_zero_points + column, columns, panel->b_zero_points);
  if (e.kind == Int8Out::s32) return;
  if (e.scale_step)
    copy_padded(e.scale + column, columns, panel->scale);
  else
    for (float& scale : panel->scale) scale = *e.scale;
  copy_padded(e.bias_f32 ? e.bias_f32 + column : nullptr, e.bias_f32 ? columns : 0, panel->bias);
}

template <class T>
SDX_INLINE void store_quantized(const int32_t* sums, const Int8Epilogue& e, const Int8Panel& panel,
                                T* out) {
  const VecF lo = splat(static_cast<float>(e.lo - e.zero_point));
  const VecF hi = splat(static_cast<float>(e.hi - e.zero_point));
  for (std::size_t i = 0; i < panel.columns; i += kF32) {
    const VecF v = to_float(load(sums + i)) * load(panel.scale + i);
    const VecI q = to_int_even(min(max(v, lo), hi)) + e.zero_point;
    if (i + kF32 <= panel.columns)
      store_lanes(out + i, q);
    else
      store_lanes_head(out + i, q, panel.columns - i);
  }
}

// `sums` is one row of the panel, whole vectors of it, and is overwritten; depth is how many
// products each sum has; row counts from the first of the call.
SDX_INLINE void finish_row(int32_t* sums, const Int8Epilogue& e, const Int8Panel& panel,
                           std::size_t row, std::size_t depth) {
  const std::size_t n = panel.columns;
  const int32_t a_zero = e.a_zero_points ? e.a_zero_points[row] : e.a_zero_point;
  for (std::size_t i = 0; i < n; i += kF32)
    store(sums + i, load(sums + i) + load(panel.offset + i));
  if (e.a_zero_points)
    for (std::size_t i = 0; i < n; i += kF32)
      store(sums + i, load(sums + i) - a_zero * load(panel.column_sums + i));
  if (e.b_zero_points) {
    const uint32_t centred = static_cast<uint32_t>(e.row_sums[row]) -
                             static_cast<uint32_t>(depth) * static_cast<uint32_t>(a_zero);
    for (std::size_t i = 0; i < n; i += kF32)
      store(sums + i,
            load(sums + i) - static_cast<int32_t>(centred) * load(panel.b_zero_points + i));
  }
  const std::size_t at = row * e.out_stride + panel.column;
  switch (e.kind) {
    case Int8Out::s32: {
      int32_t* out = static_cast<int32_t*>(e.out) + at;
      std::size_t i = 0;
      for (; i + kF32 <= n; i += kF32) store(out + i, load(sums + i));
      for (; i < n; ++i) out[i] = sums[i];
      break;
    }
    case Int8Out::f32: {
      float* out = static_cast<float*>(e.out) + at;
      const float row_scale = e.row_scale ? e.row_scale[row] : 1.0f;
      for (std::size_t i = 0; i < n; i += kF32) {
        const std::size_t lanes = n - i < kF32 ? n - i : kF32;
        VecF v =
            to_float(load(sums + i)) * (load(panel.scale + i) * row_scale) + load(panel.bias + i);
        if (lanes == kF32) {
          if (e.accumulate) v += load(out + i);
          store(out + i, v);
        } else {
          if (e.accumulate) v += load_head(out + i, lanes);
          store_head(out + i, v, lanes);
        }
      }
      break;
    }
    case Int8Out::u8:
      store_quantized(sums, e, panel, static_cast<uint8_t*>(e.out) + at);
      break;
    case Int8Out::s8:
      store_quantized(sums, e, panel, static_cast<int8_t*>(e.out) + at);
      break;
  }
}

// Where tap t of row r lies.
SDX_INLINE const uint8_t* row_of(const Int8Rows& a, std::size_t r, std::size_t t) {
  return static_cast<const uint8_t*>(a.pixels ? a.pixels[r * a.taps + t]
                                              : static_cast<const char*>(a.a) + r * a.a_stride);
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
