// TreeEnsembleRegressor, TreeEnsembleClassifier, TreeEnsemble (ai.onnx.ml).
#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>

#include "base/checked.h"
#include "base/error.h"
#include "ir/graph.h"
#include "ops/classifier.h"
#include "ops/feature_dot.h"
#include "ops/tree_model.h"

namespace sdx::ops {
namespace {

// Rows that make a tree's visit to the cache worth it.
constexpr int64_t kGrain = 64;

// A forest in the precision of its thresholds. Features in doubles are compared as doubles: for
// those a forest of floats is built a second time when it is first wanted.
class AnyForest {
 public:
  using Read = std::function<TreeModel(const Attributes&)>;

  AnyForest(const Attributes& attrs, Read read) : read_(std::move(read)) {
    const TreeModel model = read_(attrs);
    base_values_ = model.base_values;
    if (model.is_double) {
      doubles_ = std::make_unique<Forest<double>>(model);
      columns_ = doubles_->columns();
    } else {
      floats_ = std::make_unique<Forest<float>>(model);
      columns_ = floats_->columns();
    }
  }

  bool computes_doubles(DType features) const { return !floats_ || features == DType::float64; }
  template <class T>
  const Forest<T>& get(const Attributes& attrs) const {
    if constexpr (std::is_same_v<T, float>) {
      return *floats_;
    } else {
      std::call_once(once_, [&] {
        if (!doubles_) doubles_ = std::make_unique<Forest<double>>(read_(attrs));
      });
      return *doubles_;
    }
  }
  const std::vector<double>& base_values() const { return base_values_; }

  Dim infer_rows(InferContext& ctx) const {
    const RowDims dims = row_dims(ctx, 0);
    if (dims.columns.is_known()) check_columns(dims.columns.value());
    return dims.rows;
  }

  // A step that scores all rows and calls finish(frame, row, scores of the row).
  template <class T, class Finish>
  Step score_step(PrepareContext& ctx, Finish finish) const {
    const Forest<T>& forest = get<T>(ctx.node().attrs());
    const auto [rows, columns] = row_shape(ctx.shape(0));
    check_columns(columns);
    const int64_t targets = forest.targets();
    const Features<T> features(ctx, 0, checked_mul(rows, targets));
    return [&forest, features, rows = rows, columns = columns, targets, finish](Frame& f) {
      T* scores = f.scratch<T>();
      f.parallel_for(split_work(rows, forest.row_cost(), kGrain), [&](Range r) {
        const T* x = features.rows(f, r, columns);
        forest.score(x, columns, r.size(), scores + r.begin * targets);
        for (int64_t row = r.begin; row < r.end; ++row) finish(f, row, scores + row * targets);
      });
    };
  }

 private:
  void check_columns(int64_t columns) const {
    check(columns >= columns_, "the trees look at feature ", columns_ - 1, ", rows have ", columns);
  }

  Read read_;
  int64_t columns_ = 0;
  std::vector<double> base_values_;
  std::unique_ptr<Forest<float>> floats_;
  mutable std::once_flag once_;
  mutable std::unique_ptr<Forest<double>> doubles_;
};

// Regressors of all versions: a score for each target.
class Regressor : public Op {
 public:
  void infer(InferContext& ctx) const final {
    ctx.set_output(0, output_type(ctx.dtype(0)), {forest_.infer_rows(ctx), targets_});
  }

  Step prepare(PrepareContext& ctx) const final {
    if (forest_.computes_doubles(ctx.dtype(0))) return make_step<double>(ctx);
    return make_step<float>(ctx);
  }

 protected:
  Regressor(const Attributes& attrs, AnyForest::Read read, int64_t targets, PostTransform transform)
      : forest_(attrs, std::move(read)), targets_(targets), transform_(transform) {
    const auto count = static_cast<int64_t>(forest_.base_values().size());
    check(count == 0 || count == 1 || count == targets, "there are ", count, " base values for ",
          targets, " targets");
  }
  virtual DType output_type(DType features) const = 0;

 private:
  template <class T>
  Step make_step(PrepareContext& ctx) const {
    return dispatch(TypeList<float, double, Half>{}, ctx.output_dtype(0), [&]<class Out>() -> Step {
      return forest_.score_step<T>(ctx, [this](Frame& f, int64_t row, T* scores) {
        finish(scores, f.out<Out>(0) + row * targets_);
      });
    });
  }

  template <class T, class Out>
  void finish(T* scores, Out* out) const {
    const std::vector<double>& base = forest_.base_values();
    if (!base.empty())
      for (int64_t i = 0; i < targets_; ++i)
        scores[i] += static_cast<T>(base.size() == 1 ? base[0] : base[i]);
    transform_targets(transform_, scores, targets_);
    for (int64_t i = 0; i < targets_; ++i) out[i] = static_cast<Out>(scores[i]);
  }

  AnyForest forest_;
  int64_t targets_;
  PostTransform transform_;
};

class TreeEnsembleRegressor final : public Regressor {
 public:
  explicit TreeEnsembleRegressor(const OpInit& init)
      : Regressor(
            init.attrs,
            [](const Attributes& attrs) {
              return read_classic_trees(attrs, "target", attrs.get("n_targets", 1));
            },
            init.attrs.get("n_targets", 1),
            parse_post_transform(init.attrs.get("post_transform", "NONE"))) {}

 private:
  DType output_type(DType) const override { return DType::float32; }
};

class TreeEnsemble final : public Regressor {
 public:
  explicit TreeEnsemble(const OpInit& init)
      : Regressor(init.attrs, read_trees, init.attrs.get("n_targets", 1),
                  transform_of(init.attrs.get("post_transform", 0))) {}

 private:
  static PostTransform transform_of(int64_t code) {
    check(code >= 0 && code <= 4, "post_transform ", code, " is none of the five");
    return static_cast<PostTransform>(code);
  }
  DType output_type(DType features) const override { return features; }
};

class TreeEnsembleClassifier final : public Op {
 public:
  explicit TreeEnsembleClassifier(const OpInit& init)
      : labels_(init.attrs, "classlabels_int64s"),
        transform_(parse_post_transform(init.attrs.get("post_transform", "NONE"))),
        forest_(init.attrs, [count = labels_.count()](const Attributes& attrs) {
          check(!attrs.has("aggregate_function"), "a classifier has no aggregate_function");
          return read_classic_trees(attrs, "class", count);
        }) {
    const auto ids = init.attrs.ints("class_ids");
    const auto [least, most] = std::minmax_element(ids.begin(), ids.end());
    const bool one_id = !ids.empty() && *least == *most;
    binary_ = labels_.count() == 1 || (labels_.count() == 2 && one_id);
    if (one_id) voted_ = *least;
    const auto base = static_cast<int64_t>(forest_.base_values().size());
    check(base <= labels_.count(), "there are ", base, " base values for ", labels_.count(),
          " classes");
    bool all_positive = true;
    for (const float weight : init.attrs.floats("class_weights")) all_positive &= weight >= 0;
    if (const Tensor* weights = init.attrs.find<Tensor>("class_weights_as_tensor"))
      for (const double weight : weights->to_doubles()) all_positive &= weight >= 0;
    is_probability_ = all_positive;
  }

  void infer(InferContext& ctx) const override {
    const Dim rows = forest_.infer_rows(ctx);
    ctx.set_output(0, labels_.dtype(), {rows});
    ctx.set_output(1, DType::float32, {rows, labels_.count()});
  }

  Step prepare(PrepareContext& ctx) const override {
    if (forest_.computes_doubles(ctx.dtype(0))) return make_step<double>(ctx);
    return make_step<float>(ctx);
  }

 private:
  template <class T>
  Step make_step(PrepareContext& ctx) const {
    return forest_.score_step<T>(ctx, [this](Frame& f, int64_t row, T* scores) {
      const int64_t count = labels_.count();
      const std::vector<double>& base = forest_.base_values();
      if (binary_) {
        T score = scores[voted_];
        if (!base.empty()) score += static_cast<T>(base.size() == 1 ? base[0] : base[voted_]);
        const bool cutoff_at_half = is_probability_ && count == 2;
        labels_.write_binary(f, 0, row, score > (cutoff_at_half ? T(0.5) : T(0)));
        if (count == 1) {
          scores[0] = score;
          transform_targets(transform_, scores, 1);
        } else if (voted_ == 0) {
          split_score(transform_, is_probability_, score, scores);
        } else {
          scores[0] = 0;
          scores[1] = score;
          transform_scores(transform_, scores, 2);
        }
      } else {
        for (std::size_t i = 0; i < base.size(); ++i) scores[i] += static_cast<T>(base[i]);
        labels_.write(f, 0, row, best_class(scores, count));
        transform_scores(transform_, scores, count);
      }
      if (!f.wants_output(1)) return;
      float* out = f.out<float>(1) + row * count;
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(scores[i]);
    });
  }

  ClassLabels labels_;
  PostTransform transform_;
  AnyForest forest_;
  bool binary_;        // one score tells two classes apart
  int64_t voted_ = 0;  // the class id of that score
  bool is_probability_;
};

}  // namespace

[[gnu::cold]] void register_tree_ensemble(OpRegistry& ops) {
  ops.add<TreeEnsembleRegressor>("TreeEnsembleRegressor", {.since = 1}, "ai.onnx.ml");
  ops.add<TreeEnsembleClassifier>("TreeEnsembleClassifier", {.since = 1}, "ai.onnx.ml");
  ops.add<TreeEnsemble>("TreeEnsemble", {.since = 5}, "ai.onnx.ml");
}

}  // namespace sdx::ops
