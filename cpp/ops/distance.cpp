// CDist (com.microsoft): the distance of every row of one matrix to every row of another. ONNX
// Runtime has the squared and the plain Euclidean one; converters write minkowski's too.
#include <cmath>

#include "base/checked.h"
#include "ops/axes.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

class CDist final : public Op {
 public:
  explicit CDist(const OpInit& init) {
    const std::string metric = init.attrs.get("metric", "sqeuclidean");
    if (metric == "euclidean" || metric == "minkowski") {
      if (metric == "minkowski") power_ = init.attrs.get("p", 2.0);
      root_ = 1 / power_;
    } else {
      check(metric == "sqeuclidean", "metric '", metric, "' is not known");
    }
    check(power_ > 0 && std::isfinite(power_), "p is ", power_, ", expected a positive number");
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(dtype == DType::float32 || dtype == DType::float64, "expected float32 or float64, got ",
          dtype);
    check(ctx.dtype(1) == dtype, "inputs are of ", dtype, " and ", ctx.dtype(1));
    if (!ctx.has_rank(0) || !ctx.has_rank(1)) return ctx.set_output(0, dtype);
    const Dims &a = ctx.dims(0), &b = ctx.dims(1);
    check(a.size() == 2 && b.size() == 2 && may_equal(a[1], b[1]),
          "expected matrices of as many columns, got shapes ", a, " and ", b);
    ctx.set_output(0, dtype, {a[0], b[0]});
  }

  Step prepare(PrepareContext& ctx) const override {
    if (ctx.dtype(0) == DType::float32) return step<float>(ctx);
    return step<double>(ctx);
  }

 private:
  // Differences are squared as they are: the sum of squares and a product would lose the digits of
  // rows that lie close together.
  template <class T>
  Step step(PrepareContext& ctx) const {
    const int64_t rows = ctx.shape(0)[0], columns = ctx.shape(0)[1], others = ctx.shape(1)[0];
    const Split split = split_work(rows, static_cast<double>(others * columns));
    return [=, this](Frame& f) {
      const T* a = f.in<T>(0);
      const T* b = f.in<T>(1);
      T* y = f.out<T>(0);
      f.parallel_for(split, [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          for (int64_t j = 0; j < others; ++j) {
            double sum = 0;
            for (int64_t k = 0; k < columns; ++k) {
              const double difference =
                  static_cast<double>(a[i * columns + k]) - static_cast<double>(b[j * columns + k]);
              sum += power_ == 2 ? difference * difference : std::pow(std::abs(difference), power_);
            }
            y[i * others + j] = static_cast<T>(root_ == 1     ? sum
                                               : root_ == 0.5 ? std::sqrt(sum)
                                                              : std::pow(sum, root_));
          }
        }
      });
    };
  }

  double power_ = 2, root_ = 1;
};

}  // namespace

void register_distance(OpRegistry& ops) { ops.add<CDist>("CDist", {.since = 1}, "com.microsoft"); }

}  // namespace sdx::ops
