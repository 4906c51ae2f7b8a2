// SVMRegressor, SVMClassifier (ai.onnx.ml).
#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/binary.h"
#include "kernels/dots.h"
#include "kernels/unary.h"
#include "ops/classifier.h"
#include "ops/feature_dot.h"

namespace sdx::ops {
namespace {

constexpr int64_t kRowsAtOnce = 4;  // rows that are compared with the vectors together

// The dot product of `count` items.
template <class T>
T weigh(const T* values, const float* weights, int64_t count) {
  if constexpr (std::is_same_v<T, float>) {
    float sum = 0;
    const auto depth = static_cast<std::size_t>(count);
    kernels::dot_rows.resolve()(
        {.m = 1, .n = 1, .depth = depth, .a = values, .b = weights, .c = &sum});
    return sum;
  } else {
    return feature_dot(values, weights, count);
  }
}

// Whether an exponent is a small whole number, whose powers are made by products.
bool is_factor_count(float exponent) {
  constexpr float kMostFactors = 8;
  return exponent >= 1 && exponent <= kMostFactors && exponent == std::floor(exponent);
}

template <class T>
T power(T x, float exponent) {
  if (!is_factor_count(exponent)) return std::pow(x, static_cast<T>(exponent));
  T product = x;
  for (int i = 1; i < static_cast<int>(exponent); ++i) product *= x;
  return product;
}

// All of n numbers in place.
void raise(float* x, std::size_t n, float exponent) {
  if (!is_factor_count(exponent)) {
    for (std::size_t i = 0; i < n; ++i) x[i] = power(x[i], exponent);
    return;
  }
  constexpr std::size_t kBlock = 256;
  const auto multiply = kernels::binary_mul.resolve();
  float base[kBlock];
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    const std::size_t count = std::min(kBlock, n - begin);
    std::copy_n(x + begin, count, base);
    for (int i = 1; i < static_cast<int>(exponent); ++i)
      multiply(x + begin, 1, base, 1, x + begin, count);
  }
}

enum class SvmKernel : uint8_t { linear, poly, rbf, sigmoid };

// Support vectors and the function that compares them with a row. Without support vectors the
// coefficients themselves are vectors of a linear model.
struct SupportVectors {
  SvmKernel kernel = SvmKernel::linear;
  float gamma = 0, offset = 0, degree = 0;
  std::vector<float> vectors;  // [columns, count]
  int64_t count = 0;
  int64_t columns = 0;

  SupportVectors(const Attributes& attrs, int64_t vector_count, int64_t linear_count,
                 const std::vector<float>& coefficients) {
    check(vector_count >= 0, "there are ", vector_count, " support vectors");
    const bool is_linear = vector_count == 0;
    const std::vector<float> by_vector = is_linear ? coefficients : attrs.floats("support_vectors");
    count = is_linear ? linear_count : vector_count;
    const auto items = static_cast<int64_t>(by_vector.size());
    check(count > 0 && items > 0 && items % count == 0, "there are ", items, " numbers for ", count,
          " vectors");
    columns = items / count;
    vectors.resize(by_vector.size());
    for (int64_t v = 0; v < count; ++v)
      for (int64_t k = 0; k < columns; ++k) vectors[k * count + v] = by_vector[v * columns + k];
    const std::string name = attrs.get("kernel_type", "LINEAR");
    if (name == "POLY") {
      kernel = SvmKernel::poly;
    } else if (name == "RBF") {
      kernel = SvmKernel::rbf;
    } else if (name == "SIGMOID") {
      kernel = SvmKernel::sigmoid;
    } else {
      check(name == "LINEAR", "kernel_type '", name, "' is not known");
    }
    if (is_linear) kernel = SvmKernel::linear;
    const auto params = attrs.floats("kernel_params");
    check(params.empty() || params.size() == 3, "kernel_params has ", params.size(),
          " entries instead of 3");
    if (params.empty()) return;
    gamma = params[0];
    offset = params[1];
    degree = params[2];
  }

  // values[row, vector] for some rows of features.
  void compare(const float* x, int64_t rows, float* values) const {
    const kernels::DotRowsArgs args{.m = static_cast<std::size_t>(rows),
                                    .n = static_cast<std::size_t>(count),
                                    .depth = static_cast<std::size_t>(columns),
                                    .a = x,
                                    .lda = static_cast<std::size_t>(columns),
                                    .b = vectors.data(),
                                    .ldb = static_cast<std::size_t>(count),
                                    .c = values,
                                    .ldc = static_cast<std::size_t>(count)};
    (kernel == SvmKernel::rbf ? kernels::square_distances : kernels::dot_columns).resolve()(args);
    const std::size_t items = args.m * args.n;
    const auto scale_shift = kernels::unary_scale_shift.resolve();
    if (kernel == SvmKernel::rbf) {
      scale_shift(values, values, items, -gamma, 0);
      kernels::unary_exp.resolve()(values, values, items, 0, 0);
    } else if (kernel != SvmKernel::linear) {
      scale_shift(values, values, items, gamma, offset);
      if (kernel == SvmKernel::sigmoid)
        kernels::unary_tanh.resolve()(values, values, items, 0, 0);
      else
        raise(values, items, degree);
    }
  }

  void compare(const double* x, int64_t rows, double* values) const {
    for (int64_t row = 0; row < rows; ++row, x += columns, values += count) {
      std::fill_n(values, count, 0.0);
      for (int64_t k = 0; k < columns; ++k)
        for (int64_t v = 0; v < count; ++v) {
          const double of_vector = vectors[k * count + v], difference = x[k] - of_vector;
          values[v] += kernel == SvmKernel::rbf ? difference * difference : x[k] * of_vector;
        }
      for (int64_t v = 0; v < count; ++v) {
        const double scaled = gamma * values[v] + offset;
        if (kernel == SvmKernel::rbf) values[v] = std::exp(-gamma * values[v]);
        if (kernel == SvmKernel::poly) values[v] = power(scaled, degree);
        if (kernel == SvmKernel::sigmoid) values[v] = std::tanh(scaled);
      }
    }
  }

  Dim infer_rows(InferContext& ctx) const {
    const RowDims dims = row_dims(ctx, 0);
    if (dims.columns.is_known()) check_columns(dims.columns.value());
    return dims.rows;
  }
  void check_columns(int64_t given) const {
    check(given == columns, "the vectors have ", columns, " features, rows have ", given);
  }

  // A step that calls finish(frame, row, values, spare) with the comparisons of each row and
  // `spare_count` items of memory.
  template <class T, class Finish>
  Step compare_step(PrepareContext& ctx, int64_t spare_count, Finish finish) const {
    const RowShape shape = row_shape(ctx.shape(0));
    check_columns(shape.columns);
    const double each = kernel == SvmKernel::linear ? 0.2 : 1;
    const Split split = split_work(
        shape.rows, static_cast<double>(count) * (each + 0.05 * static_cast<double>(columns)),
        kRowsAtOnce);
    const int64_t own = checked_add(checked_mul(count, kRowsAtOnce), spare_count);
    const Features<T> features(ctx, 0, checked_mul(split.chunks, own));
    return [this, features, split, own, finish](Frame& f) {
      f.parallel_for(Split{.items = split.chunks, .chunks = split.chunks}, [&](Range chunks) {
        for (int64_t chunk = chunks.begin; chunk < chunks.end; ++chunk) {
          const Range rows = split.chunk(chunk);
          const T* x = features.rows(f, rows, columns);
          T* values = f.scratch<T>() + chunk * own;
          for (int64_t row = rows.begin; row < rows.end;) {
            const int64_t together = std::min(kRowsAtOnce, rows.end - row);
            compare(x, together, values);
            x += together * columns;
            for (int64_t i = 0; i < together; ++i)
              finish(f, row++, values + i * count, values + kRowsAtOnce * count);
          }
        }
      });
    };
  }
};

class SVMRegressor final : public Op {
 public:
  explicit SVMRegressor(const OpInit& init)
      : coefficients_(init.attrs.require<std::vector<float>>("coefficients")),
        vectors_(init.attrs, init.attrs.get("n_supports", 0), 1, coefficients_),
        one_class_(init.attrs.get("one_class", 0) != 0),
        transform_(parse_post_transform(init.attrs.get("post_transform", "NONE"))) {
    const auto rho = init.attrs.floats("rho");
    check(!rho.empty(), "attribute 'rho' is missing");
    rho_ = rho[0];
    if (init.attrs.get("n_supports", 0) == 0) {
      coefficients_ = {1};
    } else {
      check(static_cast<int64_t>(coefficients_.size()) == vectors_.count, "there are ",
            coefficients_.size(), " coefficients for ", vectors_.count, " support vectors");
    }
  }

  void infer(InferContext& ctx) const override {
    ctx.set_output(0, DType::float32, {vectors_.infer_rows(ctx), 1});
  }

  Step prepare(PrepareContext& ctx) const override {
    const auto finish = [this](Frame& f, int64_t row, auto* values, auto*) {
      auto score = weigh(values, coefficients_.data(), vectors_.count) + rho_;
      if (one_class_) {
        score = score > 0 ? 1 : -1;
      } else {
        transform_targets(transform_, &score, 1);
      }
      f.out<float>(0)[row] = static_cast<float>(score);
    };
    return ctx.dtype(0) == DType::float64 ? vectors_.compare_step<double>(ctx, 0, finish)
                                          : vectors_.compare_step<float>(ctx, 0, finish);
  }

 private:
  std::vector<float> coefficients_;
  SupportVectors vectors_;
  float rho_ = 0;
  bool one_class_;
  PostTransform transform_;
};

// The probabilities of classes from those of pairs: minimises the disagreement (Wu, Lin and Weng,
// Probability estimates for multi-class classification by pairwise coupling, 2004, method 2).
// `pairs` is [classes, classes], `quadratic` memory of the same size, `product` of `classes` items.
template <class T>
void couple_pairs(int64_t classes, const T* pairs, T* quadratic, T* product, T* result) {
  for (int64_t i = 0; i < classes; ++i) {
    result[i] = T(1) / static_cast<T>(classes);
    T diagonal = 0;
    for (int64_t j = 0; j < classes; ++j) {
      if (j == i) continue;
      const T r = pairs[j * classes + i];
      diagonal += r * r;
      quadratic[i * classes + j] = -r * pairs[i * classes + j];
    }
    quadratic[i * classes + i] = diagonal;
  }
  const T tolerance = T(0.005) / static_cast<T>(classes);
  constexpr int kMaxRounds = 100;
  for (int round = 0; round < kMaxRounds; ++round) {
    T total = 0;
    for (int64_t i = 0; i < classes; ++i) {
      product[i] = 0;
      for (int64_t j = 0; j < classes; ++j) product[i] += quadratic[i * classes + j] * result[j];
      total += result[i] * product[i];
    }
    T error = 0;
    for (int64_t i = 0; i < classes; ++i) error = std::max(error, std::abs(product[i] - total));
    if (error < tolerance) return;
    for (int64_t i = 0; i < classes; ++i) {
      const T* row = quadratic + i * classes;
      const T change = (total - product[i]) / row[i];
      const T norm = 1 + change;
      result[i] += change;
      total = (total + change * (change * row[i] + 2 * product[i])) / norm / norm;
      for (int64_t j = 0; j < classes; ++j) {
        product[j] = (product[j] + change * row[j]) / norm;
        result[j] /= norm;
      }
    }
  }
}

class SVMClassifier final : public Op {
 public:
  explicit SVMClassifier(const OpInit& init)
      : labels_(init.attrs, "classlabels_ints"),
        coefficients_(init.attrs.require<std::vector<float>>("coefficients")),
        per_class_(init.attrs.ints("vectors_per_class")),
        prob_a_(init.attrs.floats("prob_a")),
        prob_b_(init.attrs.floats("prob_b")),
        rho_(init.attrs.floats("rho")),
        vectors_(init.attrs, total(per_class_), std::max<int64_t>(labels_.count(), 1),
                 coefficients_),
        transform_(parse_post_transform(init.attrs.get("post_transform", "NONE"))) {
    is_linear_ = total(per_class_) == 0;
    if (labels_.count() == 0)
      labels_.number(is_linear_ ? 1 : static_cast<int64_t>(per_class_.size()));
    const int64_t classes = labels_.count();
    check(classes < 65536, "there are ", classes, " classes");
    pairs_ = classes * (classes - 1) / 2;
    check(!rho_.empty(), "attribute 'rho' is missing");
    all_positive_ = std::all_of(coefficients_.begin(), coefficients_.end(),
                                [](float weight) { return weight >= 0; });
    if (is_linear_) return;
    const auto size = [](const auto& items) { return static_cast<int64_t>(items.size()); };
    check(size(per_class_) == classes, "vectors_per_class has ", per_class_.size(), " entries for ",
          classes, " classes");
    check(size(coefficients_) == (classes - 1) * vectors_.count, "there are ", coefficients_.size(),
          " coefficients for ", vectors_.count, " support vectors and ", classes, " classes");
    check(size(rho_) >= pairs_, "rho has ", rho_.size(), " entries for ", pairs_, " pairs");
    check(prob_a_.size() == prob_b_.size(), "prob_a and prob_b have ", prob_a_.size(), " and ",
          prob_b_.size(), " entries");
    check(prob_a_.empty() || size(prob_a_) >= pairs_, "prob_a has ", prob_a_.size(),
          " entries for ", pairs_, " pairs");
  }

  void infer(InferContext& ctx) const override {
    const Dim rows = vectors_.infer_rows(ctx);
    ctx.set_output(0, labels_.dtype(), {rows});
    ctx.set_output(1, DType::float32, {rows, columns_out()});
  }

  Step prepare(PrepareContext& ctx) const override {
    if (ctx.dtype(0) == DType::float64) return make_step<double>(ctx);
    return make_step<float>(ctx);
  }

 private:
  static int64_t total(const std::vector<int64_t>& counts) {
    int64_t sum = 0;
    for (const int64_t count : counts) {
      check(count >= 0, "vectors_per_class has the entry ", count);
      sum = checked_add(sum, count);
    }
    return sum;
  }
  bool has_probabilities() const { return !is_linear_ && !prob_a_.empty(); }
  int64_t columns_out() const {
    if (is_linear_ || has_probabilities()) return labels_.count();
    return labels_.count() > 2 ? pairs_ : 2;
  }

  template <class T>
  Step make_step(PrepareContext& ctx) const {
    const int64_t classes = labels_.count();
    const int64_t spare = checked_add(pairs_, checked_mul(2 * classes + 3, classes));
    return vectors_.compare_step<T>(ctx, spare, [this](Frame& f, int64_t row, T* values, T* spare) {
      if (is_linear_) {
        finish_linear(f, row, values);
      } else {
        finish_pairs(f, row, values, spare);
      }
    });
  }

  template <class T>
  void finish_linear(Frame& f, int64_t row, T* scores) const {
    const int64_t classes = labels_.count();
    for (int64_t i = 0; i < classes; ++i) scores[i] += rho_[0];
    int64_t best = best_class(scores, classes);
    if (classes == 2 && all_positive_ && scores[best] >= T(0.5)) best = 1;
    labels_.write(f, 0, row, best);
    transform_targets(transform_, scores, classes);
    write_scores(f, row, scores);
  }

  template <class T>
  void finish_pairs(Frame& f, int64_t row, const T* values, T* spare) const {
    const int64_t classes = labels_.count();
    T* scores = spare;  // of pairs
    T* votes = scores + pairs_;
    std::fill(votes, votes + classes, T(0));
    int64_t pair = 0, start_i = 0;
    for (int64_t i = 0; i < classes; start_i += per_class_[i++]) {
      int64_t start_j = start_i + per_class_[i];
      for (int64_t j = i + 1; j < classes; start_j += per_class_[j++], ++pair) {
        // The vectors of class i tell it from j, and those of j from i.
        const float* of_i = coefficients_.data() + (j - 1) * vectors_.count + start_i;
        const float* of_j = coefficients_.data() + i * vectors_.count + start_j;
        scores[pair] = weigh(values + start_i, of_i, per_class_[i]) +
                       weigh(values + start_j, of_j, per_class_[j]) + rho_[pair];
        votes[scores[pair] > 0 ? i : j] += 1;
      }
    }
    labels_.write(f, 0, row, best_class(votes, classes));
    if (has_probabilities()) {
      T* result = votes + classes;
      probabilities(scores, result + 2 * classes, result + classes, result);
      transform_targets(transform_, result, classes);
      write_scores(f, row, result);
    } else if (classes == 2) {
      T both[2];
      split_score(transform_, transform_ != PostTransform::none, scores[0], both);
      write_scores(f, row, both);
    } else if (classes > 2) {
      transform_scores(transform_, scores, pairs_);
      write_scores(f, row, scores);
    } else if (f.wants_output(1)) {
      f.out<float>(1)[2 * row] = f.out<float>(1)[2 * row + 1] = 0;
    }
  }

  // From scores of pairs; `square` is memory for 2 matrices, `line` for one line of them.
  template <class T>
  void probabilities(const T* scores, T* square, T* line, T* result) const {
    const int64_t classes = labels_.count();
    constexpr T kLeast = T(1e-7);
    int64_t pair = 0;
    for (int64_t i = 0; i < classes; ++i)
      for (int64_t j = i + 1; j < classes; ++j, ++pair) {
        const T exponent = scores[pair] * prob_a_[pair] + prob_b_[pair];
        const T wins = std::clamp(1 / (1 + std::exp(exponent)), kLeast, 1 - kLeast);
        square[i * classes + j] = wins;
        square[j * classes + i] = 1 - wins;
      }
    couple_pairs(classes, square, square + classes * classes, line, result);
  }

  template <class T>
  void write_scores(Frame& f, int64_t row, const T* scores) const {
    if (!f.wants_output(1)) return;
    float* out = f.out<float>(1) + row * columns_out();
    for (int64_t i = 0; i < columns_out(); ++i) out[i] = static_cast<float>(scores[i]);
  }

  ClassLabels labels_;
  std::vector<float> coefficients_;
  std::vector<int64_t> per_class_;
  std::vector<float> prob_a_, prob_b_, rho_;
  SupportVectors vectors_;
  PostTransform transform_;
  int64_t pairs_ = 0;
  bool is_linear_ = false;
  bool all_positive_ = false;
};

}  // namespace

[[gnu::cold]] void register_svm(OpRegistry& ops) {
  ops.add<SVMRegressor>("SVMRegressor", {.since = 1}, "ai.onnx.ml");
  ops.add<SVMClassifier>("SVMClassifier", {.since = 1}, "ai.onnx.ml");
}

}  // namespace sdx::ops
