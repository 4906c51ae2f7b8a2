// Operators that keep what a condition selects: NonZero, Compress. Their results are sized in the
// run.
#include "ops/axes.h"
#include "ops/checkpoint.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

template <class T>
bool is_set(const T& item) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return (item.bits & 0x7fff) != 0;
  else
    return item != T{};
}

// Elements between two looks at the time.
constexpr int64_t kBlock = 1 << 20;
// Nanoseconds that a row takes however short it is.
constexpr int64_t kRowWork = 10;

class NonZero final : public Op {
 public:
  explicit NonZero(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    ctx.dtype(0);
    Dim rank = Dim::unknown();
    if (ctx.has_rank(0)) rank = std::max<int64_t>(1, ctx.rank(0));  // a scalar counts as a vector
    ctx.set_output(0, DType::int64, {rank, Dim::unknown()});
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape shape = ctx.shape(0).empty() ? Shape{1} : ctx.shape(0);
    const DType dtype = ctx.dtype(0);
    const auto make = [&]<class T>() -> Step {
      return [shape, count = ctx.count(0)](Frame& f) {
        const T* x = f.in<T>(0);
        Checkpoint checkpoint;
        int64_t found = 0;
        for (int64_t i = 0; i < count; i += kBlock) {
          found += std::count_if(x + i, x + std::min(count, i + kBlock), is_set<T>);
          checkpoint(kBlock);
        }
        const auto rank = static_cast<int64_t>(shape.size());
        Tensor result = f.allocate_output(0, DType::int64, {rank, found});
        int64_t* y = result.data<int64_t>();
        const int64_t row = shape.back();
        for (int64_t i = 0, at = 0; i < count; i += row) {
          const int64_t first = at;
          // Written before it is known to count, without a branch.
          for (int64_t begin = 0; begin < row; begin += kBlock) {
            const int64_t end = std::min(row, begin + kBlock);
            for (int64_t k = begin; k < end && at < found; ++k) {
              y[(rank - 1) * found + at] = k;
              at += is_set(x[i + k]);
            }
            checkpoint(end - begin + kRowWork);
          }
          int64_t rest = i / row;
          for (int64_t d = rank - 1; d-- > 0; rest /= shape[d])
            std::fill(y + d * found + first, y + d * found + at, rest % shape[d]);
        }
      };
    };
    if (is_float(dtype)) return dispatch(FloatTypes{}, dtype, make);
    return dispatch_items(dtype, make);
  }
};

class Compress final : public Op {
 public:
  explicit Compress(const OpInit& init) {
    if (init.attrs.has("axis")) axis_ = init.attrs.get("axis", 0);
  }

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(1) == DType::boolean, "expected a condition of bool, got ", ctx.dtype(1));
    check(!ctx.has_rank(1) || ctx.rank(1) == 1, "the condition must be a vector");
    if (!axis_) return ctx.set_output(0, ctx.dtype(0), {Dim::unknown()});
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0));
    Dims dims = ctx.dims(0);
    dims[normalize_axis(*axis_, ctx.rank(0))] = Dim::unknown();
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    const AxisSplit x_split =
        axis_ ? split_at(ctx.shape(0), *axis_) : AxisSplit{1, ctx.count(0), 1};
    Shape shape{0};
    std::size_t axis = 0;
    if (axis_) {
      shape = ctx.shape(0);
      axis = static_cast<std::size_t>(normalize_axis(*axis_, static_cast<int64_t>(shape.size())));
    }
    const int64_t tests = ctx.count(1);
    return dispatch_items(dtype, [&]<class T>() -> Step {
      return [=](Frame& f) {
        const auto [outer, size, inner] = x_split;
        const uint8_t* condition = f.in<uint8_t>(1);
        for (int64_t i = size; i < tests; ++i)
          check_argument(!condition[i], "the condition selects position ", i, " of ", size);
        const int64_t considered = std::min(tests, size);
        const int64_t kept = considered - std::count(condition, condition + considered, uint8_t{0});
        Shape result = shape;
        result[axis] = kept;
        Tensor output = f.allocate_output(0, dtype, result);
        const T* x = f.in<T>(0);
        T* y = static_cast<T*>(output.raw());
        Checkpoint checkpoint;
        for (int64_t o = 0; o < outer; ++o)
          for (int64_t begin = 0; begin < considered; begin += kBlock) {
            const int64_t end = std::min(considered, begin + kBlock);
            for (int64_t i = begin; i < end; ++i) {
              if (!condition[i]) continue;
              copy_run(x + (o * size + i) * inner, y, inner);
              y += inner;
              if (inner >= kBlock) checkpoint(inner);
            }
            checkpoint(end - begin);
          }
      };
    });
  }

 private:
  std::optional<int64_t> axis_;
};

}  // namespace

[[gnu::cold]] void register_nonzero(OpRegistry& ops) {
  ops.add<NonZero>("NonZero", {.since = 9});
  ops.add<Compress>("Compress", {.since = 9});
}

}  // namespace sdx::ops
