// Unique. Its results are sized in the run.
#include <algorithm>
#include <complex>
#include <vector>

#include "ops/axes.h"
#include "ops/checkpoint.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

// Negative, zero or positive; NaN is above all numbers and equal to itself.
template <class T>
int compare(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, std::string>) {
    return a.compare(b);
  } else {
    using C = ComputeType<T>;
    const C x = static_cast<C>(a), y = static_cast<C>(b);
    if (x != x || y != y) return (x != x) - (y != y);
    return (x > y) - (x < y);
  }
}

// By real part, then by imaginary part, as NumPy does.
template <class R>
int compare(const std::complex<R>& a, const std::complex<R>& b) {
  const int c = compare(a.real(), b.real());
  return c ? c : compare(a.imag(), b.imag());
}

// Slices along an axis, grouped by what they hold.
struct Groups {
  std::vector<int64_t> first;    // of each group: its lowest slice
  std::vector<int64_t> count;    // of each group
  std::vector<int64_t> inverse;  // of each slice: its group
};

template <class T>
Groups group_slices(const T* x, const AxisSplit& split, bool sorted) {
  const auto [outer, size, inner] = split;
  Checkpoint checkpoint;
  const auto order_of = [&](int64_t a, int64_t b) {
    constexpr int64_t kCompareWork = 10;
    checkpoint(kCompareWork);
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i)
        if (const int c = compare(x[(o * size + a) * inner + i], x[(o * size + b) * inner + i]))
          return c;
    return 0;
  };
  std::vector<int64_t> slices(static_cast<std::size_t>(size));
  for (int64_t i = 0; i < size; ++i) slices[i] = i;
  std::stable_sort(slices.begin(), slices.end(),
                   [&](int64_t a, int64_t b) { return order_of(a, b) < 0; });
  Groups groups;
  groups.inverse.resize(slices.size());
  for (std::size_t i = 0; i < slices.size(); ++i) {
    if (i == 0 || order_of(slices[i - 1], slices[i]) != 0) {
      groups.first.push_back(slices[i]);
      groups.count.push_back(0);
    }
    ++groups.count.back();
    groups.inverse[slices[i]] = static_cast<int64_t>(groups.first.size()) - 1;
  }
  if (sorted) return groups;
  // In order of first occurrence.
  std::vector<int64_t> order(groups.first.size()), place(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return groups.first[a] < groups.first[b]; });
  Groups ordered;
  for (std::size_t i = 0; i < order.size(); ++i) {
    ordered.first.push_back(groups.first[order[i]]);
    ordered.count.push_back(groups.count[order[i]]);
    place[order[i]] = static_cast<int64_t>(i);
  }
  for (const int64_t group : groups.inverse) ordered.inverse.push_back(place[group]);
  return ordered;
}

class Unique final : public Op {
 public:
  explicit Unique(const OpInit& init) : sorted_(init.attrs.get("sorted", 1) != 0) {
    if (init.attrs.has("axis")) axis_ = init.attrs.get("axis", 0);
  }

  void infer(InferContext& ctx) const override {
    if (!axis_) {
      ctx.set_output(0, ctx.dtype(0), {Dim::unknown()});
    } else if (ctx.has_rank(0)) {
      Dims dims = ctx.dims(0);
      dims[normalize_axis(*axis_, ctx.rank(0))] = Dim::unknown();
      ctx.set_output(0, ctx.dtype(0), std::move(dims));
    } else {
      ctx.set_output(0, ctx.dtype(0));
    }
    for (int i = 1; i < 4; ++i) ctx.set_output(i, DType::int64, {Dim::unknown()});
  }

  Step prepare(PrepareContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    const Shape shape = axis_ ? ctx.shape(0) : Shape{ctx.count(0)};
    const int64_t axis = normalize_axis(axis_.value_or(0), static_cast<int64_t>(shape.size()));
    const auto make = [&]<class T>() -> Step {
      return [=, sorted = sorted_](Frame& f) {
        const AxisSplit split = split_at(shape, axis);
        const T* x = f.in<T>(0);
        const Groups groups = group_slices(x, split, sorted);
        Shape result = shape;
        result[axis] = static_cast<int64_t>(groups.first.size());
        Tensor output = f.allocate_output(0, dtype, result);
        T* y = static_cast<T*>(output.raw());
        for (int64_t o = 0; o < split.outer; ++o)
          for (const int64_t slice : groups.first) {
            copy_run(x + (o * split.size + slice) * split.inner, y, split.inner);
            y += split.inner;
          }
        f.set_output(1, Tensor::of(groups.first));
        f.set_output(2, Tensor::of(groups.inverse));
        f.set_output(3, Tensor::of(groups.count));
      };
    };
    if (dtype == DType::string) return make.template operator()<std::string>();
    if (dtype == DType::complex64) return make.template operator()<std::complex<float>>();
    if (dtype == DType::complex128) return make.template operator()<std::complex<double>>();
    return dispatch(NumberAndBoolTypes{}, dtype, make);
  }

 private:
  std::optional<int64_t> axis_;
  bool sorted_;
};

}  // namespace

void register_unique(OpRegistry& ops) { ops.add<Unique>("Unique", {.since = 11}); }

}  // namespace sdx::ops
