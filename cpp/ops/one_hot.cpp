// OneHot.
#include <cmath>

#include "ops/axes.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

using ReadIndex = int64_t (*)(const void* indices, int64_t i);

// Reads a number as an index; one that is none (NaN, far out) becomes the smallest integer.
ReadIndex index_reader(DType dtype) {
  return dispatch(NumberTypes{}, dtype, []<class T>() -> ReadIndex {
    return [](const void* indices, int64_t i) -> int64_t {
      const T item = static_cast<const T*>(indices)[i];
      if constexpr (std::is_same_v<T, uint64_t>)
        return item > INT64_MAX ? INT64_MIN : static_cast<int64_t>(item);
      else if constexpr (std::is_integral_v<T>)
        return item;
      else
        return std::abs(static_cast<double>(item)) < 9e18 ? static_cast<int64_t>(item) : INT64_MIN;
    };
  });
}

class OneHot final : public Op {
 public:
  explicit OneHot(const OpInit& init) : axis_(init.attrs.get("axis", -1)) {}

  void infer(InferContext& ctx) const override {
    ctx.dtype(0);
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(2));
    Dims dims = ctx.dims(0);
    const int64_t axis = normalize_axis(axis_, ctx.rank(0) + 1);
    dims.insert(dims.begin() + axis, depth(ctx));
    ctx.set_output(0, ctx.dtype(2), std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const AxisSplit y_split = split_at(ctx.output_shape(0), axis_);
    check(ctx.count(2) == 2, "expected two values, got ", ctx.count(2));
    const ReadIndex read = index_reader(ctx.dtype(0));
    return dispatch_items(ctx.dtype(2), [&]<class T>() -> Step {
      return [read, y_split](Frame& f) {
        const auto [outer, depth, inner] = y_split;
        const void* indices = f.in<std::byte>(0);
        const T off = f.in<T>(2)[0], on = f.in<T>(2)[1];
        T* y = f.out<T>(0);
        const int64_t slab = depth * inner;
        const double cost = move_cost<T>() * static_cast<double>(slab) + 3.0 * inner;
        f.parallel_for(split_work(outer, cost), [&](Range r) {
          std::fill(y + r.begin * slab, y + r.end * slab, off);
          for (int64_t o = r.begin; o < r.end; ++o)
            for (int64_t i = 0; i < inner; ++i) {
              const int64_t index = read(indices, o * inner + i);
              if (index >= -depth && index < depth)
                y[o * slab + (index < 0 ? index + depth : index) * inner + i] = on;
            }
        });
      };
    });
  }

 private:
  static Dim depth(InferContext& ctx) {
    Dim depth = Dim::unknown();
    if (const auto given = elements(ctx, 1)) {
      check(given->size() == 1, "depth has ", given->size(), " elements");
      depth = (*given)[0];
    } else if (const Tensor* constant = ctx.constant(1)) {
      check(constant->count() == 1, "depth has ", constant->count(), " elements");
      const double value = constant->to_doubles()[0];
      check(value >= 0 && value < 1e15, "a depth of ", value);
      depth = static_cast<int64_t>(value);
    }
    check(depth.value_or(0) >= 0, "a depth of ", depth);
    return depth;
  }

  int64_t axis_;
};

}  // namespace

[[gnu::cold]] void register_one_hot(OpRegistry& ops) { ops.add<OneHot>("OneHot", {.since = 9}); }

}  // namespace sdx::ops
