#include "base/checked.h"
#include "base/error.h"
#include "ops/expert_weights.h"
#include "ops/float32_adapter.h"

namespace sdx::ops {
namespace {

// Columns that are turned to floats at a time.
constexpr int64_t kColumns = 64;
constexpr int64_t kMaxLanes = 16, kMaxChunks = 64;
// Up to so many rows packed codes are read row by row.
constexpr int64_t kFewRows = 8;

int64_t packed_stride(const GemmKernels& gemm, const ExpertWeights& w) {
  return round_up(gemm.packed_floats(w.k, w.n), kAlignment / sizeof(float));
}

// A whole row as one block does not fit the kernel: it is cut into blocks of this size.
int64_t kernel_block(const ExpertWeights& w) { return w.block > 0 ? w.block : 32; }

bool fits_kernel(const ExpertWeights& w) {
  const int64_t block = kernel_block(w);
  return w.bits == 4 && block % 8 == 0 && w.k % block == 0 &&
         block <= static_cast<int64_t>(kernels::kInt4MaxBlock);
}

struct Int4Sizes {
  int64_t codes, scales;  // bytes and floats an expert
};

Int4Sizes int4_sizes(const ExpertWeights& w) {
  const auto k = static_cast<std::size_t>(w.k), n = static_cast<std::size_t>(w.n);
  const auto block = static_cast<std::size_t>(kernel_block(w));
  return {round_up(static_cast<int64_t>(kernels::int4_packed_bytes(k, n, block)), kAlignment),
          static_cast<int64_t>(kernels::int4_scale_count(k, n, block))};
}

int code_at(const uint8_t* codes, int64_t i, int bits) {
  const int per_byte = 8 / bits;
  return codes[i / per_byte] >> (i % per_byte * bits) & ((1 << bits) - 1);
}

float zero_of(const ExpertWeights& w, const uint8_t* zeros, int64_t expert, int64_t row,
              int64_t block) {
  if (!zeros) return static_cast<float>(1 << (w.bits - 1));
  zeros += expert * w.zero_bytes();
  if (w.block <= 0) return static_cast<float>(code_at(zeros, row, w.bits));
  return static_cast<float>(code_at(zeros + row * ((w.blocks() * w.bits + 7) / 8), block, w.bits));
}

}  // namespace

int64_t ExpertWeights::zero_bytes() const {
  return block > 0 ? n * ((blocks() * bits + 7) / 8) : (n * bits + 7) / 8;
}

void ExpertWeights::read_shape(const Shape& shape) {
  check(shape.size() == 3, "weights of shape ", shape, " for experts");
  experts = shape[0];
  n = shape[1];
  k = is_float() ? shape[2] : checked_mul(shape[2], 8 / bits);
}

void ExpertWeights::check_shapes(const PrepareContext& ctx) const {
  const auto check_count = [&](int input, int64_t count, const char* what) {
    if (input >= 0 && ctx.has_input(input))
      check(ctx.count(input) == count, what, " has shape ", ctx.shape(input), ", expected ", count,
            " elements");
  };
  check(is_float() || block <= 0 || k % block == 0, "rows of ", k, " weights in blocks of ", block);
  check(is_float() || ctx.has_input(scales), "scales are missing");
  check_count(scales, checked_mul(experts * n, blocks()), "a tensor of scales");
  check_count(zeros, experts * zero_bytes(), "a tensor of zero points");
  check_count(bias, experts * n, "a bias");
}

void ExpertWeights::pack(PackContext& ctx) const {
  const Tensor* tensor = ctx.constant(weights);
  if (!tensor || tensor->rank() != 3) return;
  ExpertWeights w = *this;
  w.read_shape(tensor->shape());
  if (w.experts == 0 || w.n == 0 || w.k == 0) return;
  std::vector<float> wide;
  if (is_float()) {
    if (!packs_as_float32(tensor->dtype())) return;
    const GemmKernels gemm;
    const int64_t stride = packed_stride(gemm, w);
    const float* from = as_floats(*tensor, wide);
    auto* packed = static_cast<float*>(ctx.allocate(
        slot,
        static_cast<std::size_t>(checked_mul(checked_mul(w.experts, stride), sizeof(float)))));
    for (int64_t e = 0; e < w.experts; ++e)
      gemm.pack_b({.k = static_cast<std::size_t>(w.k),
                   .n = static_cast<std::size_t>(w.n),
                   .b = from + e * w.n * w.k,
                   .ldb = static_cast<std::size_t>(w.k),
                   .transposed = true,
                   .packed = packed + e * stride},
                  0, static_cast<std::size_t>(gemm.panels(w.n)));
    return ctx.release_input(weights);
  }
  const Tensor* scale = ctx.constant(scales);
  const bool has_zeros = zeros >= 0 && ctx.has_input(zeros);
  const Tensor* zero = has_zeros ? ctx.constant(zeros) : nullptr;
  if (!fits_kernel(w) || !scale || (has_zeros && !zero) || !packs_as_float32(scale->dtype()) ||
      scale->count() != w.experts * w.n * w.blocks() ||
      (zero && (zero->dtype() != DType::uint8 || zero->count() != w.experts * w.zero_bytes())))
    return;
  const float* from = as_floats(*scale, wide);
  const int64_t block_size = kernel_block(w), columns = w.k / block_size;
  const Int4Sizes sizes = int4_sizes(w);
  auto* codes = static_cast<uint8_t*>(
      ctx.allocate(slot, static_cast<std::size_t>(checked_mul(w.experts, sizes.codes))));
  const auto floats =
      static_cast<std::size_t>(checked_mul(checked_mul(w.experts, sizes.scales), sizeof(float)));
  auto* packed_scales = static_cast<float*>(ctx.allocate(slot + 1, floats));
  auto* offsets = zero ? static_cast<float*>(ctx.allocate(slot + 2, floats)) : nullptr;
  std::vector<float> row_scales(static_cast<std::size_t>(w.n * columns)), row_zeros;
  if (zero) row_zeros.resize(row_scales.size());
  for (int64_t e = 0; e < w.experts; ++e) {
    for (int64_t i = 0; i < w.n * columns; ++i) {
      const int64_t row = i / columns, at = block > 0 ? i % columns : 0;
      row_scales[i] = from[(e * w.n + row) * w.blocks() + at];
      if (zero) row_zeros[i] = zero_of(w, zero->data<uint8_t>(), e, row, at);
    }
    kernels::int4_pack.resolve()(
        {.b = tensor->data<uint8_t>() + e * w.n * (w.k / 2),
         .scales = row_scales.data(),
         .float_zero_points = zero ? row_zeros.data() : nullptr,
         .k = static_cast<std::size_t>(w.k),
         .n = static_cast<std::size_t>(w.n),
         .block = static_cast<std::size_t>(block_size),
         .packed = codes + e * sizes.codes,
         .packed_scales = packed_scales + e * sizes.scales,
         .packed_offsets = offsets ? offsets + e * sizes.scales : nullptr});
  }
  ctx.release_input(weights);
  ctx.release_input(scales);
  if (zero) ctx.release_input(zeros);
}

ExpertProduct::ExpertProduct(const ExpertWeights& weights, const PrepareContext& ctx,
                             ScratchPlan& plan, int64_t rows)
    : w_(weights) {
  if (w_.is_float()) {
    packed_ = ctx.packed<float>(w_.slot);
  } else {
    packed_codes_ = ctx.packed<uint8_t>(w_.slot);
    packed_scales_ = ctx.packed<float>(w_.slot + 1);
    packed_offsets_ = ctx.packed<float>(w_.slot + 2);
  }
  units_ = packed_ ? gemm_.panels(w_.n) : (w_.n + kColumns - 1) / kColumns;
  if (packed_ || (packed_codes_ && rows <= kFewRows)) {
    lanes_ = kMaxChunks;
    return;
  }
  lanes_ = kMaxLanes;
  floats_ = w_.is_float() ? 0 : round_up(checked_mul(w_.k, kColumns), 16);
  const auto gemm_floats = static_cast<int64_t>(
      gemm_.dynamic_scratch({.m = static_cast<std::size_t>(rows),
                             .n = kColumns,
                             .k = static_cast<std::size_t>(w_.k),
                             .a = nullptr,
                             .lda = static_cast<std::size_t>(w_.k),
                             .b = nullptr,
                             .ldb = w_.is_float() ? static_cast<std::size_t>(w_.k) : kColumns,
                             .transposed_b = w_.is_float(),
                             .c = nullptr,
                             .ldc = static_cast<std::size_t>(w_.n)}));
  lane_floats_ = checked_add(floats_, round_up(gemm_floats, 16));
  scratch_at_ = plan.add(checked_mul(lane_floats_, lanes_));
}

void ExpertProduct::run(const Frame& f, std::span<const int32_t> active, const int32_t* offsets,
                        const float* x, float* y) const {
  const int64_t items = static_cast<int64_t>(active.size()) * units_;
  if (items == 0) return;
  const double work = gemm_cost(1, w_.n, w_.k) * static_cast<double>(active.size());
  const int64_t chunks =
      std::min({items, lanes_, std::max<int64_t>(1, static_cast<int64_t>(work / 6e3))});
  const Split split{.items = items, .chunks = chunks};
  ScratchLanes lanes(chunks);
  f.parallel_for({chunks, chunks}, [&](Range r) {
    const ScratchLanes::Lane lane(lanes);
    float* scratch = f.scratch<float>() + scratch_at_ + lane.index() * lane_floats_;
    const Range part = split.chunk(r.begin);
    for (int64_t i = part.begin; i < part.end; ++i) {
      const int32_t expert = active[i / units_], first = offsets[expert];
      const Rows rows{expert, offsets[expert + 1] - first, x + first * w_.k, y + first * w_.n};
      run_unit(f, rows, i % units_, scratch);
    }
  });
}

kernels::Int4Weights ExpertProduct::int4_weights(int64_t expert) const {
  const Int4Sizes sizes = int4_sizes(w_);
  return {.packed = packed_codes_ + expert * sizes.codes,
          .scales = packed_scales_ + expert * sizes.scales,
          .offsets = packed_offsets_ ? packed_offsets_ + expert * sizes.scales : nullptr,
          .k = static_cast<std::size_t>(w_.k),
          .n = static_cast<std::size_t>(w_.n),
          .block = static_cast<std::size_t>(kernel_block(w_))};
}

void ExpertProduct::run_unit(const Frame& f, const Rows& rows, int64_t unit, float* scratch) const {
  const float* bias =
      w_.bias >= 0 && f.has_input(w_.bias) ? f.in<float>(w_.bias) + rows.expert * w_.n : nullptr;
  kernels::GemmArgs args{.m = static_cast<std::size_t>(rows.count),
                         .n = static_cast<std::size_t>(w_.n),
                         .k = static_cast<std::size_t>(w_.k),
                         .a = rows.x,
                         .lda = static_cast<std::size_t>(w_.k),
                         .b = nullptr,
                         .c = rows.y,
                         .ldc = static_cast<std::size_t>(w_.n),
                         .epilogue = {.column_bias = bias}};
  if (packed_) {
    args.b = packed_ + rows.expert * packed_stride(gemm_, w_);
    const auto panel = static_cast<std::size_t>(unit);
    return gemm_.packed(args, {0, args.m, panel, panel + 1});
  }
  constexpr int64_t kPanels = kColumns / static_cast<int64_t>(kernels::kInt4PanelCols);
  const int64_t column = unit * kColumns, columns = std::min(kColumns, w_.n - column);
  const auto first = static_cast<std::size_t>(unit * kPanels);
  const std::size_t last =
      std::min(kernels::int4_panels(args.n), static_cast<std::size_t>((unit + 1) * kPanels));
  if (packed_codes_ && rows.count <= kFewRows)
    return few_rows_({.weights = int4_weights(rows.expert),
                      .x = rows.x,
                      .x_stride = args.k,
                      .rows = args.m,
                      .bias = bias,
                      .y = rows.y,
                      .y_stride = args.n,
                      .panel_begin = first,
                      .panel_end = last});
  if (packed_codes_)
    dequantize_int4_({.weights = int4_weights(rows.expert),
                      .panel_begin = first,
                      .panel_end = last,
                      .k_begin = 0,
                      .k_end = args.k,
                      .out = scratch,
                      .out_stride = kColumns});
  else if (!w_.is_float())
    dequantize(f, rows.expert, column, columns, scratch);
  args.n = static_cast<std::size_t>(columns);
  args.b = w_.is_float() ? f.in<float>(w_.weights) + (rows.expert * w_.n + column) * w_.k : scratch;
  args.ldb = w_.is_float() ? args.k : kColumns;
  args.transposed_b = w_.is_float();
  args.c = rows.y + column;
  if (bias) args.epilogue.column_bias = bias + column;
  gemm_.dynamic(args, {0, args.m, 0, static_cast<std::size_t>(gemm_.panels(columns))},
                scratch + floats_);
}

// Columns [column, column + columns) of an expert's matrix as [k][kColumns] floats.
void ExpertProduct::dequantize(const Frame& f, int64_t expert, int64_t column, int64_t columns,
                               float* out) const {
  const uint8_t* zeros = w_.zeros >= 0 ? f.in<uint8_t>(w_.zeros) : nullptr;
  const int64_t row_bytes = w_.k * w_.bits / 8, blocks = w_.blocks();
  const int64_t block = w_.block > 0 ? w_.block : w_.k;
  for (int64_t c = 0; c < columns; ++c) {
    const int64_t row = column + c;
    const uint8_t* codes = f.in<uint8_t>(w_.weights) + (expert * w_.n + row) * row_bytes;
    const float* scales = f.in<float>(w_.scales) + (expert * w_.n + row) * blocks;
    for (int64_t at = 0, i = 0; i < w_.k; ++at) {
      const float scale = scales[at], zero = zero_of(w_, zeros, expert, row, at);
      const int64_t end = std::min(w_.k, i + block);
      if (w_.bits == 8)
        for (; i < end; ++i) out[i * kColumns + c] = (static_cast<float>(codes[i]) - zero) * scale;
      else
        for (; i < end; ++i)
          out[i * kColumns + c] = (static_cast<float>(code_at(codes, i, w_.bits)) - zero) * scale;
    }
  }
}

}  // namespace sdx::ops
