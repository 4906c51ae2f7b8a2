// ArgMax and ArgMin.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/reduce.h"
#include "ops/broadcast.h"
#include "ops/checkpoint.h"

namespace sdx::ops {
namespace {

// Whether `item` takes the place of `best`, which stands before it: a NaN beats all numbers.
template <bool kGreatest, bool kLast, class T>
bool beats(T item, T best) {
  const bool ahead = (kGreatest ? item > best : item < best) | ((item != item) & (best == best));
  if constexpr (!kLast) return ahead;
  return ahead | (item == best) | ((item != item) & (best != best));
}

class ArgExtreme final : public Op {
 public:
  explicit ArgExtreme(const OpInit& init)
      : greatest_(init.type == "ArgMax"),
        axis_(init.attrs.get("axis", 0)),
        keep_dims_(init.attrs.get("keepdims", 1) != 0),
        last_(init.attrs.get("select_last_index", 0) != 0) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype) || is_integer(dtype), "element type ", dtype, " is not a number");
    if (!ctx.has_rank(0)) return ctx.set_output(0, DType::int64);
    Dims dims = ctx.dims(0);
    const bool scalar = dims.empty() && (axis_ == 0 || axis_ == -1);
    if (scalar) return ctx.set_output(0, DType::int64, Dims{});
    const auto axis = static_cast<std::size_t>(normalize_axis(axis_, ctx.rank(0)));
    check(dims[axis].value_or(1) > 0, "axis ", axis_, " of shape ", dims, " is empty");
    if (keep_dims_)
      dims[axis] = 1;
    else
      dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
    ctx.set_output(0, DType::int64, std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& shape = ctx.shape(0);
    const AxisSplit block = shape.empty() ? AxisSplit{} : split_at(shape, axis_);
    if (ctx.dtype(0) == DType::float32 && block.inner == 1) {
      const auto run = greatest_ ? kernels::argmax_rows.resolve() : kernels::argmin_rows.resolve();
      const auto tie = last_ ? kernels::ArgTie::last : kernels::ArgTie::first;
      if (block.size > kPiece) return long_rows_step(ctx, block, run);
      return [=, split =
                     split_work(block.outer, 0.3 * static_cast<double>(block.size) + 5)](Frame& f) {
        f.parallel_for(split, [&](Range r) {
          run(f.in<float>(0) + r.begin * block.size, f.out<int64_t>(0) + r.begin,
              static_cast<std::size_t>(r.size()), static_cast<std::size_t>(block.size), tie);
        });
      };
    }
    return dispatch(NumberTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      if (last_)
        return greatest_ ? column_step<T, true, true>(block) : column_step<T, false, true>(block);
      return greatest_ ? column_step<T, true, false>(block) : column_step<T, false, false>(block);
    });
  }

 private:
  // Elements of a row that are looked through in one go.
  static constexpr int64_t kPiece = 1 << 20;

  // Rows so long that each is shared out, and its pieces' extremes are compared.
  Step long_rows_step(PrepareContext& ctx, const AxisSplit& block, kernels::ArgRows* run) const {
    const int64_t pieces = (block.size + kPiece - 1) / kPiece;
    ctx.request_scratch(block.outer * pieces * static_cast<int64_t>(sizeof(int64_t)));
    const auto tie = last_ ? kernels::ArgTie::last : kernels::ArgTie::first;
    const auto ahead = greatest_ ? (last_ ? beats<true, true, float> : beats<true, false, float>)
                                 : (last_ ? beats<false, true, float> : beats<false, false, float>);
    return [=, split = split_work(block.outer * pieces, 0.3 * kPiece)](Frame& f) {
      const float* x = f.in<float>(0);
      int64_t* found = f.scratch<int64_t>();
      f.parallel_for(split, [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int64_t begin = i % pieces * kPiece, size = std::min(kPiece, block.size - begin);
          run(x + i / pieces * block.size + begin, found + i, 1, static_cast<std::size_t>(size),
              tie);
          found[i] += begin;
        }
      });
      if (f.cancelled()) return;
      for (int64_t row = 0; row < block.outer; ++row, x += block.size, found += pieces) {
        int64_t best = found[0];
        for (int64_t i = 1; i < pieces; ++i)
          if (ahead(x[found[i]], x[best])) best = found[i];
        f.out<int64_t>(0)[row] = best;
      }
    };
  }

  // Places are counted in as many bits as elements are compared in: both then fill vectors alike.
  template <class T, bool kGreatest, bool kLast>
  static Step column_step(const AxisSplit& block) {
    using C = ComputeType<T>;
    using Place = std::conditional_t<sizeof(C) == 8, int64_t, int32_t>;
    static constexpr int64_t kTile = 256, kLook = 1024;  // rows between two looks at the time
    if (block.size > std::numeric_limits<Place>::max())
      fail(ErrorKind::unsupported, "an axis of ", block.size, " elements");
    return [block, split = split_work(block.outer * block.inner,
                                      0.7 * static_cast<double>(block.size) + 3, 16)](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        const T* x = f.in<T>(0);
        int64_t* y = f.out<int64_t>(0);
        Watch watch(f);
        for (int64_t begin = r.begin; begin < r.end;) {
          // Results next to each other in one outer block, so many that their extremes fit a tile:
          // rows are read in order.
          const int64_t block_end = (begin / block.inner + 1) * block.inner;
          const int64_t n = std::min({r.end, block_end, begin + kTile}) - begin;
          const T* column =
              x + begin / block.inner * block.size * block.inner + begin % block.inner;
          C best[kTile];
          Place place[kTile];
          for (int64_t i = 0; i < n; ++i) {
            best[i] = column[i];
            place[i] = 0;
          }
          for (int64_t k = 1; k < block.size; ++k) {
            const T* row = column + k * block.inner;
            const auto here = static_cast<Place>(k);
            if (k % kLook == 0 && watch.over(n * kLook)) return;
            for (int64_t i = 0; i < n; ++i) {
              const C item = row[i];
              const bool wins = beats<kGreatest, kLast>(item, best[i]);
              best[i] = wins ? item : best[i];
              place[i] = wins ? here : place[i];
            }
          }
          std::copy_n(place, n, y + begin);
          begin += n;
        }
      });
    };
  }

  bool greatest_;
  int64_t axis_;
  bool keep_dims_, last_;
};

}  // namespace

[[gnu::cold]] void register_argminmax(OpRegistry& ops) {
  ops.add<ArgExtreme>("ArgMax", {});
  ops.add<ArgExtreme>("ArgMin", {});
}

}  // namespace sdx::ops
