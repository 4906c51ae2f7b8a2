// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "ops/axes.h"
#include "ops/checkpoint.h"
#include "ops/checks.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

enum class Reduction : uint8_t { none, sum, mean };

Reduction reduction_of(const OpInit& init) {
  const std::string name = init.attrs.get("reduction", "mean");
  check(name == "none" || name == "sum" || name == "mean", "reduction is '", name,
        "', expected 'none', 'sum' or 'mean'");
  return name == "none" ? Reduction::none : name == "sum" ? Reduction::sum : Reduction::mean;
}

// Scores are [samples, classes, points], labels [samples, points]. A place is one (sample, point).
struct Places {
  int64_t samples, classes, points;
  int64_t count() const { return samples * points; }
  // Of the score of class 0 at a place; the next class is `points` further.
  int64_t first(int64_t place) const { return place / points * classes * points + place % points; }
};

// log(softmax(scores)) of one place.
template <class T>
void log_softmax(const T* scores, T* out, int64_t classes, int64_t stride, Watch& watch) {
  constexpr int64_t kBlock = 4096, kScoreWork = 8;  // nanoseconds
  const auto for_each = [&](auto&& f) {
    for (int64_t at = 0; at < classes; at += kBlock) {
      const int64_t end = std::min(classes, at + kBlock);
      if (at > 0 && watch.over(kBlock * kScoreWork)) return;
      for (int64_t c = at; c < end; ++c) f(c * stride);
    }
  };
  double largest = -std::numeric_limits<double>::infinity(), total = 0;
  for_each([&](int64_t i) { largest = std::max(largest, static_cast<double>(scores[i])); });
  for_each([&](int64_t i) { total += std::exp(static_cast<double>(scores[i]) - largest); });
  const double shift = largest + std::log(total);
  for_each([&](int64_t i) {
    out[i] = static_cast<T>(static_cast<ComputeType<T>>(static_cast<double>(scores[i]) - shift));
  });
}

class Loss final : public Op {
 public:
  explicit Loss(const OpInit& init)
      : from_scores_(init.type == "SoftmaxCrossEntropyLoss"), reduction_(reduction_of(init)) {
    if (init.attrs.has("ignore_index")) ignored_ = init.attrs.require<int64_t>("ignore_index");
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype), "expected floats, got ", dtype);
    check_indices(ctx, 1);
    if (ctx.has_input(2))
      check(ctx.dtype(2) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(2));
    if (ctx.has_rank(0)) {
      const Dims& scores = ctx.dims(0);
      check(scores.size() >= 2, "input 0 has shape ", scores, ", expected [N, C, ...]");
      Dims places = scores;
      places.erase(places.begin() + 1);
      if (ctx.has_rank(1))
        check(may_equal(ctx.dims(1), places), "labels have shape ", ctx.dims(1), ", expected ",
              places);
      check_vector(ctx, 2, scores[1]);
    }
    if (reduction_ == Reduction::none) {
      Type type = ctx.input(1);
      type.dtype = dtype;
      ctx.set_output(0, std::move(type));
    } else
      ctx.set_output(0, dtype, {});
    if (ctx.wants_output(1)) ctx.set_output(1, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& shape = ctx.shape(0);
    Places places{shape[0], shape[1], 1};
    for (std::size_t i = 2; i < shape.size(); ++i) places.points *= shape[i];
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return ctx.dtype(1) == DType::int64 ? step<T, int64_t>(ctx, places)
                                          : step<T, int32_t>(ctx, places);
    });
  }

 private:
  template <class T, class Label>
  Step step(PrepareContext& ctx, const Places& places) const {
    ScratchPlan plan;
    const int64_t count = places.count();
    // One loss and one weight for each place, summed in order: the same bits on any threads.
    const int64_t losses = plan.add(floats_for<double>(count));
    const int64_t weights = plan.add(floats_for<double>(count));
    const bool spare = from_scores_ && !ctx.wants_output(1);
    const int64_t logs = plan.add(spare ? floats_for<T>(ctx.count(0)) : 0);
    plan.request(ctx);
    const double cost = from_scores_ ? 12.0 * static_cast<double>(places.classes) : 4.0;
    return [this, places, count, losses, weights, logs, spare,
            split = split_work(count, cost)](Frame& f) {
      const T* scores = f.in<T>(0);
      const Label* labels = f.in<Label>(1);
      const T* class_weights = f.in<T>(2);
      T* log_probabilities = !from_scores_ ? nullptr
                             : spare       ? reinterpret_cast<T*>(f.scratch<float>() + logs)
                                           : f.out<T>(1);
      auto* loss = reinterpret_cast<double*>(f.scratch<float>() + losses);
      auto* weight = reinterpret_cast<double*>(f.scratch<float>() + weights);
      f.parallel_for(split, [&](Range r) {
        Watch watch(f);
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int64_t first = places.first(i);
          if (from_scores_)
            log_softmax(scores + first, log_probabilities + first, places.classes, places.points,
                        watch);
          if (watch.over(places.classes)) return;
          const auto label = static_cast<int64_t>(labels[i]);
          weight[i] = loss[i] = 0;
          if (ignored_ && label == *ignored_) continue;
          check_argument(label >= 0 && label < places.classes, "label ", label, " of place ", i,
                         " is out of range for ", places.classes, " classes");
          weight[i] = class_weights ? static_cast<double>(class_weights[label]) : 1.0;
          const T* logs_of = from_scores_ ? log_probabilities : scores;
          loss[i] = -static_cast<double>(logs_of[first + label * places.points]) * weight[i];
        }
      });
      T* y = f.out<T>(0);
      const auto narrow = [](double x) { return static_cast<T>(static_cast<ComputeType<T>>(x)); };
      if (reduction_ == Reduction::none) {
        if (y) std::transform(loss, loss + count, y, narrow);
        return;
      }
      double total = 0, total_weight = 0;
      for (int64_t i = 0; i < count; ++i) {
        total += loss[i];
        total_weight += weight[i];
      }
      if (y) *y = narrow(reduction_ == Reduction::mean ? total / total_weight : total);
    };
  }

  bool from_scores_;
  Reduction reduction_;
  std::optional<int64_t> ignored_;
};

}  // namespace

[[gnu::cold]] void register_loss(OpRegistry& ops) {
  for (const char* name : {"NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"})
    ops.add<Loss>(name, {.since = 12});
}

}  // namespace sdx::ops
