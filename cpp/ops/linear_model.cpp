// LinearRegressor, LinearClassifier (ai.onnx.ml).
#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "ops/classifier.h"
#include "ops/feature_dot.h"

namespace sdx::ops {
namespace {

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

  // A step that calls finish(frame, row, scores of the row) for all rows.
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
    const Features<T> features(ctx, 0, checked_mul(shape.rows, targets_));
    return [this, features, rows = shape.rows, finish](Frame& f) {
      T* scores = f.scratch<T>();
      const double cost = 0.3 * static_cast<double>(columns_ * targets_) + 10;
      f.parallel_for(split_work(rows, cost), [&](Range r) {
        const T* x = features.rows(f, r, columns_);
        for (int64_t row = r.begin; row < r.end; ++row, x += columns_) {
          T* row_scores = scores + row * targets_;
          for (int64_t t = 0; t < targets_; ++t)
            row_scores[t] = feature_dot(x, coefficients_.data() + t * columns_, columns_) +
                            (intercepts_.empty() ? 0 : intercepts_[t]);
          finish(f, row, row_scores);
        }
      });
    };
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
    return model_.score_step(ctx, [this](Frame& f, int64_t row, auto* scores) {
      transform_targets(transform_, scores, model_.targets());
      float* out = f.out<float>(0) + row * model_.targets();
      for (int64_t t = 0; t < model_.targets(); ++t) out[t] = static_cast<float>(scores[t]);
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
    return model_.score_step(ctx, [this](Frame& f, int64_t row, auto* scores) {
      using T = std::remove_pointer_t<decltype(scores)>;
      const int64_t targets = model_.targets();
      if (targets == 1) {
        labels_.write_binary(f, 0, row, scores[0] > 0);
      } else {
        labels_.write(f, 0, row, best_class(scores, targets));
      }
      if (!f.wants_output(1)) return;
      float* out = f.out<float>(1) + row * columns_out();
      if (split_) {
        T pair[2];
        split_score(transform_, true, scores[0], pair);
        out[0] = static_cast<float>(pair[0]);
        out[1] = static_cast<float>(pair[1]);
        return;
      }
      transform_targets(transform_, scores, targets);
      for (int64_t t = 0; t < targets; ++t) out[t] = static_cast<float>(scores[t]);
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

void register_linear_model(OpRegistry& ops) {
  ops.add<LinearRegressor>("LinearRegressor", {.since = 1}, "ai.onnx.ml");
  ops.add<LinearClassifier>("LinearClassifier", {.since = 1}, "ai.onnx.ml");
}

}  // namespace sdx::ops
