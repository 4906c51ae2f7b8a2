// ScatterElements (and its old name Scatter), ScatterND, TensorScatter.
#include <functional>

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

// Nanoseconds that an element takes whose place is looked up, and elements placed at once.
constexpr int64_t kPickWork = 4, kTile = 512;

// What moves the elements of a type.
struct Items {
  int64_t bytes = 0;
  double cost = 0;
  void (*copy)(const void* from, void* to, int64_t count) = nullptr;
};

Items items_of(DType dtype) {
  return dispatch_items(dtype, []<class T>() -> Items {
    return {sizeof(T), move_cost<T>(), [](const void* from, void* to, int64_t count) {
              copy_run(static_cast<const T*>(from), static_cast<T*>(to), count);
            }};
  });
}

// How an element there, which comes first, meets one that is scattered. Min and max keep a NaN,
// whichever side it is on.
struct Replace {
  template <class T>
  static void meet(T& to, const T& from) {
    to = from;
  }
};
template <class F>
struct Reduce {
  template <class T>
  static void meet(T& to, const T& from) {
    using C = ComputeType<T>;
    to = static_cast<T>(F{}(static_cast<C>(to), static_cast<C>(from)));
  }
};
struct Least {
  template <class C>
  C operator()(const C& a, const C& b) const {
    return a == a && (comes_before(b, a) || b != b) ? b : a;
  }
};
struct Greatest {
  template <class C>
  C operator()(const C& a, const C& b) const {
    return a == a && (comes_before(a, b) || b != b) ? b : a;
  }
};

// `count` elements that meet those `offsets` from `to`, or, where there are none, one after
// another.
using Scatter = void(void* to, const int64_t* offsets, const void* from, int64_t count);

template <class T, class Meeting>
void scatter_items(void* to, const int64_t* offsets, const void* from, int64_t count) {
  T* y = static_cast<T*>(to);
  const T* x = static_cast<const T*>(from);
  if (offsets)
    for (int64_t i = 0; i < count; ++i) Meeting::meet(y[offsets[i]], x[i]);
  else
    for (int64_t i = 0; i < count; ++i) Meeting::meet(y[i], x[i]);
}

template <class T>
Scatter* scatter_by(Reduction reduction) {
  switch (reduction) {
    case Reduction::add:
      return &scatter_items<T, Reduce<std::plus<>>>;
    case Reduction::mul:
      if constexpr (!std::is_same_v<T, std::string>)  // check_reduction refuses it
        return &scatter_items<T, Reduce<std::multiplies<>>>;
      return nullptr;
    case Reduction::min:
      return &scatter_items<T, Reduce<Least>>;
    default:
      return &scatter_items<T, Reduce<Greatest>>;
  }
}

Scatter* choose_scatter(Reduction reduction, DType dtype) {
  if (reduction == Reduction::none)
    return dispatch_items(dtype, []<class T>() -> Scatter* { return &scatter_items<T, Replace>; });
  return dispatch(RealComplexAndStringTypes{}, dtype,
                  [&]<class T>() -> Scatter* { return scatter_by<T>(reduction); });
}

// Starts output 0 as a copy of input 0.
void start_from_input(const Frame& f, const Items& items, int64_t count) {
  const std::byte* x = f.in<std::byte>(0);
  std::byte* y = f.out<std::byte>(0);
  if (x == y) return;
  f.parallel_for(split_work(count, items.cost), [&](Range r) {
    items.copy(x + r.begin * items.bytes, y + r.begin * items.bytes, r.size());
  });
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
    return [=, items = items_of(ctx.dtype(0)),
            scatter = choose_scatter(reduction_, ctx.dtype(0))](Frame& f) {
      start_from_input(f, items, total);
      if (count == 0) return;
      const Indices indices(f, 1, wide);
      const std::byte* updates = f.in<std::byte>(2);
      std::byte* y = f.out<std::byte>(0);
      const auto last = static_cast<int64_t>(picks.size()) - 1;
      const int64_t width = last < 0 ? 1 : picks[last];
      const int64_t step = last == axis ? 0 : 1, pick_step = strides[axis];
      Checkpoint checkpoint;
      Shape at(picks.size(), 0);
      int64_t offsets[kTile];
      int64_t base = 0, column = 0;
      for (int64_t first = 0; first < count;) {
        const int64_t size_of_tile = std::min(kTile, count - first);
        checkpoint(kPickWork * size_of_tile);
        for (int64_t placed = 0; placed < size_of_tile;) {
          const int64_t end = placed + std::min(size_of_tile - placed, width - column);
          for (; placed < end; ++placed, ++column)
            offsets[placed] = base + column * step +
                              checked_index(indices[first + placed], size, axis) * pick_step;
          if (column < width) break;
          column = 0;
          for (int64_t d = last; d-- > 0;) {
            const int64_t stride = d == axis ? 0 : strides[d];
            base += stride;
            if (++at[d] < picks[d]) break;
            base -= stride * picks[d];
            at[d] = 0;
          }
        }
        scatter(y, offsets, updates + first * items.bytes, size_of_tile);
        first += size_of_tile;
      }
    };
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
    const DType dtype = ctx.dtype(0);
    const bool replaces = reduction_ == Reduction::none;
    const bool by_kernel = dtype == DType::float32 && reduction_ == Reduction::add;
    return [=, items = items_of(dtype), scatter = choose_scatter(reduction_, dtype),
            add = by_kernel ? kernels::binary_add.resolve() : nullptr](Frame& f) {
      start_from_input(f, items, total);
      const int64_t* picked = f.in<int64_t>(1);
      const std::byte* from = f.in<std::byte>(2);
      std::byte* y = f.out<std::byte>(0);
      Checkpoint checkpoint;
      int64_t offsets[kTile];
      for (int64_t i = 0; i < picks;) {
        // Single elements meet a tile at a time.
        const int64_t tile = inner == 1 ? std::min(kTile, picks - i) : 1;
        checkpoint(tile * (kPickWork + inner / 8));
        for (int64_t k = 0; k < tile; ++k, ++i) {
          offsets[k] = 0;
          for (int64_t d = 0; d < depth; ++d)
            offsets[k] += checked_index(picked[i * depth + d], sizes[d], d) * strides[d];
        }
        std::byte* to = y + offsets[0] * items.bytes;
        if (inner == 1) {
          scatter(y, offsets, from, tile);
        } else if (replaces) {
          items.copy(from, to, inner);
        } else if (add) {
          auto* sums = reinterpret_cast<float*>(to);
          add(sums, 1, reinterpret_cast<const float*>(from), 1, sums,
              static_cast<std::size_t>(inner));
        } else {
          scatter(to, nullptr, from, inner);
        }
        from += tile * inner * items.bytes;
      }
    };
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
    return [=, circular = circular_, items = items_of(ctx.dtype(0))](Frame& f) {
      start_from_input(f, items, total);
      const std::byte* update = f.in<std::byte>(1);
      std::byte* y = f.out<std::byte>(0);
      const int64_t position = cache.inner * items.bytes;
      for (int64_t row = 0; row < cache.outer; ++row) {
        int64_t start = starts ? Indices(f, 2, wide)[row / rows_per_batch] : 0;
        check_argument(start >= 0 && (circular || start <= cache.size - length), "write index ",
                       start, " is out of range for ", length, " new and ", cache.size,
                       " positions");
        start %= cache.size;
        const int64_t first = std::min(length, cache.size - start);
        const std::byte* from = update + row * length * position;
        std::byte* to = y + row * cache.size * position;
        items.copy(from, to + start * position, first * cache.inner);
        items.copy(from + first * position, to, (length - first) * cache.inner);
      }
    };
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
