// ScatterElements (and its old name Scatter), ScatterND, TensorScatter.
#include "kernels/binary.h"
#include "ops/axes.h"
#include "ops/checkpoint.h"
#include "ops/complex_types.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

enum class Reduction { none, add, mul, min, max };

Reduction reduction_of(const OpInit& init) {
  const std::string name = init.attrs.get("reduction", "none");
  if (name == "none") return Reduction::none;
  if (name == "add") return Reduction::add;
  if (name == "mul") return Reduction::mul;
  if (name == "min") return Reduction::min;
  if (name == "max") return Reduction::max;
  fail(ErrorKind::invalid_model, "reduction '", name, "' is none of none, add, mul, min, max");
}

// Strings have a sum, one after the other, and an order, but no product.
void check_reduction(Reduction reduction, DType dtype) {
  check(reduction != Reduction::mul || dtype != DType::string, "strings have no product");
}

// Nanoseconds that an element takes whose place is looked up, and elements between two looks at the
// time.
constexpr int64_t kPickWork = 4, kBlock = 1 << 16;

// Calls f with how an item there, which comes first, meets one that is scattered. Min and max keep
// a NaN, whichever side it is on.
template <class T, class F>
void with_reduction(Reduction reduction, F&& f) {
  const auto replace = [](T& to, const T& from) { to = from; };
  if constexpr (dtype_of<T> == DType::undefined) {
    f(replace);
  } else {
    using C = ComputeType<T>;
    const auto reduce = [&](auto&& combine) {
      f([combine](T& to, const T& from) {
        to = static_cast<T>(combine(static_cast<C>(to), static_cast<C>(from)));
      });
    };
    switch (reduction) {
      case Reduction::none:
        return f(replace);
      case Reduction::add:
        return reduce([](C a, C b) { return a + b; });
      case Reduction::mul:
        if constexpr (!std::is_same_v<T, std::string>)  // check_reduction refuses it
          return reduce([](C a, C b) { return a * b; });
        return;
      case Reduction::min:
        return reduce([](const C& a, const C& b) {
          return a == a && (comes_before(b, a) || b != b) ? b : a;
        });
      case Reduction::max:
        return reduce([](const C& a, const C& b) {
          return a == a && (comes_before(a, b) || b != b) ? b : a;
        });
    }
  }
}

// Calls f.operator()<T>() for a T that moves elements or, for a reduction, computes with them.
template <class F>
Step dispatch_reduction(Reduction reduction, DType dtype, F&& f) {
  if (reduction == Reduction::none) return dispatch_items(dtype, f);
  return dispatch(RealComplexAndStringTypes{}, dtype, f);
}

// Starts output 0 as a copy of input 0.
template <class T>
void start_from_input(const Frame& f, int64_t count) {
  const T* x = f.in<T>(0);
  T* y = f.out<T>(0);
  if (x == y) return;
  f.parallel_for(split_work(count, move_cost<T>()),
                 [&](Range r) { copy_run(x + r.begin, y + r.begin, r.size()); });
}

class ScatterElements final : public Op {
 public:
  explicit ScatterElements(const OpInit& init)
      : axis_(init.attrs.get("axis", 0)), reduction_(reduction_of(init)) {}

  void infer(InferContext& ctx) const override {
    check_indices(ctx, 1);
    check(ctx.dtype(2) == ctx.dtype(0), "updates of ", ctx.dtype(2), " for data of ", ctx.dtype(0));
    check_reduction(reduction_, ctx.dtype(0));
    if (ctx.has_rank(0)) {
      const Dims& data = ctx.dims(0);
      const int64_t axis = normalize_axis(axis_, ctx.rank(0));
      if (ctx.has_rank(1) && ctx.has_rank(2)) {
        const Dims &indices = ctx.dims(1), &updates = ctx.dims(2);
        check(indices.size() == data.size() && updates.size() == data.size(),
              "ranks differ: ", data, ", ", indices, " and ", updates);
        for (int64_t i = 0; i < ctx.rank(0); ++i) {
          check(updates[i].value_or(-1) == indices[i].value_or(-1) || !updates[i].is_known() ||
                    !indices[i].is_known(),
                "indices of shape ", indices, " and updates of shape ", updates, " differ");
          check(i == axis || !data[i].is_known() || indices[i].value_or(0) <= data[i].value(),
                "indices of shape ", indices, " reach beyond data of shape ", data);
        }
      }
    }
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape picks = ctx.shape(1);
    const int64_t axis = normalize_axis(axis_, static_cast<int64_t>(picks.size()));
    const int64_t size = ctx.shape(0)[axis], count = element_count(picks), total = ctx.count(0);
    const Shape strides = row_major_strides(ctx.shape(0));
    const bool wide = ctx.dtype(1) == DType::int64;
    return dispatch_reduction(reduction_, ctx.dtype(0), [&]<class T>() -> Step {
      return [=, reduction = reduction_](Frame& f) {
        start_from_input<T>(f, total);
        const Indices indices(f, 1, wide);
        const T* updates = f.in<T>(2);
        T* y = f.out<T>(0);
        if (count == 0) return;
        const auto last = static_cast<int64_t>(picks.size()) - 1;
        const int64_t width = last < 0 ? 1 : picks[last];
        const int64_t step = last == axis ? 0 : 1, pick_step = strides[axis];
        Checkpoint checkpoint;
        with_reduction<T>(reduction, [&](auto&& combine) {
          Shape at(picks.size(), 0);
          int64_t base = 0;
          for (int64_t first = 0; first < count; first += width) {
            for (int64_t begin = 0; begin < width; begin += kBlock) {
              const int64_t end = std::min(width, begin + kBlock);
              checkpoint(kPickWork * (end - begin));
              for (int64_t i = begin; i < end; ++i) {
                const int64_t pick = checked_index(indices[first + i], size, axis);
                combine(y[base + i * step + pick * pick_step], updates[first + i]);
              }
            }
            for (int64_t d = last; d-- > 0;) {
              const int64_t stride = d == axis ? 0 : strides[d];
              base += stride;
              if (++at[d] < picks[d]) break;
              base -= stride * picks[d];
              at[d] = 0;
            }
          }
        });
      };
    });
  }

 private:
  int64_t axis_;
  Reduction reduction_;
};

class ScatterND final : public Op {
 public:
  explicit ScatterND(const OpInit& init) : reduction_(reduction_of(init)) {}

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(1) == DType::int64, "expected indices of int64, got ", ctx.dtype(1));
    check(ctx.dtype(2) == ctx.dtype(0), "updates of ", ctx.dtype(2), " for data of ", ctx.dtype(0));
    check_reduction(reduction_, ctx.dtype(0));
    ctx.set_output(0, ctx.input(0));
    if (!ctx.has_rank(0) || !ctx.has_rank(1)) return;
    const Dims &data = ctx.dims(0), &indices = ctx.dims(1);
    check(!indices.empty(), "indices must not be a scalar");
    if (!indices.back().is_known()) return;
    const int64_t depth = indices.back().value();
    check(depth <= ctx.rank(0), "indices of ", depth, " coordinates do not fit data of rank ",
          ctx.rank(0));
    if (!ctx.has_rank(2)) return;
    Dims expected(indices.begin(), indices.end() - 1);
    expected.insert(expected.end(), data.begin() + depth, data.end());
    const Dims& updates = ctx.dims(2);
    bool fits = updates.size() == expected.size();
    for (std::size_t i = 0; fits && i < updates.size(); ++i)
      fits = !updates[i].is_known() || !expected[i].is_known() || updates[i] == expected[i];
    check(fits, "expected updates of shape ", expected, ", got ", updates);
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape &data = ctx.shape(0), &indices = ctx.shape(1);
    const int64_t depth = indices.back(), total = ctx.count(0);
    const Shape sizes(data.begin(), data.begin() + depth);
    const Shape strides = row_major_strides(data);
    const int64_t inner =
        element_count(std::span<const int64_t>(data).subspan(static_cast<std::size_t>(depth)));
    const int64_t picks =
        element_count(std::span<const int64_t>(indices).first(indices.size() - 1));
    return dispatch_reduction(reduction_, ctx.dtype(0), [&]<class T>() -> Step {
      return [=, reduction = reduction_, add = kernels::binary_add.resolve()](Frame& f) {
        start_from_input<T>(f, total);
        const int64_t* picked = f.in<int64_t>(1);
        const T* updates = f.in<T>(2);
        T* y = f.out<T>(0);
        Checkpoint checkpoint;
        const auto place = [&](int64_t i) {
          checkpoint(kPickWork + inner / 8);
          int64_t offset = 0;
          for (int64_t d = 0; d < depth; ++d)
            offset += checked_index(picked[i * depth + d], sizes[d], d) * strides[d];
          return y + offset;
        };
        if (reduction == Reduction::none) {
          for (int64_t i = 0; i < picks; ++i) copy_run(updates + i * inner, place(i), inner);
          return;
        }
        if constexpr (std::is_same_v<T, float>) {
          if (reduction == Reduction::add) {
            for (int64_t i = 0; i < picks; ++i) {
              T* to = place(i);
              add(to, 1, updates + i * inner, 1, to, static_cast<std::size_t>(inner));
            }
            return;
          }
        }
        with_reduction<T>(reduction, [&](auto&& combine) {
          for (int64_t i = 0; i < picks; ++i) {
            T* to = place(i);
            const T* from = updates + i * inner;
            for (int64_t k = 0; k < inner; ++k) combine(to[k], from[k]);
          }
        });
      };
    });
  }

 private:
  Reduction reduction_;
};

// Writes new positions of a key or value cache in place of old ones.
class TensorScatter final : public Op {
 public:
  explicit TensorScatter(const OpInit& init) : axis_(init.attrs.get("axis", -2)), circular_(false) {
    const std::string mode = init.attrs.get("mode", "linear");
    check(mode == "linear" || mode == "circular", "mode '", mode,
          "' is neither linear nor circular");
    circular_ = mode == "circular";
  }

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(1) == ctx.dtype(0), "update of ", ctx.dtype(1), " for a cache of ",
          ctx.dtype(0));
    if (ctx.has_input(2)) check_indices(ctx, 2);
    ctx.set_output(0, ctx.input(0));
    if (!ctx.has_rank(0) || !ctx.has_rank(1)) return;
    const Dims &cache = ctx.dims(0), &update = ctx.dims(1);
    const int64_t axis = normalize_axis(axis_, ctx.rank(0));
    check(axis != 0, "axis 0 is the batch axis");
    bool fits = cache.size() == update.size();
    for (int64_t i = 0; fits && i < ctx.rank(0); ++i)
      fits = !cache[i].is_known() || !update[i].is_known() ||
             (i == axis ? update[i].value() <= cache[i].value() : update[i] == cache[i]);
    check(fits, "an update of shape ", update, " does not fit a cache of shape ", cache);
    if (ctx.has_input(2) && ctx.has_rank(2)) {
      const Dims& starts = ctx.dims(2);
      check(starts.size() == 1 &&
                (!starts[0].is_known() || !cache[0].is_known() || starts[0] == cache[0]),
            "expected write indices of shape [", cache[0], "], got ", starts);
    }
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t axis = normalize_axis(axis_, static_cast<int64_t>(ctx.shape(0).size()));
    const AxisSplit cache = split_at(ctx.shape(0), axis);
    const int64_t length = ctx.shape(1)[axis], total = ctx.count(0);
    if (total == 0) return [](Frame&) {};
    const int64_t rows_per_batch = cache.outer / ctx.shape(0)[0];
    const bool starts = ctx.has_input(2), wide = starts && ctx.dtype(2) == DType::int64;
    return dispatch_items(ctx.dtype(0), [&]<class T>() -> Step {
      return [=, circular = circular_](Frame& f) {
        start_from_input<T>(f, total);
        const T* update = f.in<T>(1);
        T* y = f.out<T>(0);
        for (int64_t row = 0; row < cache.outer; ++row) {
          int64_t start = starts ? Indices(f, 2, wide)[row / rows_per_batch] : 0;
          check_argument(start >= 0 && (circular || start <= cache.size - length), "write index ",
                         start, " is out of range for ", length, " new and ", cache.size,
                         " positions");
          start %= cache.size;
          const int64_t first = std::min(length, cache.size - start);
          const T* from = update + row * length * cache.inner;
          T* to = y + row * cache.size * cache.inner;
          copy_run(from, to + start * cache.inner, first * cache.inner);
          copy_run(from + first * cache.inner, to, (length - first) * cache.inner);
        }
      };
    });
  }

 private:
  int64_t axis_;
  bool circular_;
};

}  // namespace

[[gnu::cold]] void register_scatter(OpRegistry& ops) {
  ops.add<ScatterElements>("Scatter", {.since = 9, .in_place = 0b1});
  ops.add<ScatterElements>("ScatterElements", {.since = 11, .in_place = 0b1});
  ops.add<ScatterND>("ScatterND", {.since = 11, .in_place = 0b1});
  ops.add<TensorScatter>("TensorScatter", {.since = 24, .in_place = 0b1});
}

}  // namespace sdx::ops
