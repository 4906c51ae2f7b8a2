// com.microsoft MatMulNBits: a product with weights of 2, 4 or 8 bits in blocks along the depth,
// each block with a scale and a zero point. Computed in float32 whatever accuracy_level allows.
#include <algorithm>
#include <bit>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "ir/graph.h"
#include "kernels/gemm.h"
#include "kernels/int4.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/gemm_plan.h"
#include "ops/nbits_recode.h"
#include "ops/registry.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

enum Slot { kWeights = 0, kScales = 1, kOffsets = 2, kOrder = 3 };

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
    if (ctx.has_input(kGroups)) {
      check(ctx.dtype(kGroups) == DType::int32, "g_idx is ", ctx.dtype(kGroups), ", not int32");
      // Exporters fill the list up to whole blocks.
      if (const auto shape = ctx.input(kGroups).known_shape())
        check(element_count(*shape) >= k_, "g_idx has ", element_count(*shape), " elements, not ",
              k_);
    }
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
    const Tensor* groups = ctx.constant(kGroups);
    if (!b || !scales || (ctx.has_input(3) && !zeros) || (ctx.has_input(kGroups) && !groups))
      return;
    const NBitsWeights weights = this->weights();
    const std::optional<Recoding> recoding = recoding_of(weights, groups);
    if (!recoding) return;
    kernels::Int4PackArgs args;
    args.b = b->data<uint8_t>();
    std::vector<float> wide_scales, wide_zeros;
    args.scales = as_floats(*scales, wide_scales);
    if (zeros && zeros->dtype() == DType::uint8)
      args.zero_points = zeros->data<uint8_t>();
    else if (zeros)
      args.float_zero_points = as_floats(*zeros, wide_zeros);
    const bool as_it_is = bits_ == 4 && recoding->block == block_ && recoding->order.empty();
    RecodedWeights recoded;
    if (!as_it_is) {
      recoded =
          recode(weights, *recoding, args.b, args.scales, args.zero_points, args.float_zero_points);
      args.b = recoded.codes.data();
      args.scales = recoded.scales.data();
      args.zero_points = nullptr;
      args.float_zero_points = recoded.zeros.data();
    }
    const auto k = static_cast<std::size_t>(recoding->kernel_depth(k_));
    const auto n = static_cast<std::size_t>(n_), block = static_cast<std::size_t>(recoding->block);
    args.k = k;
    args.n = n;
    args.block = block;
    args.packed =
        static_cast<uint8_t*>(ctx.allocate(kWeights, kernels::int4_packed_bytes(k, n, block)));
    const std::size_t floats = kernels::int4_scale_count(k, n, block) * sizeof(float);
    args.packed_scales = static_cast<float*>(ctx.allocate(kScales, floats));
    if (args.zero_points || args.float_zero_points)
      args.packed_offsets = static_cast<float*>(ctx.allocate(kOffsets, floats));
    kernels::int4_pack.resolve()(args);
    if (!recoding->order.empty())
      std::copy(
          recoding->order.begin(), recoding->order.end(),
          static_cast<int32_t*>(ctx.allocate(kOrder, recoding->order.size() * sizeof(int32_t))));
    for (const int i : {1, 2, 3, kGroups})
      if (ctx.has_input(i)) ctx.release_input(i);
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t rows = ctx.count(0) / k_;
    if (!ctx.packed<uint8_t>(kWeights)) return in_float32(ctx, unpacked(ctx, rows));
    Recoding recoding = *recoding_of(weights(), nullptr);
    const auto* order = ctx.packed<int32_t>(kOrder);
    if (order) recoding.order.assign(order, order + k_);
    const kernels::Int4Weights weights{.packed = ctx.packed<uint8_t>(kWeights),
                                       .scales = ctx.packed<float>(kScales),
                                       .offsets = ctx.packed<float>(kOffsets),
                                       .k = static_cast<std::size_t>(recoding.kernel_depth(k_)),
                                       .n = static_cast<std::size_t>(n_),
                                       .block = static_cast<std::size_t>(recoding.block)};
    ScratchPlan plan;
    Input input{.order = order, .depth = recoding.depth};
    // For many rows the runs of 8-bit weights are added up as floats: they need x once.
    input.runs = rows <= kFewRows ? recoding.runs : 1;
    input.stride = (input.runs - 1) * recoding.depth + k_;
    if (input.runs > 1 || order) input.at = plan.add(checked_mul(rows, input.stride));
    Step step = rows <= kFewRows ? few_rows(weights, input, rows)
                                 : many_rows(plan, weights, recoding, input, rows);
    plan.request(ctx);
    return in_float32(ctx, std::move(step));
  }

  double flops(const PrepareContext& ctx) const override {
    return 2.0 * static_cast<double>(ctx.count(0)) * static_cast<double>(n_);
  }

 private:
  static constexpr int kGroups = 4;

  // x as the kernels read it: as it lies, or in the order of the packed weights, once for each run.
  struct Input {
    const int32_t* order = nullptr;
    int64_t depth = 0, runs = 1, stride = 0;
    int64_t at = -1;  // in the scratch

    const float* arranged(const Frame& f, int64_t rows, int64_t k) const {
      if (at < 0) return f.in<float>(0);
      float* to = f.scratch<float>() + at;
      f.parallel_for(split_work(rows, 0.5 * static_cast<double>(stride)), [&](Range r) {
        for (int64_t row = r.begin; row < r.end; ++row) {
          const float* x = f.in<float>(0) + row * k;
          for (int64_t run = 0; run < runs; ++run) {
            float* y = to + row * stride + run * depth;
            for (int64_t i = 0; i < k; ++i) y[i] = x[order ? order[i] : i];
            if (run + 1 < runs) std::fill(y + k, y + depth, 0.0f);
          }
        }
      });
      return to;
    }
  };

  NBitsWeights weights() const { return {k_, n_, bits_, block_}; }
  int64_t blocks() const { return weights().blocks(); }
  int64_t zero_bytes() const { return weights().zero_bytes(); }

  static void check_count(const InferContext& ctx, int i, int64_t count, const char* what) {
    if (!ctx.has_input(i)) return;
    const auto shape = ctx.input(i).known_shape();
    check(!shape || element_count(*shape) == count, what, " has ",
          shape ? element_count(*shape) : 0, " elements, not ", count);
  }

  Step few_rows(const kernels::Int4Weights& weights, const Input& input, int64_t rows) const {
    const auto panels = static_cast<int64_t>(kernels::int4_panels(weights.n));
    const Split split =
        split_work(panels, static_cast<double>(rows) * static_cast<double>(weights.k) * 16 / 25.0);
    return [=, k = k_, run = kernels::int4_gemm_f32.resolve()](Frame& f) {
      const float* x = input.arranged(f, rows, k);
      f.parallel_for(split, [&](Range r) {
        run({.weights = weights,
             .x = x,
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
  Step many_rows(ScratchPlan& plan, const kernels::Int4Weights& weights, const Recoding& recoding,
                 const Input& input, int64_t rows) const {
    constexpr int64_t kPanels = kColumns / static_cast<int64_t>(kernels::kInt4PanelCols);
    const int64_t column_blocks = (n_ + kColumns - 1) / kColumns;
    const int64_t chunks = std::min(kMaxChunks, column_blocks);
    const auto k = static_cast<std::size_t>(k_);
    const kernels::GemmArgs shape{.m = static_cast<std::size_t>(rows),
                                  .n = kColumns,
                                  .k = k,
                                  .a = nullptr,
                                  .lda = k,
                                  .b = nullptr,
                                  .ldb = kColumns,
                                  .c = nullptr,
                                  .ldc = weights.n};
    const GemmKernels gemm;
    const auto gemm_floats = static_cast<int64_t>(gemm.dynamic_scratch(shape));
    const int64_t floats = round_up(checked_mul(k_, kColumns), 16);
    const int64_t lane_floats =
        checked_add(checked_mul(recoding.runs, floats), round_up(gemm_floats, 16));
    const int64_t lanes_at = plan.add(checked_mul(lane_floats, chunks));
    return [=, runs = recoding.runs, depth = static_cast<std::size_t>(recoding.depth),
            dequantize = kernels::int4_dequantize.resolve()](Frame& f) {
      const float* x = input.arranged(f, rows, static_cast<int64_t>(k));
      const Split split{.items = column_blocks, .chunks = chunks};
      ScratchLanes lanes(chunks);
      f.parallel_for({chunks, chunks}, [&](Range r) {
        const ScratchLanes::Lane lane(lanes);
        float* b = f.scratch<float>() + lanes_at + lane.index() * lane_floats;
        const Range blocks = split.chunk(r.begin);
        for (int64_t c = blocks.begin; c < blocks.end; ++c) {
          const int64_t columns = std::min(kColumns, n_of(weights) - c * kColumns);
          const auto panels = static_cast<int64_t>(kernels::int4_panels(weights.n));
          for (int64_t run = 0; run < runs; ++run) {
            const std::size_t begin = static_cast<std::size_t>(run) * depth;
            dequantize({.weights = weights,
                        .panel_begin = static_cast<std::size_t>(c * kPanels),
                        .panel_end = static_cast<std::size_t>(std::min(panels, (c + 1) * kPanels)),
                        .k_begin = begin,
                        .k_end = begin + k,
                        .out = b + run * floats,
                        .out_stride = kColumns});
          }
          for (int64_t i = 0; runs > 1 && i < floats; ++i) b[i] += b[floats + i];
          kernels::GemmArgs args = shape;
          args.n = static_cast<std::size_t>(columns);
          args.a = x;
          args.b = b;
          args.c = f.out<float>(0) + c * kColumns;
          if (f.has_input(5)) args.epilogue.column_bias = f.in<float>(5) + c * kColumns;
          gemm.dynamic(args, {0, args.m, 0, static_cast<std::size_t>(gemm.panels(columns))},
                       b + runs * floats);
        }
      });
    };
  }

  static int64_t n_of(const kernels::Int4Weights& weights) {
    return static_cast<int64_t>(weights.n);
  }

  // Weights that are no constants or lie in uneven groups: straight from the operator's layout.
  Step unpacked(PrepareContext& ctx, int64_t rows) const {
    const bool float_zeros = ctx.has_input(3) && ctx.dtype(3) != DType::uint8;
    return [k = k_, n = n_, bits = bits_, block = block_, count = blocks(), zero_row = zero_bytes(),
            float_zeros, rows](Frame& f) {
      const float *x = f.in<float>(0), *scales = f.in<float>(2), *bias = f.in<float>(5);
      const auto* b = f.in<uint8_t>(1);
      const int per_byte = static_cast<int>(8 / bits), mask = (1 << bits) - 1;
      const auto* groups = f.in<int32_t>(kGroups);
      for (int64_t i = 0; groups && i < k; ++i)
        check_argument(groups[i] >= 0 && groups[i] < count, "g_idx holds ", groups[i],
                       ", there are ", count, " groups");
      const auto code = [&](const uint8_t* row, int64_t i) {
        return row[i / per_byte] >> (i % per_byte * bits) & mask;
      };
      f.parallel_for(split_work(n, static_cast<double>(rows * k)), [&](Range r) {
        for (int64_t c = r.begin; c < r.end; ++c) {
          for (int64_t m = 0; m < rows; ++m) {
            double sum = bias ? bias[c] : 0.0;
            for (int64_t i = 0; i < k; ++i) {
              const int64_t at = groups ? groups[i] : i / block;
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

[[gnu::cold]] void register_matmul_nbits(OpRegistry& ops) {
  ops.add<MatMulNBits>("MatMulNBits", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
