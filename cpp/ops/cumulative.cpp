// CumSum and CumProd.
#include <algorithm>
#include <type_traits>

#include "base/interrupt.h"
#include "kernels/binary.h"
#include "ops/axes.h"
#include "ops/broadcast.h"

namespace sdx::ops {
namespace {

class Cumulative final : public Op {
 public:
  explicit Cumulative(const OpInit& init)
      : product_(init.type == "CumProd"),
        exclusive_(init.attrs.get("exclusive", 0) != 0),
        reverse_(init.attrs.get("reverse", 0) != 0) {
    check(init.input_count == 2, "expected 2 inputs, got ", init.input_count);
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype) || is_integer(dtype), "element type ", dtype, " is not a number");
    check_indices(ctx, 1);
    if (const auto axis = ctx.integers(1)) {
      check(axis->size() == 1, "expected one axis, got ", axis->size());
      if (ctx.has_rank(0)) normalize_axis((*axis)[0], ctx.rank(0));
    } else {
      ctx.defer();
    }
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const AxisSplit block = split_at(ctx.shape(0), known_integers(ctx, 1)[0]);
    const auto make = [&]<class T>() -> Step {
      return product_ ? step<T, true>(block) : step<T, false>(block);
    };
    // Integers wrap, signed or not.
    if (is_integer(ctx.dtype(0))) return dispatch_size(item_size(ctx.dtype(0)), make);
    return dispatch(FloatTypes{}, ctx.dtype(0), make);
  }

 private:
  template <class T, bool kProduct>
  Step step(const AxisSplit& block) const {
    // Columns that lie next to each other go down by vectors: many of them share a chunk.
    const bool by_vectors = std::is_same_v<T, float> && !exclusive_ && block.inner > 1;
    const double cost = (by_vectors ? 0.15 : 1.2) * static_cast<double>(block.size) + 3;
    const int64_t grain = by_vectors ? 128 : 16;
    const auto combine = (kProduct ? kernels::binary_mul : kernels::binary_add).resolve();
    return [block, combine, exclusive = exclusive_, reverse = reverse_,
            split = split_work(block.outer * block.inner, cost, grain)](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        if (block.inner == 1 && block.size <= kShortLine) {
          accumulate_short<T, kProduct>(f.in<T>(0) + r.begin * block.size,
                                        f.out<T>(0) + r.begin * block.size, r.size(), block.size,
                                        exclusive, reverse);
          return;
        }
        if (block.inner == 1) {
          for (int64_t i = r.begin * block.size; i < r.end * block.size; i += block.size)
            accumulate_line<T, kProduct>(f.in<T>(0) + i, f.out<T>(0) + i, block, exclusive,
                                         reverse);
          return;
        }
        for (int64_t i = r.begin; i < r.end;) {
          // Columns next to each other in one outer block: rows are read in order.
          const int64_t block_end = (i / block.inner + 1) * block.inner;
          const int64_t columns = std::min({r.end, block_end, i + kTile}) - i;
          const int64_t first = i / block.inner * block.size * block.inner + i % block.inner;
          if constexpr (std::is_same_v<T, float>) {
            if (!exclusive && columns > 1) {
              combine_rows(combine, f.in<T>(0) + first, f.out<T>(0) + first, block, columns,
                           reverse);
              i += columns;
              continue;
            }
          }
          accumulate<T, kProduct>(f.in<T>(0) + first, f.out<T>(0) + first, block, columns,
                                  exclusive, reverse);
          i += columns;
        }
      });
    };
  }

  // What totals are kept in: 16-bit floats in float32, integers where they wrap.
  template <class T, bool = std::is_integral_v<T>>
  struct TotalOf {
    using type = ComputeType<T>;
  };
  template <class T>
  struct TotalOf<T, true> {
    using type = std::common_type_t<T, unsigned>;
  };

  static constexpr int64_t kTile = 256;
  static constexpr int64_t kShortLine = 16;
  // Elements between two looks at the time.
  static constexpr int64_t kBlock = 1 << 20;

  // Every row is the one before it and what it has of its own.
  static void combine_rows(kernels::BinaryF32* combine, const float* x, float* y,
                           const AxisSplit& block, int64_t columns, bool reverse) {
    const float* before = nullptr;
    for (int64_t k = 0; k < block.size; ++k) {
      const int64_t at = (reverse ? block.size - 1 - k : k) * block.inner;
      if (before)
        combine(before, 1, x + at, 1, y + at, static_cast<std::size_t>(columns));
      else if (x != y)
        std::copy_n(x + at, columns, y + at);
      before = y + at;
    }
  }

  // y is the total so far, of x too unless it excludes what it stands at.
  template <class T, bool kProduct>
  static void add(typename TotalOf<T>::type& total, const T& x, T& y, bool exclusive) {
    const auto before = total;
    const auto item = static_cast<typename TotalOf<T>::type>(x);
    total = kProduct ? total * item : total + item;
    y = static_cast<T>(exclusive ? before : total);
  }

  template <class T, bool kProduct>
  static void accumulate_line(const T* x, T* y, const AxisSplit& block, bool exclusive,
                              bool reverse) {
    typename TotalOf<T>::type total = kProduct ? 1 : 0;
    const int64_t first = reverse ? block.size - 1 : 0, step = reverse ? -block.inner : block.inner;
    x += first * block.inner;
    y += first * block.inner;
    for (int64_t left = block.size; left > 0 && (left <= kBlock || !Interrupt::due());) {
      const int64_t count = std::min(left, kBlock);
      for (int64_t k = 0; k < count; ++k, x += step, y += step)
        add<T, kProduct>(total, *x, *y, exclusive);
      left -= count;
    }
  }

  // Lines of few items, one after the other.
  template <class T, bool kProduct>
  static void accumulate_short(const T* x, T* y, int64_t lines, int64_t size, bool exclusive,
                               bool reverse) {
    const int64_t first = reverse ? size - 1 : 0, step = reverse ? -1 : 1;
    for (int64_t i = 0; i < lines; ++i, x += size, y += size) {
      typename TotalOf<T>::type total = kProduct ? 1 : 0;
      for (int64_t k = 0, at = first; k < size; ++k, at += step)
        add<T, kProduct>(total, x[at], y[at], exclusive);
    }
  }

  template <class T, bool kProduct>
  static void accumulate(const T* x, T* y, const AxisSplit& block, int64_t columns, bool exclusive,
                         bool reverse) {
    if (columns == 1) return accumulate_line<T, kProduct>(x, y, block, exclusive, reverse);
    typename TotalOf<T>::type totals[kTile];
    std::fill_n(totals, columns, kProduct ? 1 : 0);
    for (int64_t k = 0; k < block.size; ++k) {
      const int64_t row = (reverse ? block.size - 1 - k : k) * block.inner;
      for (int64_t i = 0; i < columns; ++i)
        add<T, kProduct>(totals[i], x[row + i], y[row + i], exclusive);
    }
  }

  bool product_, exclusive_, reverse_;
};

}  // namespace

[[gnu::cold]] void register_cumulative(OpRegistry& ops) {
  ops.add<Cumulative>("CumSum", {.since = 11, .in_place = 0b1});
  ops.add<Cumulative>("CumProd", {.since = 26, .in_place = 0b1});
}

}  // namespace sdx::ops
