// LinearRegressor, LinearClassifier (ai.onnx.ml).
#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/dots.h"
#include "kernels/softmax.h"
#include "kernels/unary.h"
#include "ops/classifier.h"
#include "ops/feature_dot.h"

namespace sdx::ops {
namespace {

constexpr int64_t kBlock = 64;  // rows scored together: their features stay in the cache

// Transforms the scores of `rows` rows of a regressor or classifier in place.
template <class T>
void transform_block(PostTransform transform, T* scores, int64_t rows, int64_t targets) {
  if constexpr (std::is_same_v<T, float>) {
    if (transform == PostTransform::logistic) {
      kernels::unary_sigmoid.resolve()(scores, scores, static_cast<std::size_t>(rows * targets), 0,
                                       0);
      return;
    }
    if (transform == PostTransform::softmax && targets > 1) {
      kernels::softmax_rows.resolve()(scores, scores, static_cast<std::size_t>(rows),
                                      static_cast<std::size_t>(targets));
      return;
    }
  }
  if (transform == PostTransform::none) return;
  for (int64_t row = 0; row < rows; ++row)
    transform_targets(transform, scores + row * targets, targets);
}

// Coefficients [targets, columns] and intercepts [targets] or none.
class LinearModel {
 public:
  LinearModel(const Attributes& attrs, int64_t targets)
      : coefficients_(attrs.require<std::vector<float>>("coefficients")),
        intercepts_(attrs.floats("intercepts")),
        targets_(targets) {
    check(targets_ > 0, "the model has ", targets_, " targets");
    const auto count = static_cast<int64_t>(coefficients_.size());
    check(count % targets_ == 0, "there are ", count, " coefficients for ", targets_, " targets");
    columns_ = count / targets_;
    check(intercepts_.empty() || static_cast<int64_t>(intercepts_.size()) == targets_, "there are ",
          intercepts_.size(), " intercepts for ", targets_, " targets");
  }

  int64_t targets() const { return targets_; }

  Dim infer_rows(InferContext& ctx) const {
    const RowDims dims = row_dims(ctx, 0);
    if (dims.columns.is_known()) check_columns(dims.columns.value());
    return dims.rows;
  }

  // A step that calls finish(frame, rows, their scores) for blocks of rows.
  template <class Finish>
  Step score_step(PrepareContext& ctx, Finish finish) const {
    if (ctx.dtype(0) == DType::float64) return typed_step<double>(ctx, finish);
    return typed_step<float>(ctx, finish);
  }

 private:
  void check_columns(int64_t columns) const {
    check(columns == columns_, "the model has coefficients for ", columns_, " features, rows have ",
          columns);
  }

  template <class T, class Finish>
  Step typed_step(PrepareContext& ctx, Finish finish) const {
    const RowShape shape = row_shape(ctx.shape(0));
    check_columns(shape.columns);
    const int64_t items = checked_mul(shape.rows, targets_);
    const Features<T> features(ctx, 0, checked_mul(items, 2));  // scores, by targets and by rows
    return [this, features, rows = shape.rows, items, finish](Frame& f) {
      T* scores = f.scratch<T>();
      const double cost = 0.1 * static_cast<double>(columns_ * targets_) + 10;
      f.parallel_for(split_work(rows, cost), [&](Range r) {
        const T* x = features.rows(f, r, columns_);
        for (int64_t begin = r.begin; begin < r.end; begin += kBlock) {
          const int64_t count = std::min(kBlock, r.end - begin);
          T* block = scores + begin * targets_;
          T* by_target = block + items;
          score_block(x + (begin - r.begin) * columns_, count, by_target);
          for (int64_t t = 0; t < targets_; ++t) {
            const T intercept = intercepts_.empty() ? T(0) : static_cast<T>(intercepts_[t]);
            for (int64_t row = 0; row < count; ++row)
              block[row * targets_ + t] = by_target[t * count + row] + intercept;
          }
          finish(f, Range{begin, begin + count}, block);
        }
      });
    };
  }

  // Writes to[targets, rows].
  template <class T>
  void score_block(const T* x, int64_t rows, T* to) const {
    if constexpr (std::is_same_v<T, float>) {
      const auto columns = static_cast<std::size_t>(columns_),
                 count = static_cast<std::size_t>(rows);
      kernels::dot_rows.resolve()({.m = static_cast<std::size_t>(targets_),
                                   .n = count,
                                   .depth = columns,
                                   .a = coefficients_.data(),
                                   .lda = columns,
                                   .b = x,
                                   .ldb = columns,
                                   .c = to,
                                   .ldc = count});
    } else {
      for (int64_t t = 0; t < targets_; ++t)
        for (int64_t row = 0; row < rows; ++row)
          to[t * rows + row] =
              feature_dot(x + row * columns_, coefficients_.data() + t * columns_, columns_);
    }
  }

  std::vector<float> coefficients_, intercepts_;
  int64_t targets_;
  int64_t columns_ = 0;
};

class LinearRegressor final : public Op {
 public:
  explicit LinearRegressor(const OpInit& init)
      : model_(init.attrs, init.attrs.get("targets", 1)),
        transform_(parse_post_transform(init.attrs.get("post_transform", "NONE"))) {}

  void infer(InferContext& ctx) const override {
    ctx.set_output(0, DType::float32, {model_.infer_rows(ctx), model_.targets()});
  }

  Step prepare(PrepareContext& ctx) const override {
    return model_.score_step(ctx, [this](Frame& f, Range rows, auto* scores) {
      const int64_t targets = model_.targets();
      transform_block(transform_, scores, rows.size(), targets);
      float* out = f.out<float>(0) + rows.begin * targets;
      for (int64_t i = 0; i < rows.size() * targets; ++i) out[i] = static_cast<float>(scores[i]);
    });
  }

 private:
  LinearModel model_;
  PostTransform transform_;
};

class LinearClassifier final : public Op {
 public:
  explicit LinearClassifier(const OpInit& init)
      : labels_(init.attrs, "classlabels_ints"),
        model_(init.attrs, target_count(init.attrs)),
        transform_(parse_post_transform(init.attrs.get("post_transform", "NONE"))) {
    if (labels_.count() == 0) labels_.number(model_.targets());
    check(model_.targets() == 1 || model_.targets() == labels_.count(), "the model scores ",
          model_.targets(), " classes, there are ", labels_.count(), " labels");
    split_ = model_.targets() == 1 && labels_.count() == 2;
  }

  void infer(InferContext& ctx) const override {
    const Dim rows = model_.infer_rows(ctx);
    ctx.set_output(0, labels_.dtype(), {rows});
    ctx.set_output(1, DType::float32, {rows, columns_out()});
  }

  Step prepare(PrepareContext& ctx) const override {
    return model_.score_step(ctx, [this](Frame& f, Range rows, auto* scores) {
      using T = std::remove_pointer_t<decltype(scores)>;
      const int64_t targets = model_.targets(), count = rows.size();
      if (f.wants_output(0)) {
        if (targets > 1) labels_.write_best(f, 0, rows.begin, count, scores);
        for (int64_t row = 0; targets == 1 && row < count; ++row)
          labels_.write_binary(f, 0, rows.begin + row, scores[row] > 0);
      }
      if (!f.wants_output(1)) return;
      float* out = f.out<float>(1) + rows.begin * columns_out();
      if (split_) {
        for (int64_t row = 0; row < count; ++row) {
          T pair[2];
          split_score(transform_, true, scores[row], pair);
          out[2 * row] = static_cast<float>(pair[0]);
          out[2 * row + 1] = static_cast<float>(pair[1]);
        }
        return;
      }
      transform_block(transform_, scores, count, targets);
      for (int64_t i = 0; i < count * targets; ++i) out[i] = static_cast<float>(scores[i]);
    });
  }

 private:
  static int64_t target_count(const Attributes& attrs) {
    const auto intercepts = static_cast<int64_t>(attrs.floats("intercepts").size());
    if (intercepts > 0) return intercepts;
    return std::max<int64_t>(ClassLabels(attrs, "classlabels_ints").count(), 1);
  }
  int64_t columns_out() const { return split_ ? 2 : model_.targets(); }

  ClassLabels labels_;
  LinearModel model_;
  PostTransform transform_;
  bool split_ = false;  // one score becomes two columns
};

}  // namespace

[[gnu::cold]] void register_linear_model(OpRegistry& ops) {
  ops.add<LinearRegressor>("LinearRegressor", {.since = 1}, "ai.onnx.ml");
  ops.add<LinearClassifier>("LinearClassifier", {.since = 1}, "ai.onnx.ml");
}

}  // namespace sdx::ops
