// Matrix products of 8-bit integers: MatMulInteger, QLinearMatMul and their com.microsoft
// relatives, which differ in what becomes of the sums.
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "ir/graph.h"
#include "ops/checks.h"
#include "ops/dynamic_quantize.h"
#include "ops/int8_product.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

// Sums over more depths than this are made piece by piece, which keeps what is packed of B in one
// run small, and lets the run be ended between them. Where something becomes of the sums, the last
// piece takes those before as a bias. That goes row by row, so it is a short one.
constexpr int64_t kDeepest = 1 << 17, kLastPiece = 4;

enum class Result { sums, floats, requantised };

struct Sizes {
  int64_t m = 1, n = 1, k = 1, batches = 1;
  Shape a_batch, b_batch, batch;
};

bool is_byte(DType dtype) { return dtype == DType::uint8 || dtype == DType::int8; }

Sizes sizes_of(const Shape& a, const Shape& b) {
  Sizes s;
  s.m = a.size() == 1 ? 1 : a[a.size() - 2];
  s.k = a.back();
  s.n = b.size() == 1 ? 1 : b.back();
  if (a.size() > 2) s.a_batch.assign(a.begin(), a.end() - 2);
  if (b.size() > 2) s.b_batch.assign(b.begin(), b.end() - 2);
  s.batch = broadcast(s.a_batch, s.b_batch);
  s.batches = element_count(s.batch);
  return s;
}

int64_t batch_index(int64_t i, const Shape& batch, const Shape& own) {
  const Shape strides = broadcast_strides(own, batch);
  int64_t index = 0;
  for (std::size_t d = batch.size(); d-- > 0;) {
    index += i % batch[d] * strides[d];
    i /= batch[d];
  }
  return index;
}

class Int8MatMul final : public Op {
 public:
  explicit Int8MatMul(const OpInit& init) {
    if (init.type == "MatMulInteger") {
      in_ = {.a = 0, .b = 1, .a_zero = 2, .b_zero = 3};
    } else if (init.type == "MatMulIntegerToFloat") {
      result_ = Result::floats;
      in_ = {.a = 0, .b = 1, .a_zero = 4, .b_zero = 5, .a_scale = 2, .b_scale = 3, .bias = 6};
    } else if (init.type == "DynamicQuantizeMatMul") {
      result_ = Result::floats;
      dynamic_ = true;
      in_ = {.a = 0, .b = 1, .b_zero = 3, .b_scale = 2, .bias = 4};
    } else {
      result_ = Result::requantised;
      in_ = {.a = 0,
             .b = 3,
             .a_zero = 2,
             .b_zero = 5,
             .a_scale = 1,
             .b_scale = 4,
             .y_scale = 6,
             .y_zero = 7};
    }
  }

  // Products of float8 are those of the numbers that the codes stand for.
  bool expand(Graph& graph, Node& node) const override {
    const auto is_small = [&](int i) { return is_small_float(node.input(i)->type().dtype); };
    if (result_ != Result::requantised ||
        !(is_small(in_.a) || is_small(in_.b) || is_small(in_.y_zero)))
      return false;
    const auto add = [&](const char* name, std::vector<Value*> inputs, int opset = 13) {
      NodeSpec spec{.op_type = name, .inputs = std::move(inputs), .opset = opset};
      if (spec.op_type == "Cast") spec.attrs.set("to", static_cast<int64_t>(DType::float32));
      return graph.insert_before(&node, std::move(spec))->output(0);
    };
    // Vectors of factors go by rows of A and by columns of B.
    const auto factor = [&](int i, bool by_rows) {
      Value* value = add("Cast", {node.input(i)});
      const auto& shape = value->type().shape;
      if (!by_rows || !shape || shape->size() != 1 || (*shape)[0] == Dim(1)) return value;
      return add("Unsqueeze", {value, graph.add_constant("", Tensor::of<int64_t>({1}))});
    };
    const auto numbers = [&](int i, int scale, int zero, bool by_rows) {
      Value* shifted = add("Sub", {add("Cast", {node.input(i)}), factor(zero, by_rows)});
      return add("Mul", {shifted, factor(scale, by_rows)});
    };
    Value* y = add("MatMul", {numbers(in_.a, in_.a_scale, in_.a_zero, true),
                              numbers(in_.b, in_.b_scale, in_.b_zero, false)});
    Value* scale = factor(in_.y_scale, false);
    graph.replace_uses(node.output(0),
                       add("QuantizeLinear", {y, scale, node.input(in_.y_zero)}, 21));
    return true;
  }

  void infer(InferContext& ctx) const override {
    if (result_ == Result::requantised)
      for (const int i : {in_.a, in_.b, in_.y_zero})
        if (is_small_float(ctx.dtype(i))) return ctx.set_output(0, ctx.dtype(in_.y_zero));
    check(dynamic_ ? ctx.dtype(in_.a) == DType::float32 : is_byte(ctx.dtype(in_.a)), "input A is ",
          ctx.dtype(in_.a));
    check(is_byte(ctx.dtype(in_.b)), "input B is ", ctx.dtype(in_.b), ", not an 8-bit integer");
    const DType dtype = result_ == Result::sums     ? DType::int32
                        : result_ == Result::floats ? DType::float32
                                                    : ctx.dtype(in_.y_zero);
    if (result_ == Result::requantised)
      check(is_byte(dtype), "the result would be ", dtype, ", not an 8-bit integer");
    check_int8_inputs(ctx, in_);
    if (in_.bias >= 0 && ctx.has_input(in_.bias))
      check(ctx.dtype(in_.bias) == DType::float32, "the bias is ", ctx.dtype(in_.bias));
    if (!ctx.has_rank(in_.a) || !ctx.has_rank(in_.b)) return ctx.set_output(0, dtype);
    const Dims &a = ctx.dims(in_.a), &b = ctx.dims(in_.b);
    check(!a.empty() && !b.empty(), "a matrix product of a scalar");
    const Dim &inner_a = a.back(), &inner_b = b.size() == 1 ? b[0] : b[b.size() - 2];
    check(may_equal(inner_a, inner_b), "inner dimensions differ: ", inner_a, " and ", inner_b);
    Dims dims;
    const std::size_t rank = std::max({a.size(), b.size(), std::size_t{2}});
    for (std::size_t i = 0; i + 2 < rank; ++i) {
      const Dim x = i + a.size() >= rank ? a[i + a.size() - rank] : Dim(1);
      const Dim y = i + b.size() >= rank ? b[i + b.size() - rank] : Dim(1);
      check(may_equal(x, y) || x == Dim(1) || y == Dim(1), "batches ", x, " and ", y,
            " do not broadcast");
      dims.push_back(x == Dim(1)                   ? y
                     : y == Dim(1) || x.is_known() ? x
                     : y.is_known()                ? y
                     : x == y                      ? x
                                                   : Dim::unknown());
    }
    if (a.size() > 1) dims.push_back(a[a.size() - 2]);
    if (b.size() > 1) dims.push_back(b.back());
    ctx.set_output(0, dtype, std::move(dims));
  }

  void pack(PackContext& ctx) const override {
    const Tensor* b = ctx.constant(in_.b);
    if (!b || b->rank() != 2 || b->count() == 0) return;
    const Int8Matrix matrix = matrix_of(b->shape()[0], b->shape()[1]);
    auto* packed = static_cast<int8_t*>(ctx.allocate(kInt8Weights, int8_weight_bytes(matrix)));
    auto* sums = static_cast<int32_t*>(ctx.allocate(
        kInt8ColumnSums,
        kernels::int8_padded_cols(static_cast<std::size_t>(matrix.n)) * sizeof(int32_t)));
    pack_int8_weights(b->dtype(), b->raw(), matrix, packed, sums);
    ctx.release_input(in_.b);
  }

  Step prepare(PrepareContext& ctx) const override {
    Call call;
    call.in = in_;
    call.result = result_;
    call.dynamic = dynamic_;
    call.sizes = sizes_of(ctx.shape(in_.a), ctx.shape(in_.b));
    call.a_type = dynamic_ ? DType::uint8 : ctx.dtype(in_.a);
    call.b_type = ctx.dtype(in_.b);
    call.y_type = ctx.output_dtype(0);
    const Sizes& s = call.sizes;
    call.depth = s.k;
    call.packed = ctx.packed<int8_t>(kInt8Weights);
    call.column_sums = ctx.packed<int32_t>(kInt8ColumnSums);
    const int64_t a_rows = checked_mul(element_count(s.a_batch), s.m);
    const int64_t b_columns = checked_mul(element_count(s.b_batch), s.n);
    const auto count_of = [&](int i, int64_t each, int64_t all, const char* what) -> int64_t {
      if (i < 0 || !ctx.has_input(i)) return 0;
      const int64_t count = ctx.count(i);
      check(count == 1 || count == each || count == all, what, " has ", count, " elements, not 1, ",
            each, " or ", all);
      return count;
    };
    call.a_zero_count = count_of(in_.a_zero, s.m, a_rows, "the zero point of A");
    call.b_zero_count = count_of(in_.b_zero, s.n, b_columns, "the zero point of B");
    call.a_scale_count = count_of(in_.a_scale, s.m, a_rows, "the scale of A");
    call.b_scale_count = count_of(in_.b_scale, s.n, b_columns, "the scale of B");
    count_of(in_.y_scale, 1, 1, "the scale of Y");
    count_of(in_.y_zero, 1, 1, "the zero point of Y");
    count_of(in_.bias, s.n, s.n, "the bias");
    check(in_.bias < 0 || !ctx.has_input(in_.bias) || ctx.count(in_.bias) == s.n,
          "the bias has one element for ", s.n, " columns");
    const auto scale_type = [&](int i) {
      return i >= 0 && ctx.has_input(i) ? ctx.dtype(i) : DType::float32;
    };
    call.a_scale_type = scale_type(in_.a_scale);
    call.b_scale_type = scale_type(in_.b_scale);
    call.y_scale_type = scale_type(in_.y_scale);

    int64_t bytes = 0;
    const auto take = [&](int64_t size) {
      const int64_t at = bytes;
      bytes = checked_add(bytes, round_up(size, kAlignment));
      return at;
    };
    const int64_t padded = round_up(s.n, static_cast<int64_t>(kernels::kInt8PanelCols));
    call.zeros_at = take(padded * 4);
    call.scales_at = take(padded * 4);
    call.row_sums_at = take(checked_mul(s.m, 4));
    call.row_zeros_at = take(checked_mul(s.m, 4));
    if (dynamic_) {
      call.quantized_at = take(ctx.count(in_.a));
      call.parts_at = take(dynamic_quantize_scratch(ctx.count(in_.a)));
      call.a_count = ctx.count(in_.a);
    }
    if (!call.packed) {
      call.depth = std::min(s.k, kDeepest);
      call.weights_at = take(static_cast<int64_t>(int8_weight_bytes(matrix_of(call.depth, s.n))));
      if (call.depth < s.k) {
        const int64_t all_sums = checked_mul(checked_mul(s.m, s.n), 4);
        call.piece_at = take(all_sums);
        if (result_ != Result::sums) call.total_at = take(all_sums);
      }
      call.sums_at = take(padded * 4);
    }
    ctx.request_scratch(bytes);
    return [call](Frame& f) { call.run(f); };
  }

  double flops(const PrepareContext& ctx) const override {
    const Sizes s = sizes_of(ctx.shape(in_.a), ctx.shape(in_.b));
    return 2.0 * static_cast<double>(s.batches) * static_cast<double>(s.m) *
           static_cast<double>(s.n) * static_cast<double>(s.k);
  }

 private:
  static Int8Matrix matrix_of(int64_t k, int64_t n) {
    return {.k = k, .n = n, .group = k, .k_stride = n, .n_stride = 1};
  }

  // All that the step needs, with sizes known.
  struct Call {
    Int8Inputs in;
    Result result = Result::sums;
    bool dynamic = false;
    Sizes sizes;
    DType a_type{}, b_type{}, y_type{};
    DType a_scale_type{}, b_scale_type{}, y_scale_type{};
    const int8_t* packed = nullptr;
    const int32_t* column_sums = nullptr;
    int64_t depth = 0;    // that is summed over at once
    int64_t a_count = 0;  // of A where it comes as floats
    int64_t a_zero_count = 0, b_zero_count = 0, a_scale_count = 0, b_scale_count = 0;
    int64_t zeros_at = 0, scales_at = 0, row_sums_at = 0, row_zeros_at = 0, quantized_at = 0,
            parts_at = 0, weights_at = 0, sums_at = 0, piece_at = 0, total_at = 0;

    static const void* input(const Frame& f, int i) {
      return i >= 0 ? f.in<std::byte>(i) : nullptr;
    }

    static bool is_over(const Frame& f) { return f.cancelled() || Interrupt::due(); }

    void run(Frame& f) const {
      const Sizes& s = sizes;
      if (s.batches * s.m * s.n == 0) return;
      const void* a = f.in<std::byte>(in.a);
      DynamicScale found;
      if (dynamic) {
        auto* quantized = reinterpret_cast<uint8_t*>(f.scratch() + quantized_at);
        found = dynamic_quantize(f, f.in<float>(in.a), a_count, quantized, f.scratch() + parts_at);
        a = quantized;
      }
      kernels::Int8Epilogue epilogue;
      epilogue.a_zero_point =
          a_zero_count == 1 ? zero_point_at(a_type, input(f, in.a_zero), 0) : found.zero_point;
      epilogue.scale = reinterpret_cast<const float*>(f.scratch() + scales_at);
      epilogue.out_stride = static_cast<std::size_t>(s.n);
      if (result == Result::sums) {
        epilogue.kind = kernels::Int8Out::s32;
      } else if (result == Result::floats) {
        epilogue.kind = kernels::Int8Out::f32;
        epilogue.bias_f32 = in.bias >= 0 ? f.in<float>(in.bias) : nullptr;
      } else {
        const bool is_signed = y_type == DType::int8;
        epilogue.kind = is_signed ? kernels::Int8Out::s8 : kernels::Int8Out::u8;
        epilogue.zero_point = zero_point_at(y_type, input(f, in.y_zero), 0);
        epilogue.lo = is_signed ? -128 : 0;
        epilogue.hi = is_signed ? 127 : 255;
      }
      for (int64_t i = 0; i < s.batches && !is_over(f); ++i)
        one_batch(f, a, i, epilogue, found.scale);
    }

    // What sums of each column are multiplied with.
    void set_scales(Frame& f, float a_scale, int64_t b_batch) const {
      auto* scales = reinterpret_cast<float*>(f.scratch() + scales_at);
      const void* b_scale = f.in<std::byte>(in.b_scale);
      const float y_scale = result == Result::requantised
                                ? scale_at(y_scale_type, f.in<std::byte>(in.y_scale), 0)
                                : 1.0f;
      const int64_t first = b_scale_count > sizes.n ? b_batch * sizes.n : 0;
      for (int64_t c = 0; c < sizes.n; ++c)
        scales[c] =
            a_scale * scale_at(b_scale_type, b_scale, b_scale_count == 1 ? 0 : first + c) / y_scale;
    }

    void one_batch(Frame& f, const void* a, int64_t i, kernels::Int8Epilogue epilogue,
                   float a_scale) const {
      const Sizes& s = sizes;
      std::byte* scratch = f.scratch();
      const int64_t b_batch = batch_index(i, s.batch, s.b_batch);
      auto* b_zeros = reinterpret_cast<int32_t*>(scratch + zeros_at);
      const void* zeros = input(f, in.b_zero);
      if (zeros && b_zero_count > s.n) zeros = static_cast<const uint8_t*>(zeros) + b_batch * s.n;
      const bool b_offset =
          widen_zero_points(b_type, zeros, std::min(b_zero_count, s.n), s.n, b_zeros);
      epilogue.b_zero_points = b_offset ? b_zeros : nullptr;
      const std::size_t item = item_size(y_type);
      std::byte* y = f.out<std::byte>(0) + static_cast<std::size_t>(i * s.m * s.n) * item;
      if (depth == s.k) return one_piece(f, a, i, {0, s.k}, epilogue, a_scale, y);
      kernels::Int8Epilogue only_sums = epilogue;
      only_sums.kind = kernels::Int8Out::s32;
      std::byte* total = result == Result::sums ? y : scratch + total_at;
      const int64_t end = result == Result::sums ? s.k : s.k - kLastPiece;
      for (int64_t at = 0; at < end; at += depth) {
        if (is_over(f)) return;
        const Range depths{at, std::min(end, at + depth)};
        one_piece(f, a, i, depths, only_sums, a_scale, at == 0 ? total : scratch + piece_at);
        if (at == 0) continue;
        const auto* piece = reinterpret_cast<const uint32_t*>(scratch + piece_at);
        auto* sums = reinterpret_cast<uint32_t*>(total);
        for (int64_t j = 0; j < s.m * s.n; ++j) sums[j] += piece[j];
      }
      if (end == s.k) return;
      one_piece(f, a, i, {end, s.k}, epilogue, a_scale, y, reinterpret_cast<const int32_t*>(total));
    }

    // Of some of the depths; `before`, which may be null, is what the others came to.
    void one_piece(Frame& f, const void* a, int64_t i, Range depths, kernels::Int8Epilogue epilogue,
                   float a_scale, std::byte* y, const int32_t* before = nullptr) const {
      const Sizes& s = sizes;
      std::byte* scratch = f.scratch();
      const int64_t a_batch = batch_index(i, s.batch, s.a_batch);
      const int64_t b_batch = batch_index(i, s.batch, s.b_batch);
      const auto* a_bytes = static_cast<const uint8_t*>(a) + a_batch * s.m * s.k + depths.begin;
      const int8_t* weights = packed;
      epilogue.column_sums = column_sums;
      if (!weights) {
        auto* made = reinterpret_cast<int8_t*>(scratch + weights_at);
        auto* sums = reinterpret_cast<int32_t*>(scratch + sums_at);
        pack_int8_weights(f, b_type, f.in<uint8_t>(in.b) + (b_batch * s.k + depths.begin) * s.n,
                          matrix_of(depths.size(), s.n), made, sums);
        weights = made;
        epilogue.column_sums = sums;
      }
      kernels::Int8Rows rows{.a = a_bytes,
                             .a_stride = static_cast<std::size_t>(s.k),
                             .pixels = nullptr,
                             .taps = 1,
                             .channels = static_cast<std::size_t>(depths.size()),
                             .is_signed = a_type == DType::int8};
      auto* row_sums = reinterpret_cast<int32_t*>(scratch + row_sums_at);
      if (epilogue.b_zero_points)
        kernels::int8_row_sums.resolve()(rows, static_cast<std::size_t>(s.m), row_sums);
      auto* row_zeros = reinterpret_cast<int32_t*>(scratch + row_zeros_at);
      if (a_zero_count > 1) {
        const int64_t first = a_zero_count > s.m ? a_batch * s.m : 0;
        for (int64_t r = 0; r < s.m; ++r)
          row_zeros[r] = zero_point_at(a_type, input(f, in.a_zero), first + r);
      }
      const std::size_t item = epilogue.kind == kernels::Int8Out::s32 ? 4 : item_size(y_type);
      const auto multiply = [&, gemm = kernels::int8_gemm.resolve()](Range all) {
        Int8Grid(all.size(), s.n, depths.size()).run(f, [&](Range r, Range p) {
          const int64_t first = all.begin + r.begin;
          kernels::Int8GemmArgs args;
          args.a = rows;
          args.a.a = a_bytes + first * s.k;
          args.rows = static_cast<std::size_t>(r.size());
          args.packed = weights;
          args.n = static_cast<std::size_t>(s.n);
          args.panel_begin = static_cast<std::size_t>(p.begin);
          args.panel_end = static_cast<std::size_t>(p.end);
          args.epilogue = epilogue;
          args.epilogue.out = y + static_cast<std::size_t>(first * s.n) * item;
          if (epilogue.b_zero_points) args.epilogue.row_sums = row_sums + first;
          if (a_zero_count > 1) args.epilogue.a_zero_points = row_zeros + first;
          if (before) args.epilogue.bias_s32 = before + first * s.n;
          gemm(args);
        });
      };
      const void* a_scales = input(f, in.a_scale);
      const bool scaled = epilogue.kind != kernels::Int8Out::s32, one_scale = a_scale_count <= 1;
      if (scaled && one_scale)
        set_scales(f, a_scales ? scale_at(a_scale_type, a_scales, 0) : a_scale, b_batch);
      if (!before && (!scaled || one_scale)) return multiply({0, s.m});
      const int64_t first = a_scale_count > s.m ? a_batch * s.m : 0;
      for (int64_t row = 0; row < s.m; ++row) {
        if (!one_scale) set_scales(f, scale_at(a_scale_type, a_scales, first + row), b_batch);
        multiply({row, row + 1});
      }
    }
  };

  Int8Inputs in_;
  Result result_ = Result::sums;
  bool dynamic_ = false;  // A comes as floats
};

}  // namespace

[[gnu::cold]] void register_matmul_integer(OpRegistry& ops) {
  ops.add<Int8MatMul>("MatMulInteger", {.since = 10});
  ops.add<Int8MatMul>("QLinearMatMul", {.since = 10});
  ops.add<Int8MatMul>("MatMulIntegerToFloat", {.since = 1}, "com.microsoft");
  ops.add<Int8MatMul>("DynamicQuantizeMatMul", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
