// Products with 4-bit weights of older forms of com.microsoft: MatMulBnb4, whose codes mean floats
// of a table, and MatMulFpQ4, whose blocks hold their scale, zero point and codes together.
#include <algorithm>
#include <bit>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/gemm_plan.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

constexpr int64_t kColumns = 64, kMaxChunks = 16;

// The product of `rows` rows of input 0 and a k x n matrix that `decode(f, column, columns, out)`
// turns to floats, [k][kColumns], some columns at a time.
template <class Decode>
Step product_step(PrepareContext& ctx, int64_t rows, int64_t n, int64_t k, const Decode& decode) {
  if (rows == 0 || n == 0) return [](Frame&) {};
  const int64_t blocks = (n + kColumns - 1) / kColumns, chunks = std::min(kMaxChunks, blocks);
  const GemmKernels gemm;
  const kernels::GemmArgs shape{.m = static_cast<std::size_t>(rows),
                                .n = kColumns,
                                .k = static_cast<std::size_t>(k),
                                .a = nullptr,
                                .lda = static_cast<std::size_t>(k),
                                .b = nullptr,
                                .ldb = kColumns,
                                .c = nullptr,
                                .ldc = static_cast<std::size_t>(n)};
  ScratchPlan plan;
  const int64_t floats = round_up(checked_mul(k, kColumns), 16);
  const int64_t lane_floats =
      checked_add(floats, round_up(static_cast<int64_t>(gemm.dynamic_scratch(shape)), 16));
  plan.add(checked_mul(lane_floats, chunks));
  plan.request(ctx);
  return in_float32(ctx, [=](Frame& f) {
    const Split split{.items = blocks, .chunks = chunks};
    ScratchLanes lanes(chunks);
    f.parallel_for({chunks, chunks}, [&](Range r) {
      const ScratchLanes::Lane lane(lanes);
      float* b = f.scratch<float>() + lane.index() * lane_floats;
      const Range part = split.chunk(r.begin);
      for (int64_t c = part.begin; c < part.end; ++c) {
        const int64_t columns = std::min(kColumns, n - c * kColumns);
        decode(f, c * kColumns, columns, b);
        kernels::GemmArgs args = shape;
        args.n = static_cast<std::size_t>(columns);
        args.a = f.in<float>(0);
        args.b = b;
        args.c = f.out<float>(0) + c * kColumns;
        gemm.dynamic(args, {0, args.m, 0, static_cast<std::size_t>(gemm.panels(columns))},
                     b + floats);
      }
    });
  });
}

void infer_product(InferContext& ctx, int64_t depth, int64_t columns) {
  const DType dtype = ctx.dtype(0);
  if (!packs_as_float32(dtype))
    fail(ErrorKind::unsupported, "element type ", dtype, " is not supported here");
  check(ctx.dtype(1) == DType::uint8, "B is ", ctx.dtype(1), ", not uint8");
  if (!ctx.has_rank(0)) return ctx.set_output(0, dtype);
  Dims dims = ctx.dims(0);
  check(!dims.empty() && may_equal(dims.back(), Dim(depth)), "A is ", dims, ", expected rows of ",
        depth);
  dims.back() = columns;
  ctx.set_output(0, dtype, std::move(dims));
}

// What the codes stand for, by QLoRA (Dettmers and others, 2023): a float of 4 bits, and the
// quantiles of a normal distribution.
constexpr float kFloat4[16] = {
    0.0f,  5.208333333e-03f,  0.66666667f,  1.0f,  0.33333333f,  0.5f,  0.16666667f,  0.25f,
    -0.0f, -5.208333333e-03f, -0.66666667f, -1.0f, -0.33333333f, -0.5f, -0.16666667f, -0.25f};
constexpr float kNormal4[16] = {-1.0f,          -0.6961928010f, -0.5250730515f, -0.3949174881f,
                                -0.2844413817f, -0.1847734302f, -0.0910500363f, 0.0f,
                                0.0795802996f,  0.1609302014f,  0.2461123019f,  0.3379152417f,
                                0.4407098293f,  0.5626170039f,  0.7229568362f,  1.0f};

// (A, codes of [N, K] one after the other, first in the high bits, a scale for each block of them).
class MatMulBnb4 final : public Op {
 public:
  explicit MatMulBnb4(const OpInit& init)
      : k_(init.attrs.require<int64_t>("K")),
        n_(init.attrs.require<int64_t>("N")),
        block_(init.attrs.require<int64_t>("block_size")),
        transposed_(init.attrs.get("transB", 1) != 0) {
    const int64_t type = init.attrs.require<int64_t>("quant_type");
    check(type == 0 || type == 1, "quant_type is ", type);
    table_ = type == 0 ? kFloat4 : kNormal4;
    check(k_ > 0 && n_ > 0, "K is ", k_, " and N is ", n_);
    check(block_ >= 16 && std::has_single_bit(static_cast<uint64_t>(block_)), "block_size is ",
          block_);
    checked_mul(checked_mul(k_, n_), 2);
  }

  void infer(InferContext& ctx) const override {
    infer_product(ctx, transposed_ ? k_ : n_, transposed_ ? n_ : k_);
    check(ctx.dtype(2) == ctx.dtype(0), "absmax is ", ctx.dtype(2), ", not ", ctx.dtype(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    check(ctx.count(1) == (n_ * k_ + 1) / 2, "B has ", ctx.count(1), " elements, not ",
          (n_ * k_ + 1) / 2);
    check(ctx.count(2) == (n_ * k_ + block_ - 1) / block_, "absmax has ", ctx.count(2),
          " elements, not ", (n_ * k_ + block_ - 1) / block_);
    const int64_t depth = transposed_ ? k_ : n_, columns = transposed_ ? n_ : k_;
    // Codes between neighbours along the depth, and between columns.
    const int64_t step = transposed_ ? 1 : k_, column_step = transposed_ ? k_ : 1;
    return product_step(
        ctx, ctx.count(0) / depth, columns, depth,
        [=, block = block_, table = table_](Frame& f, int64_t column, int64_t count, float* out) {
          const auto* codes = f.in<uint8_t>(1);
          const float* scales = f.in<float>(2);
          for (int64_t c = 0; c < count; ++c) {
            for (int64_t i = 0; i < depth; ++i) {
              const int64_t at = (column + c) * column_step + i * step;
              out[i * kColumns + c] =
                  table[codes[at / 2] >> (at % 2 ? 0 : 4) & 15] * scales[at / block];
            }
          }
        });
  }

 private:
  int64_t k_, n_, block_;
  bool transposed_;
  const float* table_;
};

// (A, blocks of every column, their depth and columns). A block is a float, a zero point if the
// type has one, and its codes; half of each 32 codes lie in the low bits.
class MatMulFpQ4 final : public Op {
 public:
  explicit MatMulFpQ4(const OpInit& init) {
    const int64_t type = init.attrs.get("blk_quant_type", 1);
    check(type >= 0 && type <= 2, "blk_quant_type is ", type);
    has_zero_ = type == 1;
    block_ = type == 2 ? 64 : 32;
  }

  void infer(InferContext& ctx) const override {
    const Tensor* shape = ctx.constant(2);
    if (!shape) fail(ErrorKind::unsupported, "B_shape is no constant");
    const std::vector<int64_t> sizes = shape->to_int64s();
    check(sizes.size() == 2 && sizes[0] > 0 && sizes[1] > 0, "B_shape holds no two sizes");
    infer_product(ctx, sizes[0], sizes[1]);
  }

  Step prepare(PrepareContext& ctx) const override {
    const std::vector<int64_t> sizes = ctx.constant(2)->to_int64s();
    const int64_t k = sizes[0], n = sizes[1], blocks = (k + block_ - 1) / block_;
    const int64_t head = has_zero_ ? 5 : 4, bytes = head + block_ / 2;
    check(ctx.count(1) == checked_mul(checked_mul(n, blocks), bytes), "B has ", ctx.count(1),
          " bytes, not ", n * blocks * bytes);
    return product_step(
        ctx, ctx.count(0) / k, n, k,
        [=, block = block_, has_zero = has_zero_](Frame& f, int64_t column, int64_t count,
                                                  float* out) {
          for (int64_t c = 0; c < count; ++c) {
            const uint8_t* at = f.in<uint8_t>(1) + (column + c) * blocks * bytes;
            for (int64_t i = 0; i < k; at += bytes) {
              float scale;
              std::memcpy(&scale, at, sizeof(float));
              const int zero = has_zero ? at[4] : 8;
              for (const int64_t begin = i, end = std::min(k, i + block); i < end; ++i) {
                const int64_t place = i - begin, half = place % 32;
                const int code = at[head + place / 32 * 16 + half % 16] >> (half < 16 ? 0 : 4) & 15;
                out[i * kColumns + c] = static_cast<float>(code - zero) * scale;
              }
            }
          }
        });
  }

 private:
  bool has_zero_;
  int64_t block_;
};

}  // namespace

[[gnu::cold]] void register_matmul_4bit(OpRegistry& ops) {
  ops.add<MatMulBnb4>("MatMulBnb4", {.since = 1}, "com.microsoft");
  ops.add<MatMulFpQ4>("MatMulFpQ4", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
