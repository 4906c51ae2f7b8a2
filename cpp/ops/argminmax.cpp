// ArgMax and ArgMin.
#include <algorithm>

#include "kernels/reduce.h"
#include "ops/broadcast.h"

namespace sdx::ops {
namespace {

// Whether `item` takes the place of `best`, which stands before it: a NaN beats all numbers.
template <class T>
bool beats(T item, T best, bool greatest, bool last) {
  const bool ahead = greatest ? item > best : item < best;
  const bool level = item == best || (item != item && best != best);
  return ahead | (level & last) | ((item != item) & (best == best));
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
      return [=, split =
                     split_work(block.outer, 0.3 * static_cast<double>(block.size) + 5)](Frame& f) {
        f.parallel_for(split, [&](Range r) {
          run(f.in<float>(0) + r.begin * block.size, f.out<int64_t>(0) + r.begin,
              static_cast<std::size_t>(r.size()), static_cast<std::size_t>(block.size), tie);
        });
      };
    }
    return dispatch(NumberTypes{}, ctx.dtype(0),
                    [&]<class T>() -> Step { return column_step<T>(block); });
  }

 private:
  template <class T>
  Step column_step(const AxisSplit& block) const {
    using C = ComputeType<T>;
    static constexpr int64_t kTile = 256;
    return [block, greatest = greatest_, last = last_,
            split = split_work(block.outer * block.inner, 1.5 * static_cast<double>(block.size) + 3,
                               16)](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        const T* x = f.in<T>(0);
        int64_t* y = f.out<int64_t>(0);
        for (int64_t begin = r.begin; begin < r.end;) {
          // Results next to each other in one outer block, so many that their extremes fit a tile:
          // rows are read in order.
          const int64_t block_end = (begin / block.inner + 1) * block.inner;
          const int64_t n = std::min({r.end, block_end, begin + kTile}) - begin;
          const T* column =
              x + begin / block.inner * block.size * block.inner + begin % block.inner;
          C best[kTile];
          for (int64_t i = 0; i < n; ++i) {
            best[i] = column[i];
            y[begin + i] = 0;
          }
          for (int64_t k = 1; k < block.size; ++k) {
            const T* row = column + k * block.inner;
            for (int64_t i = 0; i < n; ++i) {
              const C item = row[i];
              const bool wins = beats(item, best[i], greatest, last);
              best[i] = wins ? item : best[i];
              y[begin + i] = wins ? k : y[begin + i];
            }
          }
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

void register_argminmax(OpRegistry& ops) {
  ops.add<ArgExtreme>("ArgMax", {});
  ops.add<ArgExtreme>("ArgMin", {});
}

}  // namespace sdx::ops
