// MatMul, Gemm and their fused forms: one class, whose bias, residual, scale and activation are
// absent in the plain ones.
#include "ops/matmul.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "base/checked.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "ir/graph.h"
#include "kernels/dots.h"
#include "kernels/transpose.h"
#include "kernels/unary.h"
#include "ops/activation.h"
#include "ops/broadcast.h"
#include "ops/checkpoint.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/gemm_plan.h"
#include "ops/registry.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

// An operand as a stack of matrices: its batch dimensions, then rows and columns as the product
// sees them. A vector is a row on the left and a column on the right.
template <class D>
struct Operand {
  std::vector<D> batch;
  D rows{1}, columns{1};
};

template <class D, class List>
Operand<D> operand(const List& dims, bool transposed, bool batch_transposed, bool left) {
  Operand<D> result;
  const std::size_t rank = dims.size();
  check(rank >= 1, "a matrix product of a scalar");
  if (rank == 1) {
    (left ? result.columns : result.rows) = dims[0];
    return result;
  }
  const std::size_t first = batch_transposed ? 1 : 0;
  result.batch.assign(dims.begin() + first, dims.begin() + first + rank - 2);
  result.rows = dims[batch_transposed ? 0 : rank - 2];
  result.columns = dims[rank - 1];
  if (transposed) std::swap(result.rows, result.columns);
  return result;
}

// How matrices of an operand lie in memory.
struct Placement {
  Shape batch;    // its own batch dimensions
  Shape strides;  // of those
  int64_t row_stride = 0;
  bool transposed = false;  // rows of the product are columns in memory
};

Placement place(const Shape& shape, bool transposed, bool batch_transposed, bool left) {
  Placement result;
  const std::size_t rank = shape.size();
  if (rank == 1) {
    result.row_stride = left ? shape[0] : 1;
    return result;
  }
  const Shape strides = row_major_strides(shape);
  const std::size_t first = batch_transposed ? 1 : 0;
  result.batch.assign(shape.begin() + first, shape.begin() + first + rank - 2);
  result.strides.assign(strides.begin() + first, strides.begin() + first + rank - 2);
  result.row_stride = strides[batch_transposed ? 0 : rank - 2];
  result.transposed = transposed;
  return result;
}

int64_t offset_of(int64_t index, const Shape& shape, const Shape& strides) {
  int64_t offset = 0;
  for (std::size_t i = shape.size(); i-- > 0;) {
    offset += index % shape[i] * strides[i];
    index /= shape[i];
  }
  return offset;
}

// Strides of an operand along the batch dimensions of the result; 0 where it repeats.
Shape spread(const Shape& own, const Shape& strides, const Shape& batch) {
  Shape result(batch.size(), 0);
  const std::size_t offset = batch.size() - own.size();
  for (std::size_t i = 0; i < own.size(); ++i) result[offset + i] = own[i] == 1 ? 0 : strides[i];
  return result;
}

// What is added to the product.
enum class Addend { none, scalar, per_column, per_row, full };

struct Plan {
  int64_t m = 0, n = 0, k = 0, batches = 1;
  Shape batch, a_strides, b_strides;  // along the result's batch dimensions
  Placement a, b;
  int64_t a_batches = 1;
  float alpha = 1, beta = 1;
  Addend addend = Addend::none;
  bool residual = false, residual_last = false;
  FusedActivation activation;
};

class MatMul final : public Op {
 public:
  explicit MatMul(const OpInit& init)
      : is_gemm_(init.type == "Gemm" || init.type == "FusedGemm"),
        transposed_a_(init.attrs.get("transA", 0) != 0),
        transposed_b_(init.attrs.get("transB", 0) != 0),
        batch_transposed_a_(init.attrs.get("transBatchA", 0) != 0),
        batch_transposed_b_(init.attrs.get("transBatchB", 0) != 0),
        residual_last_(init.attrs.get("residual_last", 0) != 0),
        alpha_(init.attrs.get("alpha", 1.0)),
        beta_(init.attrs.get("beta", 1.0)),
        activation_(read_activation(init.attrs)) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check_given(ctx, 1, 2);
    check_dtypes(ctx, dtype);
    const bool known = ctx.has_rank(0) && ctx.has_rank(1);
    if (is_gemm_) {
      for (int i = 0; i < 2; ++i) check_rank(ctx, i, 2);
      if (!known) return ctx.set_output(0, dtype, {Dim::unknown(), Dim::unknown()});
    }
    if (!known) return ctx.set_output(0, dtype);
    const auto a = operand<Dim>(ctx.dims(0), transposed_a_, batch_transposed_a_, true);
    const auto b = operand<Dim>(ctx.dims(1), transposed_b_, batch_transposed_b_, false);
    check(may_equal(a.columns, b.rows), "inner dimensions differ: ", a.columns, " and ", b.rows);
    Dims dims = broadcast_dims(a.batch, b.batch);
    if (ctx.rank(0) > 1) dims.push_back(a.rows);
    if (ctx.rank(1) > 1) dims.push_back(b.columns);
    check_addend(ctx, a.rows, b.columns);
    if (ctx.has_input(3) && ctx.has_rank(3)) {
      check(may_equal(ctx.dims(3), dims), "residual ", ctx.dims(3), " for a result of ", dims);
    }
    ctx.set_output(0, dtype, std::move(dims));
  }

  void pack(PackContext& ctx) const override {
    const Tensor* b = ctx.constant(1);
    if (!b || b->rank() < 1 || batch_transposed_b_) return;
    if (!packs_as_float32(b->dtype())) return;
    const GemmKernels gemm;
    const auto logical = operand<int64_t>(b->shape(), transposed_b_, false, false);
    const Placement layout = place(b->shape(), transposed_b_, false, false);
    const int64_t k = logical.rows, n = logical.columns;
    const int64_t batches = element_count(layout.batch);
    if (n == 1 && batches == 1 && b->dtype() == DType::float32 && takes_vectors() &&
        !ctx.has_input(3))
      return;
    const int64_t floats = gemm.packed_floats(k, n);
    const int64_t total = checked_mul(batches, floats);
    auto* packed = static_cast<float*>(
        ctx.allocate(0, static_cast<std::size_t>(checked_mul(total, sizeof(float)))));
    std::vector<float> wide;
    const float* source = as_floats(*b, wide);
    const std::size_t panels = gemm.panels(n);
    for (int64_t i = 0; i < batches; ++i)
      gemm.pack_b({.k = static_cast<std::size_t>(k),
                   .n = static_cast<std::size_t>(n),
                   .b = source + i * k * n,
                   .ldb = static_cast<std::size_t>(layout.row_stride),
                   .transposed = layout.transposed,
                   .packed = packed + i * floats},
                  0, panels);
    if (alpha_ != 1)
      kernels::unary_scale_shift.resolve()(packed, packed, static_cast<std::size_t>(total), alpha_,
                                           0);
    ctx.release_input(1);
  }

  double flops(const PrepareContext& ctx) const override {
    const Shape& a = ctx.shape(0);
    const int64_t depth = a.size() > 1 && transposed_a_ ? a[a.size() - 2] : a.back();
    return 2 * static_cast<double>(depth) * static_cast<double>(element_count(ctx.output_shape(0)));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Plan plan = make_plan(ctx);
    switch (ctx.dtype(0)) {
      case DType::float32:
        return prepare_float(ctx, plan);
      case DType::float16:
      case DType::bfloat16:
        return in_float32(ctx, prepare_float(ctx, plan));
      case DType::float64:
        return prepare_generic<double, double>(ctx, plan);
      case DType::int32:
        return prepare_generic<int32_t, uint32_t>(ctx, plan);
      case DType::uint32:
        return prepare_generic<uint32_t, uint32_t>(ctx, plan);
      case DType::int64:
        return prepare_generic<int64_t, uint64_t>(ctx, plan);
      case DType::uint64:
        return prepare_generic<uint64_t, uint64_t>(ctx, plan);
      default:
        fail(ErrorKind::unsupported, "a matrix product of ", ctx.dtype(0), " is not supported");
    }
  }

 private:
  // Whether products with one column are likely those of matrix_vector_step, which reads B as it
  // is.
  bool takes_vectors() const {
    return alpha_ == 1 && beta_ == 1 && !transposed_a_ &&
           activation_.kind == kernels::Activation::none;
  }

  void check_addend(InferContext& ctx, const Dim& rows, const Dim& columns) const {
    if (!ctx.has_input(2) || !ctx.has_rank(2)) return;
    const Dims& dims = ctx.dims(2);
    const std::size_t most = is_gemm_ ? 2 : 1;
    check(dims.size() <= most, "an addend of rank ", dims.size(), ", at most ", most, " is meant");
    const Dim wanted[2] = {rows, columns};
    for (std::size_t i = 0; i < dims.size(); ++i) {
      const Dim& want = wanted[2 - dims.size() + i];
      check(dims[i] == Dim(1) || may_equal(dims[i], want), "an addend of shape ", dims,
            " does not broadcast to [", rows, ", ", columns, "]");
    }
  }

  Plan make_plan(PrepareContext& ctx) const {
    Plan plan;
    const auto a = operand<int64_t>(ctx.shape(0), transposed_a_, batch_transposed_a_, true);
    const auto b = operand<int64_t>(ctx.shape(1), transposed_b_, batch_transposed_b_, false);
    check(a.columns == b.rows, "inner dimensions differ: ", a.columns, " and ", b.rows);
    plan.m = a.rows;
    plan.n = b.columns;
    plan.k = a.columns;
    plan.a = place(ctx.shape(0), transposed_a_, batch_transposed_a_, true);
    plan.b = place(ctx.shape(1), transposed_b_, batch_transposed_b_, false);
    if (ctx.packed<float>(0)) {  // packed matrices lie one after the other
      plan.b.strides = row_major_strides(plan.b.batch);
      const int64_t floats = GemmKernels().packed_floats(plan.k, plan.n);
      for (int64_t& stride : plan.b.strides) stride *= floats;
    }
    plan.batch = broadcast(plan.a.batch, plan.b.batch);
    plan.batches = element_count(plan.batch);
    plan.a_batches = element_count(plan.a.batch);
    plan.alpha = alpha_;
    plan.beta = beta_;
    plan.activation = activation_;
    plan.residual = ctx.has_input(3);
    plan.residual_last = residual_last_;
    if (ctx.has_input(2)) plan.addend = addend_form(ctx.shape(2), plan.m, plan.n);
    const bool dense_a = !plan.a.transposed && !batch_transposed_a_;
    const bool one_b = element_count(plan.b.batch) == 1;
    const bool by_rows = plan.addend == Addend::per_row || plan.addend == Addend::full;
    if (dense_a && one_b && plan.a_batches == plan.batches && !by_rows) {
      plan.m = checked_mul(plan.m, plan.batches);
      plan.batches = plan.a_batches = 1;
      plan.batch.clear();
      plan.a.batch.clear();
      plan.a.strides.clear();
      plan.b.batch.clear();
      plan.b.strides.clear();
    }
    plan.a_strides = spread(plan.a.batch, plan.a.strides, plan.batch);
    plan.b_strides = spread(plan.b.batch, plan.b.strides, plan.batch);
    return plan;
  }

  static Addend addend_form(const Shape& shape, int64_t m, int64_t n) {
    const int64_t columns = shape.empty() ? 1 : shape.back();
    const int64_t rows = shape.size() < 2 ? 1 : shape[0];
    check((columns == 1 || columns == n) && (rows == 1 || rows == m), "an addend of shape ", shape,
          " does not broadcast to [", m, ", ", n, "]");
    if (rows == 1) return columns == n ? Addend::per_column : Addend::scalar;
    return columns == n ? Addend::full : Addend::per_row;
  }

  static Step prepare_float(PrepareContext& ctx, const Plan& plan);

  template <class T, class U>
  static Step prepare_generic(PrepareContext& ctx, const Plan& plan);

  bool is_gemm_;
  bool transposed_a_, transposed_b_, batch_transposed_a_, batch_transposed_b_;
  bool residual_last_;
  float alpha_, beta_;
  FusedActivation activation_;
};

// The float32 step: A made dense where it is transposed or scaled, the addend scaled or spread
// where the epilogue cannot do it, then blocks of the products.
struct FloatProduct {
  Plan plan;
  GemmKernels gemm;
  GemmGrid grid;
  const float* packed = nullptr;
  kernels::Transpose32* transpose = kernels::transpose_32.resolve();
  kernels::UnaryF32* scale = kernels::unary_scale_shift.resolve();
  bool copy_a = false;
  int64_t addend_floats = 0;                      // of the scaled or spread copy; 0: used as it is
  int64_t addend_offset = 0, dynamic_offset = 0;  // floats into the scratch, after the copy of A
  int64_t dynamic_floats = 0;
  kernels::GemmArgs args{};

  void make_dense(const Frame& f) const {
    const float* a = f.in<float>(0);
    float* dense = f.scratch<float>();
    const auto rows = static_cast<std::size_t>(plan.m), depth = static_cast<std::size_t>(plan.k);
    const double cost = 0.5 * static_cast<double>(plan.m) * static_cast<double>(plan.k) + 20;
    const float factor = packed ? 1 : plan.alpha;
    f.parallel_for(split_work(plan.a_batches, cost), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const float* from = a + offset_of(i, plan.a.batch, plan.a.strides);
        float* to = dense + i * plan.m * plan.k;
        const auto stride = static_cast<std::size_t>(plan.a.row_stride);
        if (plan.a.transposed)
          transpose(depth, rows, reinterpret_cast<const uint32_t*>(from), stride,
                    reinterpret_cast<uint32_t*>(to), depth);
        else
          for (std::size_t row = 0; row < rows; ++row)
            std::copy_n(from + row * stride, depth, to + row * depth);
        if (factor != 1) scale(to, to, rows * depth, factor, 0);
      }
    });
  }

  void set_addend(const Frame& f, kernels::Epilogue& epilogue) const {
    const float* addend = f.in<float>(2);
    if (addend_floats > 0) {
      float* copy = f.scratch<float>() + addend_offset;
      if (plan.addend == Addend::scalar)
        std::fill_n(copy, addend_floats, plan.beta * *addend);
      else
        scale(addend, copy, static_cast<std::size_t>(addend_floats), plan.beta, 0);
      addend = copy;
    }
    if (plan.addend == Addend::full) {
      epilogue.residual = addend;
      epilogue.residual_stride = static_cast<std::size_t>(plan.n);
    } else if (plan.addend == Addend::per_row) {
      epilogue.row_bias = addend;
    } else {
      epilogue.column_bias = addend;
    }
  }

  // Sums over very many terms are made in pieces, between which the run may end.
  void multiply_dynamic(const Frame& f, const kernels::GemmArgs& all,
                        const kernels::GemmRange& range, float* scratch) const {
    constexpr double kLongest = 10e6;  // nanoseconds
    const auto columns = static_cast<int64_t>(range.panel_end - range.panel_begin) *
                         static_cast<int64_t>(gemm.tiling.columns);
    const double cost = gemm_cost(static_cast<int64_t>(range.row_end - range.row_begin),
                                  std::min(columns, plan.n), plan.k);
    const auto pieces = static_cast<std::size_t>(cost / kLongest) + 1;
    for (std::size_t i = 0; i < pieces; ++i) {
      if (i > 0 && (f.cancelled() || Interrupt::due())) return;
      const std::size_t begin = all.k * i / pieces, end = all.k * (i + 1) / pieces;
      kernels::GemmArgs piece = all;
      piece.k = end - begin;
      piece.a += begin;
      piece.b += begin * (all.transposed_b ? 1 : all.ldb);
      if (i + 1 < pieces) piece.epilogue = {};
      piece.epilogue.accumulate = i > 0;
      gemm.dynamic(piece, range, scratch);
    }
  }

  void operator()(Frame& f) const {
    if (grid.batches == 0) return;
    if (copy_a) make_dense(f);
    kernels::GemmArgs whole = args;
    if (plan.addend != Addend::none) set_addend(f, whole.epilogue);
    const float* a = copy_a ? f.scratch<float>() : f.in<float>(0);
    const float* b = packed ? packed : f.in<float>(1);
    const float* residual = plan.residual ? f.in<float>(3) : nullptr;
    float* c = f.out<float>(0);
    float* dynamic = f.scratch<float>() + dynamic_offset;
    const auto at = [&](int64_t batch) {
      kernels::GemmArgs each = whole;
      each.a = a + offset_of(batch, plan.batch, plan.a_strides);
      each.b = b + offset_of(batch, plan.batch, plan.b_strides);
      each.c = c + batch * plan.m * plan.n;
      if (residual) each.epilogue.residual = residual + batch * plan.m * plan.n;
      return each;
    };
    if (packed)
      return f.parallel_ranges(grid.split, [&](Range items) {
        grid.for_each(items, [&](const GemmGrid::Block& block) {
          gemm.packed(at(block.batch), block.range);
        });
      });
    const int64_t chunks = grid.split.chunks;
    ScratchLanes lanes(chunks);
    f.parallel_for({chunks, chunks}, [&](Range chunk) {
      const ScratchLanes::Lane lane(lanes);
      grid.for_each(grid.split.chunk(chunk.begin), [&](const GemmGrid::Block& block) {
        multiply_dynamic(f, at(block.batch), block.range, dynamic + lane.index() * dynamic_floats);
      });
    });
  }
};

// Whether B is one contiguous column, so that products are dots of the rows of A with it.
bool is_plain_matrix_vector(const Plan& plan) {
  const bool plain_addend =
      plan.addend == Addend::none || (plan.addend == Addend::per_column && plan.beta == 1);
  return plan.n == 1 && plan.k > 0 && plan.batches == 1 && !plan.a.transposed &&
         (plan.b.transposed || plan.b.row_stride == 1) && plan.alpha == 1 && plain_addend &&
         !plan.residual && plan.activation.kind == kernels::Activation::none;
}

Step matrix_vector_step(const Plan& plan) {
  const double cost = 0.1 * static_cast<double>(plan.k) + 2;
  return [run = kernels::dot_rows.resolve(), split = split_work(plan.m, cost, 16),
          shift = kernels::unary_scale_shift.resolve(), adds = plan.addend != Addend::none,
          depth = static_cast<std::size_t>(plan.k),
          lda = static_cast<std::size_t>(plan.a.row_stride)](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      run({.m = 1,
           .n = static_cast<std::size_t>(r.size()),
           .depth = depth,
           .a = f.in<float>(1),
           .lda = depth,
           .b = f.in<float>(0) + r.begin * static_cast<int64_t>(lda),
           .ldb = lda,
           .c = f.out<float>(0) + r.begin,
           .ldc = static_cast<std::size_t>(r.size())});
      float* y = f.out<float>(0) + r.begin;
      if (adds) shift(y, y, static_cast<std::size_t>(r.size()), 1, *f.in<float>(2));
    });
  };
}

Step MatMul::prepare_float(PrepareContext& ctx, const Plan& plan) {
  if (!ctx.packed<float>(0) && is_plain_matrix_vector(plan)) return matrix_vector_step(plan);
  FloatProduct step;
  step.plan = plan;
  step.packed = ctx.packed<float>(0);
  Plan& p = step.plan;
  check(!p.residual || p.addend != Addend::full, "both a full addend and a residual");
  step.grid = step.packed ? gemm_grid(step.gemm, p.batches, p.m, p.n, p.k)
                          : gemm_dynamic_grid(step.gemm, p.batches, p.m, p.n, p.k);
  step.copy_a = p.a.transposed || (p.alpha != 1 && !step.packed);
  int64_t floats = 0;
  if (step.copy_a) {
    floats = round_up(checked_mul(p.a_batches, checked_mul(p.m, p.k)), 16);
    const Shape dense = row_major_strides(p.a.batch);
    p.a_strides = spread(p.a.batch, dense, p.batch);
    for (int64_t& stride : p.a_strides) stride *= p.m * p.k;
  }
  const int64_t lda = step.copy_a ? p.k : p.a.row_stride;
  if (p.addend == Addend::scalar)
    step.addend_floats = p.n;
  else if (p.addend != Addend::none && p.beta != 1)
    step.addend_floats = ctx.count(2);
  step.addend_offset = floats;
  floats = checked_add(floats, round_up(step.addend_floats, 16));
  kernels::GemmArgs& args = step.args;
  args = {.m = static_cast<std::size_t>(p.m),
          .n = static_cast<std::size_t>(p.n),
          .k = static_cast<std::size_t>(p.k),
          .a = nullptr,
          .lda = static_cast<std::size_t>(lda),
          .b = nullptr,
          .ldb = static_cast<std::size_t>(p.b.row_stride),
          .transposed_b = p.b.transposed,
          .c = nullptr,
          .ldc = static_cast<std::size_t>(p.n)};
  p.activation.set_in(args.epilogue);
  args.epilogue.residual_last = p.residual && p.residual_last;
  args.epilogue.residual_stride = static_cast<std::size_t>(p.n);
  step.dynamic_offset = floats;
  if (!step.packed) {
    step.dynamic_floats = round_up(static_cast<int64_t>(step.gemm.dynamic_scratch(args)), 16);
    floats = checked_add(
        floats, checked_mul(step.dynamic_floats, ScratchLanes::count(step.grid.split.chunks)));
  }
  ctx.request_scratch(checked_mul(floats, sizeof(float)));
  return step;
}

// U is T, or its unsigned twin where T is a signed integer, so that sums wrap.
template <class T, class U>
struct GenericProduct {
  Plan plan;
  int64_t row_blocks = 1;

  static StridedMatrix<U> strided(const U* data, const Placement& at, int64_t row) {
    return at.transposed ? StridedMatrix<U>{data + row, 1, at.row_stride}
                         : StridedMatrix<U>{data + row * at.row_stride, at.row_stride, 1};
  }

  static T narrow(double value) {
    if constexpr (std::is_integral_v<T>) {
      using Limits = std::numeric_limits<T>;
      if (!(value > static_cast<double>(Limits::min()))) return Limits::min();
      if (value >= static_cast<double>(Limits::max())) return Limits::max();
    }
    return static_cast<T>(value);
  }

  int64_t addend_at(int64_t row, int64_t column) const {
    switch (plan.addend) {
      case Addend::full:
        return row * plan.n + column;
      case Addend::per_row:
        return row;
      case Addend::per_column:
        return column;
      default:
        return 0;
    }
  }

  void finish(T* c, const T* addend, const T* residual, Range rows) const {
    const bool wraps = std::is_integral_v<T> && plan.alpha == 1 && plan.beta == 1 && !residual &&
                       plan.activation.kind == kernels::Activation::none;
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      for (int64_t j = 0; j < plan.n; ++j) {
        const int64_t at = i * plan.n + j;
        if (wraps) {
          c[at] = static_cast<T>(static_cast<U>(c[at]) + static_cast<U>(addend[addend_at(i, j)]));
          continue;
        }
        double value = static_cast<double>(c[at]) * plan.alpha;
        if (addend) value += plan.beta * static_cast<double>(addend[addend_at(i, j)]);
        const double rest = residual ? static_cast<double>(residual[at]) : 0;
        c[at] = narrow(plan.residual_last ? plan.activation(value) + rest
                                          : plan.activation(value + rest));
      }
    }
  }

  void operator()(Frame& f) const {
    const U* a = f.in<U>(0);
    const U* b = f.in<U>(1);
    const T* addend = f.in<T>(2);
    const T* residual = f.in<T>(3);
    T* y = f.out<T>(0);
    const bool plain = plan.alpha == 1 && !addend && !residual &&
                       plan.activation.kind == kernels::Activation::none;
    const double column_cost = static_cast<double>(plan.m) * static_cast<double>(plan.k + 1) / 10 /
                               static_cast<double>(std::max<int64_t>(row_blocks, 1));
    const double cost = column_cost * static_cast<double>(plan.n);
    // At a time, so that a run that is cancelled ends soon.
    constexpr double kLongest = 4e6;  // nanoseconds
    constexpr int64_t kLeastColumns = 64;
    const int64_t columns =
        std::max(static_cast<int64_t>(std::min(kLongest / column_cost, 1e15)), kLeastColumns);
    f.parallel_for(split_work(plan.batches * row_blocks, cost), [&](Range r) {
      Watch watch(f);
      for (int64_t item = r.begin; item < r.end; ++item) {
        const int64_t batch = item / row_blocks, block = item % row_blocks;
        const Range rows{plan.m * block / row_blocks, plan.m * (block + 1) / row_blocks};
        const int64_t first = batch * plan.m * plan.n;
        const auto left =
            strided(a + offset_of(batch, plan.batch, plan.a_strides), plan.a, rows.begin);
        auto right = strided(b + offset_of(batch, plan.batch, plan.b_strides), plan.b, 0);
        U* c = reinterpret_cast<U*>(y) + first + rows.begin * plan.n;
        for (int64_t at = 0; at < plan.n; at += columns) {
          const int64_t count = std::min(columns, plan.n - at);
          multiply(rows.size(), count, plan.k, left, right, c + at, plan.n);
          if (watch.over(static_cast<int64_t>(column_cost * static_cast<double>(count)))) return;
          right.data += columns * right.column_stride;
        }
        if (!plain) finish(y + first, addend, residual ? residual + first : nullptr, rows);
      }
    });
  }
};

template <class T, class U>
Step MatMul::prepare_generic(PrepareContext&, const Plan& plan) {
  constexpr int64_t kRows = 64;
  return GenericProduct<T, U>{plan, (plan.m + kRows - 1) / kRows};
}

}  // namespace

[[gnu::cold]] void register_matmul(OpRegistry& ops) {
  ops.add<MatMul>("MatMul", {.since = 1});
  ops.add<MatMul>("Gemm", {.since = 1});
  ops.add<MatMul>("FusedMatMul", {.since = 1}, "com.microsoft");
  ops.add<MatMul>("FusedMatMulActivation", {.since = 1}, "com.microsoft");
  // Made by passes: (A, B, bias [N]?, residual?) and (A, B, C?).
  ops.add<MatMul>("FusedMatMul", {.since = 1}, "sardonyx");
  ops.add<MatMul>("FusedGemm", {.since = 1}, "sardonyx");
}

}  // namespace sdx::ops
