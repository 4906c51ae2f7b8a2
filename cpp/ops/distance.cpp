// CDist (com.microsoft): the distance of every row of one matrix to every row of another. ONNX
// Runtime has the squared and the plain Euclidean one; converters write minkowski's too.
#include <cmath>

#include "base/checked.h"
#include "kernels/dots.h"
#include "kernels/transpose.h"
#include "kernels/unary.h"
#include "ops/axes.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

// The standard has no such attribute: converters write what scikit-learn is given, 3 or 3.0.
double power_of(const Attributes& attrs) {
  const auto given = attrs.all().find("p");
  if (given != attrs.all().end() && std::holds_alternative<int64_t>(given->second))
    return static_cast<double>(attrs.get("p", 2));
  return attrs.get("p", 2.0);
}

class CDist final : public Op {
 public:
  explicit CDist(const OpInit& init) {
    const std::string metric = init.attrs.get("metric", "sqeuclidean");
    if (metric == "euclidean" || metric == "minkowski") {
      if (metric == "minkowski") power_ = power_of(init.attrs);
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

  // A constant second matrix is turned once.
  void pack(PackContext& ctx) const override {
    const Tensor* others = ctx.constant(1);
    if (power_ != 2 || !others || others->dtype() != DType::float32 || others->count() == 0) return;
    const auto bytes = static_cast<std::size_t>(others->count()) * sizeof(float);
    turn(others->data<float>(), others->shape(), static_cast<float*>(ctx.allocate(0, bytes)));
    ctx.release_input(1);
  }

  Step prepare(PrepareContext& ctx) const override {
    if (ctx.dtype(0) == DType::float32 && power_ == 2) return square_step(ctx);
    if (ctx.dtype(0) == DType::float32) return step<float>(ctx);
    return step<double>(ctx);
  }

 private:
  static void turn(const float* from, const Shape& shape, float* to) {
    const auto rows = static_cast<std::size_t>(shape[0]), cols = static_cast<std::size_t>(shape[1]);
    kernels::transpose_32.resolve()(rows, cols, reinterpret_cast<const uint32_t*>(from), cols,
                                    reinterpret_cast<uint32_t*>(to), rows);
  }

  Step square_step(PrepareContext& ctx) const {
    constexpr int64_t kRowsAtOnce = 4;
    const int64_t rows = ctx.shape(0)[0], columns = ctx.shape(0)[1], others = ctx.shape(1)[0];
    const auto* turned = ctx.packed<float>(0);
    if (!turned) ctx.request_scratch(checked_mul(ctx.count(1), sizeof(float)));
    const double cost = 0.1 * static_cast<double>(others) * static_cast<double>(columns) + 10;
    return [=, shape = ctx.shape(1), rooted = root_ != 1,
            split = split_work(rows, cost, kRowsAtOnce)](Frame& f) {
      const float* columns_of_others = turned;
      if (!turned) {
        turn(f.in<float>(1), shape, f.scratch<float>());
        columns_of_others = f.scratch<float>();
      }
      f.parallel_for(split, [&](Range r) {
        for (int64_t row = r.begin; row < r.end; row += kRowsAtOnce) {
          const int64_t together = std::min(kRowsAtOnce, r.end - row);
          float* y = f.out<float>(0) + row * others;
          kernels::square_distances.resolve()({.m = static_cast<std::size_t>(together),
                                               .n = static_cast<std::size_t>(others),
                                               .depth = static_cast<std::size_t>(columns),
                                               .a = f.in<float>(0) + row * columns,
                                               .lda = static_cast<std::size_t>(columns),
                                               .b = columns_of_others,
                                               .ldb = static_cast<std::size_t>(others),
                                               .c = y,
                                               .ldc = static_cast<std::size_t>(others)});
          if (rooted)
            kernels::unary_sqrt.resolve()(y, y, static_cast<std::size_t>(together * others), 0, 0);
        }
      });
    };
  }

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

[[gnu::cold]] void register_distance(OpRegistry& ops) {
  ops.add<CDist>("CDist", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
