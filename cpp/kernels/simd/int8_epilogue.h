// What becomes of rows of 32-bit sums: corrected for zero points, then stored as Int8Epilogue
// says.
#pragma once

#include "kernels/int8.h"
#include "kernels/simd/narrow.h"

namespace sdx::kernels {
namespace SDX_ISA {

// Sums and zero points of 32 bits wrap around where they overflow.
SDX_INLINE VecW wrapping(const int32_t* p) { return reinterpret_cast<VecW>(load(p)); }
SDX_INLINE uint32_t wrapping(int32_t v) { return static_cast<uint32_t>(v); }

// An epilogue's per-column numbers for one panel, padded so that whole vectors can be read.
struct Int8Panel {
  std::size_t column;  // the first
  std::size_t columns;
  alignas(64) int32_t offset[kInt8PanelCols];
  alignas(64) int32_t column_sums[kInt8PanelCols];
  alignas(64) int32_t b_zero_points[kInt8PanelCols];
  alignas(64) float scale[kInt8PanelCols];
  alignas(64) float bias[kInt8PanelCols];
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
      store(panel->offset + i,
            reinterpret_cast<VecI>(wrapping(panel->offset + i) -
                                   wrapping(shift) * wrapping(panel->column_sums + i)));
  if (e.b_zero_points) copy_padded(e.b_zero_points + column, columns, panel->b_zero_points);
  if (e.kind == Int8Out::s32) return;
  if (e.scale_step)
    copy_padded(e.scale + column, columns, panel->scale);
  else
    for (float& scale : panel->scale) scale = *e.scale;
  copy_padded(e.bias_f32 ? e.bias_f32 + column : nullptr, e.bias_f32 ? columns : 0, panel->bias);
}

SDX_INLINE VecF load_some(const float* p) { return load(p); }
SDX_INLINE VecF load_some(const float* p, std::size_t lanes) { return load_head(p, lanes); }
SDX_INLINE void store_some(float* p, VecF v) { store(p, v); }
SDX_INLINE void store_some(float* p, VecF v, std::size_t lanes) { store_head(p, v, lanes); }
template <class T>
SDX_INLINE void store_some(T* p, VecI v) {
  store_lanes(p, v);
}
template <class T>
SDX_INLINE void store_some(T* p, VecI v, std::size_t lanes) {
  store_lanes_head(p, v, lanes);
}

template <Int8Out kKind, class T>
SDX_INLINE void finish_rows_as(const int32_t (*sums)[kInt8PanelCols], const Int8Epilogue& epilogue,
                               const Int8Panel& panel, std::size_t row, std::size_t rows,
                               std::size_t depth) {
  const Int8Epilogue e = epilogue;  // copies, which stores of bytes cannot be taken to change
  const std::size_t columns = panel.columns;
  const bool per_row = e.a_zero_points || e.b_zero_points;
  const VecF lo = splat(static_cast<float>(e.lo - e.zero_point));
  const VecF hi = splat(static_cast<float>(e.hi - e.zero_point));
  for (std::size_t r = 0; r < rows; ++r, ++sums) {
    T* out = static_cast<T*>(e.out) + (row + r) * e.out_stride + panel.column;
    const int32_t a_zero = e.a_zero_points ? e.a_zero_points[row + r] : e.a_zero_point;
    const float row_scale = e.row_scale ? e.row_scale[row + r] : 1.0f;
    uint32_t centred = 0;  // the row's sum less its zero points
    if (e.b_zero_points)
      centred = wrapping(e.row_sums[row + r]) - static_cast<uint32_t>(depth) * wrapping(a_zero);
    const auto finish = [&](std::size_t i, auto... lanes) __attribute__((always_inline)) {
      VecW sum = wrapping(*sums + i) + wrapping(panel.offset + i);
      if (per_row) {
        if (e.a_zero_points) sum -= wrapping(a_zero) * wrapping(panel.column_sums + i);
        if (e.b_zero_points) sum -= centred * wrapping(panel.b_zero_points + i);
      }
      const VecI v = reinterpret_cast<VecI>(sum);
      if constexpr (kKind == Int8Out::s32) {
        store_some(out + i, v, lanes...);
      } else if constexpr (kKind == Int8Out::f32) {
        VecF f = to_float(v) * (load(panel.scale + i) * row_scale) + load(panel.bias + i);
        if (e.accumulate) f += load_some(out + i, lanes...);
        store_some(out + i, f, lanes...);
      } else {
        const VecF f = to_float(v) * load(panel.scale + i);
        store_some(out + i, to_int_even(min(max(f, lo), hi)) + e.zero_point, lanes...);
      }
    };
    std::size_t i = 0;
    for (; i + kF32 <= columns; i += kF32) finish(i);
    if (i < columns) finish(i, columns - i);
  }
}

// Finishes rows [row, row + rows) of the call, whose sums over the panel's columns (whole vectors
// of them) lie in `sums`; depth is how many products each sum has.
SDX_INLINE void finish_rows(const int32_t (*sums)[kInt8PanelCols], const Int8Epilogue& e,
                            const Int8Panel& panel, std::size_t row, std::size_t rows,
                            std::size_t depth) {
  switch (e.kind) {
    case Int8Out::s32:
      return finish_rows_as<Int8Out::s32, int32_t>(sums, e, panel, row, rows, depth);
    case Int8Out::f32:
      return finish_rows_as<Int8Out::f32, float>(sums, e, panel, row, rows, depth);
    case Int8Out::u8:
      return finish_rows_as<Int8Out::u8, uint8_t>(sums, e, panel, row, rows, depth);
    case Int8Out::s8:
      return finish_rows_as<Int8Out::s8, int8_t>(sums, e, panel, row, rows, depth);
  }
}

// Where tap t of row r lies.
SDX_INLINE const uint8_t* row_of(const Int8Rows& a, std::size_t r, std::size_t t) {
  return static_cast<const uint8_t*>(a.pixels ? a.pixels[r * a.taps + t]
                                              : static_cast<const char*>(a.a) + r * a.a_stride);
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
