// Normalisation of rows: LayerNormalization, RMSNormalization, and the com.microsoft forms that add
// a residual or look up embeddings first.
#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "ir/graph.h"
#include "kernels/norm.h"
#include "ops/checkpoint.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

using kernels::NormRowsArgs;

constexpr double kRowCost = 0.25;  // nanoseconds an element

enum class Norm { layer, rms };

void norm_rows(Norm norm, const NormRowsArgs& args) {
  (norm == Norm::layer ? kernels::layer_norm_rows : kernels::rms_norm_rows).resolve()(args);
}

Split split_rows(int64_t rows, int64_t cols) {
  return split_work(rows, kRowCost * static_cast<double>(cols) + 10);
}

// Scale or bias of one axis-wise normalisation: one number a column, or anything that broadcasts.
struct Factor {
  bool given = false;
  bool per_column = false;
  Shape strides;  // along the axes of x
};

Factor factor(PrepareContext& ctx, int input, const Shape& x, int64_t axis) {
  Factor result;
  if (!ctx.has_input(input)) return result;
  result.given = true;
  const Shape& shape = ctx.shape(input);
  check(shape.size() <= x.size(), "a factor of shape ", shape, " for an input ", x);
  result.strides = broadcast_strides(shape, x);
  const std::size_t offset = x.size() - shape.size();
  result.per_column = true;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const int64_t size = i < offset ? 1 : shape[i - offset];
    result.per_column &= size == (static_cast<int64_t>(i) < axis ? 1 : x[i]);
  }
  return result;
}

// y = y * scale + bias where those broadcast in some other way than by column.
template <class T>
void apply_factors(const Shape& shape, const Factor& scale, const Factor& bias, const T* scales,
                   const T* biases, T* y, Range elements, Watch& watch) {
  constexpr int64_t kElementWork = 10;  // nanoseconds
  for (int64_t i = elements.begin; i < elements.end && !watch.over(kElementWork); ++i) {
    int64_t rest = i, scale_at = 0, bias_at = 0;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      const int64_t at = rest % shape[axis];
      rest /= shape[axis];
      if (scales) scale_at += at * scale.strides[axis];
      if (biases) bias_at += at * bias.strides[axis];
    }
    if (scales) y[i] *= scales[scale_at];
    if (biases) y[i] += biases[bias_at];
  }
}

void norm_row(Norm norm, const double* x, const double* scale, const double* bias, double* y,
              int64_t cols, double epsilon, double* mean, double* inv_std, Watch& watch) {
  constexpr int64_t kPiece = 1 << 16;
  const auto for_each_column = [&](auto f) {
    for (int64_t at = 0; at < cols && !watch.over(kPiece); at += kPiece)
      for (int64_t c = at; c < std::min(cols, at + kPiece); ++c) f(c);
  };
  double sum = 0, squares = 0;
  if (norm == Norm::layer) for_each_column([&](int64_t c) { sum += x[c]; });
  *mean = cols ? sum / static_cast<double>(cols) : 0;
  for_each_column([&](int64_t c) { squares += (x[c] - *mean) * (x[c] - *mean); });
  *inv_std = 1 / std::sqrt((cols ? squares / static_cast<double>(cols) : 0) + epsilon);
  for_each_column([&](int64_t c) {
    y[c] = (x[c] - *mean) * *inv_std * (scale ? scale[c] : 1) + (bias ? bias[c] : 0);
  });
}

// LayerNormalization, RMSNormalization and SimplifiedLayerNormalization: X, scale?, bias?.
class AxisNorm final : public Op {
 public:
  explicit AxisNorm(const OpInit& init)
      : norm_(init.type == "LayerNormalization" ? Norm::layer : Norm::rms),
        mean_output_(norm_ == Norm::layer ? 1 : -1),
        inv_std_output_(norm_ == Norm::layer ? 2 : 1),
        axis_(init.attrs.get("axis", -1)),
        epsilon_(init.attrs.get("epsilon", 1e-5)) {
    const int64_t stash = init.attrs.get("stash_type", 1);
    const auto type = static_cast<DType>(stash);
    check(stash >= 0 && stash < kDTypeCount && is_float(type), "stash_type is ", stash);
    stash_ = type;
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype), "expected a float input, got ", dtype);
    check_all_floats(ctx);
    const DType result = ctx.has_input(1) && norm_ == Norm::rms ? ctx.dtype(1) : dtype;
    ctx.set_output(0, Type(ctx.input(0)));
    if (result != dtype)
      ctx.set_output(0, Type{Type::Kind::tensor, result, ctx.input(0).shape, {}});
    for (const int output : {mean_output_, inv_std_output_}) {
      if (output < 0 || !ctx.wants_output(output)) continue;
      if (!ctx.has_rank(0)) {
        ctx.set_output(output, stash_);
        continue;
      }
      Dims dims = ctx.dims(0);
      const int64_t axis = normalize_axis(axis_, ctx.rank(0));
      std::fill(dims.begin() + axis, dims.end(), Dim(1));
      ctx.set_output(output, stash_, std::move(dims));
    }
    if (ctx.has_rank(0)) normalize_axis(axis_, ctx.rank(0));
  }

  // Where only one of the input and the scale is float64, both become float64.
  bool expand(Graph& graph, Node& node) const override {
    const DType dtype = node.input(0)->type().dtype;
    if (norm_ != Norm::rms || !node.input(1) || node.input(1)->type().dtype == dtype) return false;
    const DType result = node.input(1)->type().dtype;
    if (dtype != DType::float64 && result != DType::float64) return false;
    const auto cast = [&](Value* value, DType to) {
      if (!value || value->type().dtype == to) return value;
      NodeSpec spec{.op_type = "Cast", .inputs = {value}, .opset = 13};
      spec.attrs.set("to", static_cast<int64_t>(to));
      return graph.insert_before(&node, std::move(spec))->output(0);
    };
    NodeSpec spec{.op_type = node.op_type(),
                  .inputs = {},
                  .attrs = node.attrs(),
                  .domain = node.domain(),
                  .name = node.name(),
                  .opset = node.opset()};
    for (Value* input : node.inputs()) spec.inputs.push_back(cast(input, DType::float64));
    spec.outputs.resize(node.outputs().size());
    for (std::size_t i = 1; i < node.outputs().size(); ++i)
      if (node.output(i)) spec.outputs[i] = node.output(i)->name();
    if (spec.outputs.size() > 1) spec.outputs[0] = node.output(0)->name() + "_float64";
    const Node* norm = graph.insert_before(&node, std::move(spec));
    graph.replace_uses(node.output(0), cast(norm->output(0), result));
    for (std::size_t i = 1; i < node.outputs().size(); ++i)
      if (node.output(i)) graph.replace_uses(node.output(i), norm->output(i));
    return true;
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const int64_t axis = normalize_axis(axis_, static_cast<int64_t>(x.size()));
    int64_t rows = 1, cols = 1;
    for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i) (i < axis ? rows : cols) *= x[i];
    const Factor scale = factor(ctx, 1, x, axis);
    const Factor bias = factor(ctx, 2, x, axis);
    if (ctx.dtype(0) == DType::float64) return prepare_double(ctx, x, rows, cols, scale, bias);
    // Where one factor does not go by columns, both are applied afterwards.
    const bool inline_factors =
        (!scale.given || scale.per_column) && (!bias.given || bias.per_column);
    const auto kernel =
        (norm_ == Norm::layer ? kernels::layer_norm_rows : kernels::rms_norm_rows).resolve();
    return in_float32(ctx, [=, shape = Shape(x), epsilon = epsilon_, mean_output = mean_output_,
                            inv_std_output = inv_std_output_](Frame& f) {
      NormRowsArgs all{.x = f.in<float>(0), .y = f.out<float>(0)};
      float* mean = mean_output < 0 ? nullptr : f.out<float>(mean_output);
      float* inv_std = f.out<float>(inv_std_output);
      if (inline_factors) {
        all.scale = f.in<float>(1);
        all.bias = f.in<float>(2);
      }
      f.parallel_for(split_rows(rows, cols), [&](Range r) {
        NormRowsArgs args = all;
        args.x += r.begin * cols;
        args.y += r.begin * cols;
        args.mean = mean ? mean + r.begin : nullptr;
        args.inv_std = inv_std ? inv_std + r.begin : nullptr;
        args.rows = static_cast<std::size_t>(r.size());
        args.cols = static_cast<std::size_t>(cols);
        args.epsilon = epsilon;
        kernel(args);
        if (inline_factors) return;
        Watch watch(f);
        apply_factors(shape, scale, bias, f.in<float>(1), f.in<float>(2), all.y,
                      {r.begin * cols, r.end * cols}, watch);
      });
    });
  }

 private:
  Step prepare_double(PrepareContext& ctx, const Shape& x, int64_t rows, int64_t cols,
                      const Factor& scale, const Factor& bias) const {
    for (int i = 1; i < ctx.input_count(); ++i)
      if (ctx.has_input(i) && ctx.dtype(i) != DType::float64)
        fail(ErrorKind::unsupported, "float64 normalised with factors of ", ctx.dtype(i));
    return
        [=, norm = norm_, shape = Shape(x), epsilon = static_cast<double>(epsilon_),
         mean_output = mean_output_, inv_std_output = inv_std_output_, stash = stash_](Frame& f) {
          double* y = f.out<double>(0);
          const auto store = [&](int output, int64_t row, double value) {
            if (output < 0 || !f.wants_output(output)) return;
            dispatch(FloatTypes{}, stash, [&]<class T>() -> int {
              f.out<T>(output)[row] = static_cast<T>(static_cast<ComputeType<T>>(value));
              return 0;
            });
          };
          f.parallel_for(split_work(rows, 2 * static_cast<double>(cols) + 20), [&](Range r) {
            Watch watch(f);
            for (int64_t row = r.begin; row < r.end; ++row) {
              double mean, inv_std;
              norm_row(norm, f.in<double>(0) + row * cols, nullptr, nullptr, y + row * cols, cols,
                       epsilon, &mean, &inv_std, watch);
              store(mean_output, row, mean);
              store(inv_std_output, row, inv_std);
            }
            apply_factors(shape, scale, bias, f.in<double>(1), f.in<double>(2), y,
                          {r.begin * cols, r.end * cols}, watch);
          });
        };
  }

  Norm norm_;
  int mean_output_, inv_std_output_;
  int64_t axis_;
  float epsilon_;
  DType stash_ = DType::float32;
};

// SkipLayerNormalization (input, skip, gamma, beta?, bias?) and SkipSimplifiedLayerNormalization
// (input, skip, gamma, bias?). Outputs: result, mean, inverse deviation, sum before normalisation.
class SkipNorm final : public Op {
 public:
  explicit SkipNorm(const OpInit& init)
      : norm_(init.type == "SkipLayerNormalization" ? Norm::layer : Norm::rms),
        epsilon_(init.attrs.get("epsilon", 1e-12)) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype), "expected a float input, got ", dtype);
    check_dtypes(ctx, dtype);
    Type rows = Type::tensor(DType::float32);
    if (ctx.has_rank(0)) {
      check(ctx.rank(0) >= 1, "expected an input of rank 1 or more");
      Dims dims = ctx.dims(0);
      for (int i = 2; i < ctx.input_count(); ++i) check_vector(ctx, i, dims.back());
      dims.back() = Dim(1);
      rows = Type::tensor(DType::float32, std::move(dims));
    }
    ctx.set_output(0, Type(ctx.input(0)));
    for (int i = 1; i < 3; ++i)
      if (ctx.wants_output(i)) ctx.set_output(i, Type(rows));
    if (ctx.wants_output(3)) ctx.set_output(3, Type(ctx.input(0)));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const Shape& skip = ctx.shape(1);
    const int64_t cols = x.back();
    check(!skip.empty() && skip.size() <= x.size() && skip.back() == cols, "a skip of shape ", skip,
          " for an input ", x);
    bool leading = true;  // its axes of size 1, then those of x
    for (std::size_t i = 0; i < skip.size(); ++i) {
      const int64_t size = x[x.size() - skip.size() + i];
      if (skip[i] != size) check(leading && skip[i] == 1, "a skip of shape ", skip, " for ", x);
      if (skip[i] != 1) leading = false;
    }
    const int64_t rows = cols ? element_count(x) / cols : 0;
    const int64_t skip_rows = cols ? element_count(skip) / cols : 0;
    for (int i = 2; i < ctx.input_count(); ++i)
      if (ctx.has_input(i))
        check(ctx.count(i) == cols, "a factor of shape ", ctx.shape(i), " for rows of ", cols);
    const int bias_input = norm_ == Norm::layer ? 4 : 3;
    const int beta_input = norm_ == Norm::layer ? 3 : -1;
    if (ctx.dtype(0) == DType::float64)
      return prepare_double(ctx, rows, cols, skip_rows, beta_input, bias_input);
    return in_float32(ctx, [=, norm = norm_, epsilon = epsilon_](Frame& f) {
      float* const outputs[] = {f.out<float>(0), f.out<float>(1), f.out<float>(2), f.out<float>(3)};
      f.parallel_for(split_rows(rows, 2 * cols), [&](Range r) {
        for (int64_t row = r.begin; row < r.end;) {
          const int64_t end = std::min(r.end, (row / skip_rows + 1) * skip_rows);
          norm_rows(norm, {.x = f.in<float>(0) + row * cols,
                           .skip = f.in<float>(1) + row % skip_rows * cols,
                           .skip_bias = f.in<float>(bias_input),
                           .scale = f.in<float>(2),
                           .bias = beta_input < 0 ? nullptr : f.in<float>(beta_input),
                           .y = outputs[0] + row * cols,
                           .sum = outputs[3] ? outputs[3] + row * cols : nullptr,
                           .mean = outputs[1] ? outputs[1] + row : nullptr,
                           .inv_std = outputs[2] ? outputs[2] + row : nullptr,
                           .rows = static_cast<std::size_t>(end - row),
                           .cols = static_cast<std::size_t>(cols),
                           .epsilon = epsilon});
          row = end;
        }
      });
    });
  }

 private:
  Step prepare_double(PrepareContext& ctx, int64_t rows, int64_t cols, int64_t skip_rows,
                      int beta_input, int bias_input) const {
    ctx.request_scratch(checked_mul(cols, sizeof(double)));
    return [=, norm = norm_, epsilon = static_cast<double>(epsilon_)](Frame& f) {
      double* sum = f.scratch<double>();
      const double* bias = f.in<double>(bias_input);
      Watch watch(f);
      for (int64_t row = 0; row < rows; ++row) {
        const double* x = f.in<double>(0) + row * cols;
        const double* skip = f.in<double>(1) + row % skip_rows * cols;
        for (int64_t c = 0; c < cols; ++c) sum[c] = x[c] + skip[c] + (bias ? bias[c] : 0);
        if (double* out = f.out<double>(3)) std::copy_n(sum, cols, out + row * cols);
        double mean, inv_std;
        norm_row(norm, sum, f.in<double>(2), beta_input < 0 ? nullptr : f.in<double>(beta_input),
                 f.out<double>(0) + row * cols, cols, epsilon, &mean, &inv_std, watch);
        if (float* out = f.out<float>(1)) out[row] = static_cast<float>(mean);
        if (float* out = f.out<float>(2)) out[row] = static_cast<float>(inv_std);
      }
    };
  }

  Norm norm_;
  float epsilon_;
};

// EmbedLayerNormalization: the sum of word, position and segment embeddings, normalised.
class EmbedNorm final : public Op {
 public:
  explicit EmbedNorm(const OpInit& init) : epsilon_(init.attrs.get("epsilon", 1e-12)) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(kWords);
    check(is_float(dtype), "expected float embeddings, got ", dtype);
    for (const int i : {kIds, kSegments, kMask, kPositionIds})
      if (ctx.has_input(i))
        check(ctx.dtype(i) == DType::int32, "expected int32, got ", ctx.dtype(i));
    check_rank(ctx, kIds, 2);
    check_rank(ctx, kWords, 2);
    const Dim batch = ctx.has_rank(kIds) ? ctx.dims(kIds).at(0) : Dim::unknown();
    const Dims result{batch, ctx.has_rank(kIds) ? ctx.dims(kIds)[1] : Dim::unknown(),
                      ctx.has_rank(kWords) ? ctx.dims(kWords)[1] : Dim::unknown()};
    ctx.set_output(0, dtype, result);
    if (ctx.wants_output(1)) ctx.set_output(1, DType::int32, {batch});
    if (ctx.wants_output(2)) ctx.set_output(2, dtype, result);
  }

  Step prepare(PrepareContext& ctx) const override {
    if (ctx.dtype(kWords) == DType::float64)
      fail(ErrorKind::unsupported, "float64 embeddings are not supported");
    const Shape& ids = ctx.shape(kIds);
    const int64_t batch = ids[0], length = ids[1], hidden = ctx.shape(kWords)[1];
    int64_t table_rows[3] = {};
    const int tables[3] = {kWords, kPositions, kSegmentTable};
    for (int i = 0; i < 3; ++i) {
      if (!ctx.has_input(tables[i])) continue;
      const Shape& table = ctx.shape(tables[i]);
      check(table.size() == 2 && table[1] == hidden, "embeddings ", table, " for rows of ", hidden);
      table_rows[i] = table[0];
    }
    for (const int i : {kSegments, kMask})
      if (ctx.has_input(i))
        check(ctx.shape(i) == ids, "input ", i, " has shape ", ctx.shape(i), ", expected ", ids);
    for (const int i : {kGamma, kBeta})
      check(ctx.count(i) == hidden, "a factor of shape ", ctx.shape(i), " for rows of ", hidden);
    bool shared_positions = false;
    if (ctx.has_input(kPositionIds)) {
      const Shape& positions = ctx.shape(kPositionIds);
      check(positions.size() == 2 && positions[1] == length &&
                (positions[0] == 1 || positions[0] == batch),
            "position_ids has shape ", positions, ", expected ", ids);
      shared_positions = positions[0] == 1;
    }
    check(ctx.has_input(kPositionIds) || length <= table_rows[1], "sequences of ", length, " for ",
          table_rows[1], " positions");
    return in_float32(ctx, [=, words = table_rows[0], positions = table_rows[1],
                            segments = table_rows[2], epsilon = epsilon_](Frame& f) {
      const auto row_of = [&](int input, int64_t row, int64_t rows, const char* what) {
        check_argument(row >= 0 && row < rows, what, " ", row, " is outside [0, ", rows, ")");
        return f.in<float>(input) + row * hidden;
      };
      float* y = f.out<float>(0);
      float* sums = f.out<float>(2);
      f.parallel_for(split_rows(batch * length, 2 * hidden), [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int32_t* given = f.in<int32_t>(kPositionIds);
          const int64_t at = given ? given[shared_positions ? i % length : i] : i % length;
          const float* word = row_of(kWords, f.in<int32_t>(kIds)[i], words, "word");
          const float* position = row_of(kPositions, at, positions, "position");
          const float* segment = nullptr;
          if (segments) {
            const int32_t* of = f.in<int32_t>(kSegments);
            segment = row_of(kSegmentTable, of ? of[i] : 0, segments, "segment");
          }
          norm_rows(Norm::layer, {.x = word,
                                  .skip = position,
                                  .skip_bias = segment,
                                  .scale = f.in<float>(kGamma),
                                  .bias = f.in<float>(kBeta),
                                  .y = y + i * hidden,
                                  .sum = sums ? sums + i * hidden : nullptr,
                                  .rows = 1,
                                  .cols = static_cast<std::size_t>(hidden),
                                  .epsilon = epsilon});
        }
      });
      int32_t* counts = f.out<int32_t>(1);
      const int32_t* mask = f.in<int32_t>(kMask);
      for (int64_t b = 0; counts && b < batch; ++b)
        counts[b] =
            mask ? static_cast<int32_t>(std::count(mask + b * length, mask + (b + 1) * length, 1))
                 : 0;
    });
  }

 private:
  static constexpr int kIds = 0, kSegments = 1, kWords = 2, kPositions = 3, kSegmentTable = 4;
  static constexpr int kGamma = 5, kBeta = 6, kMask = 7, kPositionIds = 8;

  float epsilon_;
};

}  // namespace

[[gnu::cold]] void register_layer_norm(OpRegistry& ops) {
  // Exporters wrote it before the standard had it, in 17.
  ops.add<AxisNorm>("LayerNormalization", {.since = 1});
  ops.add<AxisNorm>("RMSNormalization", {.since = 23});
  // Exporters put these two, which no standard lists, into the default domain.
  ops.add<AxisNorm>("SimplifiedLayerNormalization", {.since = 1});
  ops.add<AxisNorm>("LayerNormalization", {.since = 1}, "com.microsoft");
  ops.add<AxisNorm>("SimplifiedLayerNormalization", {.since = 1}, "com.microsoft");
  ops.add<SkipNorm>("SkipLayerNormalization", {.since = 1}, "com.microsoft");
  ops.add<SkipNorm>("SkipSimplifiedLayerNormalization", {.since = 1}, "com.microsoft");
  ops.add<EmbedNorm>("EmbedLayerNormalization", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
