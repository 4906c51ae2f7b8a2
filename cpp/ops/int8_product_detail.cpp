#include "base/checked.h"
#include "base/error.h"
#include "ops/int8_product.h"

namespace sdx::ops {

std::size_t int8_weight_bytes(const Int8Matrix& m) {
  const int64_t padded = m.group > 0 ? m.k / m.group * round_up(m.group, 4) : 0;
  checked_mul(round_up(m.n, 64), padded);
  return kernels::int8_packed_bytes(static_cast<std::size_t>(padded),
                                    static_cast<std::size_t>(m.n));
}

void pack_int8_weights(DType dtype, const void* data, const Int8Matrix& m, int8_t* packed,
                       int32_t* column_sums) {
  kernels::int8_pack.resolve()({.b = data,
                                .b_is_signed = dtype == DType::int8,
                                .k = static_cast<std::size_t>(m.k),
                                .n = static_cast<std::size_t>(m.n),
                                .group = static_cast<std::size_t>(m.group),
                                .k_stride = static_cast<std::size_t>(m.k_stride),
                                .n_stride = static_cast<std::size_t>(m.n_stride),
                                .packed = packed,
                                .column_sums = column_sums});
}

void pack_int8_weights(const Frame& frame, DType dtype, const void* data, const Int8Matrix& m,
                       int8_t* packed, int32_t* column_sums) {
  constexpr int64_t kColumns = kernels::kInt8PanelCols;
  constexpr double kWeight = 1;  // nanoseconds
  const auto panels = static_cast<int64_t>(kernels::int8_panels(static_cast<std::size_t>(m.n)));
  const int64_t panel_bytes = round_up(m.k, 4) * kColumns;
  const double cost = static_cast<double>(panel_bytes) * kWeight;
  frame.parallel_for(split_work(panels, cost), [&](Range r) {
    Int8Matrix part = m;
    const int64_t first = r.begin * kColumns;
    part.n = std::min(m.n - first, r.size() * kColumns);
    pack_int8_weights(dtype, static_cast<const uint8_t*>(data) + first * m.n_stride, part,
                      packed + r.begin * panel_bytes, column_sums + first);
  });
}

void check_int8_inputs(const InferContext& ctx, const Int8Inputs& in) {
  const auto has = [&](int i) { return i >= 0 && ctx.has_input(i); };
  for (const int i : {in.a_scale, in.b_scale, in.y_scale})
    if (i >= 0) check(is_float(ctx.dtype(i)), "input ", i, ", a scale, is ", ctx.dtype(i));
  const std::pair<int, int> owners[] = {{in.a_zero, in.a}, {in.b_zero, in.b}};
  for (const auto& [zero, owner] : owners)
    if (has(zero))
      check(ctx.dtype(zero) == ctx.dtype(owner), "input ", zero, ", a zero point, is ",
            ctx.dtype(zero), ", input ", owner, " is ", ctx.dtype(owner));
}

float scale_at(DType dtype, const void* scales, int64_t i) {
  return dispatch(FloatTypes{}, dtype,
                  [&]<class T>() { return static_cast<float>(static_cast<const T*>(scales)[i]); });
}

int32_t zero_point_at(DType dtype, const void* zeros, int64_t i) {
  if (!zeros) return 0;
  return dtype == DType::int8 ? static_cast<const int8_t*>(zeros)[i]
                              : static_cast<const uint8_t*>(zeros)[i];
}

bool widen_zero_points(DType dtype, const void* zeros, int64_t count, int64_t columns,
                       int32_t* widened) {
  bool any = false;
  for (int64_t c = 0; c < columns; ++c) {
    widened[c] =
        zero_point_at(dtype, zeros, count == 1 ? 0 : c) - (dtype == DType::uint8 ? 128 : 0);
    any |= widened[c] != 0;
  }
  return any;
}

Int8Grid::Int8Grid(int64_t row_count, int64_t n, int64_t k)
    : rows(row_count),
      panels(static_cast<int64_t>(kernels::int8_panels(static_cast<std::size_t>(n)))) {
  constexpr int64_t kRows = 48, kPanels = 4;
  constexpr double kSumsPerNanosecond = 150;
  constexpr double kLongest = 8e6;  // nanoseconds: a run that is cancelled ends after a block
  row_step = kRows;
  panel_step = kPanels;
  const auto cost_of_block = [&] {
    return static_cast<double>(std::min(rows, row_step)) *
           static_cast<double>(std::min(panels, panel_step) * 64) * static_cast<double>(k) /
           kSumsPerNanosecond;
  };
  while (panel_step > 1 && cost_of_block() > kLongest) panel_step /= 2;
  while (row_step > 12 && cost_of_block() > kLongest) row_step /= 2;
  const int64_t blocks =
      (rows + row_step - 1) / row_step * ((panels + panel_step - 1) / panel_step);
  const double cost = cost_of_block();
  split = split_work(blocks, cost);
}

void Int8Grid::run(const Frame& frame, const std::function<void(Range, Range)>& f) const {
  if (rows == 0 || panels == 0) return;
  const int64_t row_blocks = (rows + row_step - 1) / row_step;
  frame.parallel_for(split, [&](Range r) {
    for (int64_t i = r.begin; i < r.end; ++i) {
      const int64_t row = i % row_blocks * row_step, panel = i / row_blocks * panel_step;
      f({row, std::min(rows, row + row_step)}, {panel, std::min(panels, panel + panel_step)});
    }
  });
}

}  // namespace sdx::ops
