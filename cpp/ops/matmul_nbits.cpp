// com.microsoft MatMulNBits: a product with weights of 2, 4 or 8 bits in blocks along the depth,
// each block with a scale and a zero point. Computed in float32 whatever accuracy_level allows.
#include <bit>

#include "base/checked.h"
#include "base/error.h"
#include "ir/graph.h"
#include "kernels/gemm.h"
#include "kernels/int4.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/gemm_plan.h"
#include "ops/registry.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

enum Slot { kWeights = 0, kScales = 1, kOffsets = 2 };

// Columns that are turned back to floats at a time, for many rows.
constexpr int64_t kColumns = 64;
constexpr int64_t kMaxChunks = 16;
// Up to so many rows the packed weights are read row by row.
constexpr int64_t kFewRows = 8;

class MatMulNBits final : public Op {
 public:
  explicit MatMulNBits(const OpInit& init)
      : k_(init.attrs.require<int64_t>("K")),
        n_(init.attrs.require<int64_t>("N")),
        bits_(init.attrs.get("bits", 4)),
        block_(init.attrs.require<int64_t>("block_size")) {
    check(k_ > 0 && n_ > 0, "K is ", k_, " and N is ", n_);
    check(bits_ == 2 || bits_ == 4 || bits_ == 8, "bits is ", bits_);
    check(block_ >= 16 && std::has_single_bit(static_cast<uint64_t>(block_)), "block_size is ",
          block_);
    checked_mul(checked_mul(blocks(), block_), n_);
  }

  void infer(InferContext& ctx) const override {
    if (ctx.has_input(4)) fail(ErrorKind::unsupported, "g_idx is not supported");
    const DType dtype = ctx.dtype(0);
    if (!packs_as_float32(dtype))
      fail(ErrorKind::unsupported, "element type ", dtype, " is not supported here");
    check(ctx.dtype(1) == DType::uint8, "B is ", ctx.dtype(1), ", not uint8");
    check(ctx.dtype(2) == dtype, "scales are ", ctx.dtype(2), ", not ", dtype);
    check(!ctx.has_input(3) || ctx.dtype(3) == DType::uint8 || ctx.dtype(3) == dtype,
          "zero_points are ", ctx.has_input(3) ? ctx.dtype(3) : dtype, ", not uint8 or ", dtype);
    check(!ctx.has_input(5) || ctx.dtype(5) == dtype, "bias is ",
          ctx.has_input(5) ? ctx.dtype(5) : dtype, ", not ", dtype);
    check_count(ctx, 1, checked_mul(n_, blocks()) * (block_ * bits_ / 8), "B");
    check_count(ctx, 2, n_ * blocks(), "scales");
    if (ctx.has_input(3))
      check_count(ctx, 3, ctx.dtype(3) == dtype ? n_ * blocks() : n_ * zero_bytes(), "zero_points");
    check_count(ctx, 5, n_, "bias");
    if (!ctx.has_rank(0)) return ctx.set_output(0, dtype);
    Dims dims = ctx.dims(0);
    check(!dims.empty() && may_equal(dims.back(), Dim(k_)), "A is ", dims, ", K is ", k_);
    dims.back() = n_;
    ctx.set_output(0, dtype, std::move(dims));
  }

  void pack(PackContext& ctx) const override {
    const Tensor *b = ctx.constant(1), *scales = ctx.constant(2), *zeros = ctx.constant(3);
    if (!fits_kernels() || !b || !scales || (ctx.has_input(3) && !zeros)) return;
    const auto k = static_cast<std::size_t>(k_), n = static_cast<std::size_t>(n_);
    const auto block = static_cast<std::size_t>(block_);
    kernels::Int4PackArgs args;
    args.b = b->data<uint8_t>();
    std::vector<float> wide_scales, wide_zeros;
    args.scales = as_floats(*scales, wide_scales);
    if (zeros && zeros->dtype() == DType::uint8)
      args.zero_points = zeros->data<uint8_t>();
    else if (zeros)
      args.float_zero_points = as_floats(*zeros, wide_zeros);
    args.k = k;
    args.n = n;
    args.block = block;
    args.packed =
        static_cast<uint8_t*>(ctx.allocate(kWeights, kernels::int4_packed_bytes(k, n, block)));
    const std::size_t floats = kernels::int4_scale_count(k, n, block) * sizeof(float);
    args.packed_scales = static_cast<float*>(ctx.allocate(kScales, floats));
    if (zeros) args.packed_offsets = static_cast<float*>(ctx.allocate(kOffsets, floats));
    kernels::int4_pack.resolve()(args);
    ctx.release_input(1);
    ctx.release_input(2);
    if (zeros) ctx.release_input(3);
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t rows = ctx.count(0) / k_;
    if (!ctx.packed<uint8_t>(kWeights)) return in_float32(ctx, unpacked(ctx, rows));
    const kernels::Int4Weights weights{.packed = ctx.packed<uint8_t>(kWeights),
                                       .scales = ctx.packed<float>(kScales),
                                       .offsets = ctx.packed<float>(kOffsets),
                                       .k = static_cast<std::size_t>(k_),
                                       .n = static_cast<std::size_t>(n_),
                                       .block = static_cast<std::size_t>(block_)};
    return in_float32(ctx,
                      rows <= kFewRows ? few_rows(weights, rows) : many_rows(ctx, weights, rows));
  }

  double flops(const PrepareContext& ctx) const override {
    return 2.0 * static_cast<double>(ctx.count(0)) * static_cast<double>(n_);
  }

 private:
  int64_t blocks() const { return (k_ + block_ - 1) / block_; }
  int64_t zero_bytes() const { return (blocks() * bits_ + 7) / 8; }
  bool fits_kernels() const {
    return bits_ == 4 && block_ <= static_cast<int64_t>(kernels::kInt4MaxBlock);
  }

  static void check_count(const InferContext& ctx, int i, int64_t count, const char* what) {
    if (!ctx.has_input(i)) return;
    const auto shape = ctx.input(i).known_shape();
    check(!shape || element_count(*shape) == count, what, " has ",
          shape ? element_count(*shape) : 0, " elements, not ", count);
  }

  Step few_rows(const kernels::Int4Weights& weights, int64_t rows) const {
    const auto panels = static_cast<int64_t>(kernels::int4_panels(weights.n));
    const Split split = split_work(panels, static_cast<double>(rows * k_) * 16 / 25.0);
    return [=, run = kernels::int4_gemm_f32.resolve()](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        run({.weights = weights,
             .x = f.in<float>(0),
             .x_stride = weights.k,
             .rows = static_cast<std::size_t>(rows),
             .bias = f.in<float>(5),
             .y = f.out<float>(0),
             .y_stride = weights.n,
             .panel_begin = static_cast<std::size_t>(r.begin),
             .panel_end = static_cast<std::size_t>(r.end)});
      });
    };
  }

  // Columns back to floats, a block at a time, for the float product.
  Step many_rows(PrepareContext& ctx, const kernels::Int4Weights& weights, int64_t rows) const {
    constexpr int64_t kPanels = kColumns / static_cast<int64_t>(kernels::kInt4PanelCols);
    const int64_t column_blocks = (n_ + kColumns - 1) / kColumns;
    const int64_t chunks = std::min(kMaxChunks, column_blocks);
    const kernels::GemmArgs shape{.m = static_cast<std::size_t>(rows),
                                  .n = kColumns,
                                  .k = weights.k,
                                  .a = nullptr,
                                  .lda = weights.k,
                                  .b = nullptr,
                                  .ldb = kColumns,
                                  .c = nullptr,
                                  .ldc = weights.n};
    const GemmKernels gemm;
    const auto gemm_floats = static_cast<int64_t>(gemm.dynamic_scratch(shape));
    const int64_t floats = round_up(checked_mul(k_, kColumns), 16);
    const int64_t lane_floats = checked_add(floats, round_up(gemm_floats, 16));
    ctx.request_scratch(checked_mul(checked_mul(lane_floats, chunks), sizeof(float)));
    return [=, dequantize = kernels::int4_dequantize.resolve()](Frame& f) {
      const Split split{.items = column_blocks, .chunks = chunks};
      ScratchLanes lanes(chunks);
      f.parallel_for({chunks, chunks}, [&](Range r) {
        const ScratchLanes::Lane lane(lanes);
        float* b = f.scratch<float>() + lane.index() * lane_floats;
        const Range blocks = split.chunk(r.begin);
        for (int64_t c = blocks.begin; c < blocks.end; ++c) {
          const int64_t columns = std::min(kColumns, n_of(weights) - c * kColumns);
          const auto panels = static_cast<int64_t>(kernels::int4_panels(weights.n));
          dequantize({.weights = weights,
                      .panel_begin = static_cast<std::size_t>(c * kPanels),
                      .panel_end = static_cast<std::size_t>(std::min(panels, (c + 1) * kPanels)),
                      .k_begin = 0,
                      .k_end = weights.k,
                      .out = b,
                      .out_stride = kColumns});
          kernels::GemmArgs args = shape;
          args.n = static_cast<std::size_t>(columns);
          args.a = f.in<float>(0);
          args.b = b;
          args.c = f.out<float>(0) + c * kColumns;
          if (f.has_input(5)) args.epilogue.column_bias = f.in<float>(5) + c * kColumns;
          gemm.dynamic(args, {0, args.m, 0, static_cast<std::size_t>(gemm.panels(columns))},
                       b + floats);
        }
      });
    };
  }

  static int64_t n_of(const kernels::Int4Weights& weights) {
    return static_cast<int64_t>(weights.n);
  }

  // Weights that are no constants, or of other widths: straight from the operator's layout.
  Step unpacked(PrepareContext& ctx, int64_t rows) const {
    const bool float_zeros = ctx.has_input(3) && ctx.dtype(3) != DType::uint8;
    return [k = k_, n = n_, bits = bits_, block = block_, count = blocks(), zero_row = zero_bytes(),
            float_zeros, rows](Frame& f) {
      const float *x = f.in<float>(0), *scales = f.in<float>(2), *bias = f.in<float>(5);
      const auto* b = f.in<uint8_t>(1);
      const int per_byte = static_cast<int>(8 / bits), mask = (1 << bits) - 1;
      const auto code = [&](const uint8_t* row, int64_t i) {
        return row[i / per_byte] >> (i % per_byte * bits) & mask;
      };
      f.parallel_for(split_work(n, static_cast<double>(rows * k)), [&](Range r) {
        for (int64_t c = r.begin; c < r.end; ++c) {
          for (int64_t m = 0; m < rows; ++m) {
            double sum = bias ? bias[c] : 0.0;
            for (int64_t i = 0; i < k; ++i) {
              const int64_t at = i / block;
              double zero = static_cast<double>(1 << (bits - 1));
              if (float_zeros)
                zero = f.in<float>(3)[c * count + at];
              else if (f.has_input(3))
                zero = code(f.in<uint8_t>(3) + c * zero_row, at);
              sum += static_cast<double>(x[m * k + i]) *
                     (code(b + c * count * (block * bits / 8), i) - zero) *
                     static_cast<double>(scales[c * count + at]);
            }
            f.out<float>(0)[m * n + c] = static_cast<float>(sum);
          }
        }
      });
    };
  }

  int64_t k_, n_, bits_, block_;
};

}  // namespace

void register_matmul_nbits(OpRegistry& ops) {
  ops.add<MatMulNBits>("MatMulNBits", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
