// Unique. Its results are sized in the run.
#include <algorithm>
#include <bit>
#include <functional>
#include <string_view>
#include <vector>

#include "ops/axes.h"
#include "ops/checkpoint.h"
#include "ops/complex_types.h"
#include "ops/counted_vector.h"
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

// The same for all that compare as equal.
template <class T>
uint64_t hash(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return std::hash<std::string_view>{}(value);
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<uint64_t>(value);
  } else {
    const auto number = static_cast<double>(static_cast<ComputeType<T>>(value));
    if (number != number) return ~uint64_t{0};
    return number == 0 ? 0 : std::bit_cast<uint64_t>(number);
  }
}

template <class R>
uint64_t hash(const std::complex<R>& value) {
  return hash(value.real()) ^ std::rotl(hash(value.imag()), 17);
}

// Slices along an axis, grouped by what they hold.
struct Groups {
  CountedVector<int64_t> first;    // of each group: its lowest slice
  CountedVector<int64_t> count;    // of each group
  CountedVector<int64_t> inverse;  // of each slice: its group
};

template <class T>
class Slices {
 public:
  Slices(const T* x, const AxisSplit& split) : x_(x), split_(split) {}

  // In the order of the values.
  Groups sorted() {
    Groups found = in_order_of_occurrence();
    CountedVector<int64_t> order(found.first.size()), place(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
    std::sort(order.begin(), order.end(),
              [&](int64_t a, int64_t b) { return order_of(found.first[a], found.first[b]) < 0; });
    Groups groups;
    for (std::size_t i = 0; i < order.size(); ++i) {
      checkpoint_(kSlotWork);
      groups.first.push_back(found.first[order[i]]);
      groups.count.push_back(found.count[order[i]]);
      place[order[i]] = static_cast<int64_t>(i);
    }
    for (int64_t& group : found.inverse) {
      checkpoint_(kSlotWork);
      group = place[group];
    }
    groups.inverse = std::move(found.inverse);
    return groups;
  }

  Groups in_order_of_occurrence() {
    Groups groups;
    groups.inverse.reserve(static_cast<std::size_t>(split_.size));
    slots_.assign(kLeastSlots, -1);
    // The code of a single number is as good as the number itself.
    const bool exact = std::is_arithmetic_v<T> && split_.outer * split_.inner == 1;
    for (int64_t slice = 0; slice < split_.size; ++slice) {
      const uint64_t code = code_of(slice);
      const auto differs = [&](int64_t group) {
        return codes_[group] != code || (!exact && order_of(slice, groups.first[group]) != 0);
      };
      std::size_t at = place_of(code);
      while (slots_[at] >= 0 && differs(slots_[at])) at = (at + 1) & (slots_.size() - 1);
      if (slots_[at] < 0) {
        slots_[at] = static_cast<int64_t>(groups.first.size());
        groups.first.push_back(slice);
        groups.count.push_back(0);
        codes_.push_back(code);
      }
      const int64_t group = slots_[at];
      ++groups.count[group];
      groups.inverse.push_back(group);
      if (2 * groups.first.size() > slots_.size()) double_slots();
    }
    return groups;
  }

 private:
  static constexpr std::size_t kLeastSlots = 64;  // a power of two
  static constexpr int64_t kSlotWork = 10;        // nanoseconds

  int order_of(int64_t a, int64_t b) {
    constexpr int64_t kCompareWork = 10;
    checkpoint_(kCompareWork);
    for (int64_t o = 0; o < split_.outer; ++o)
      for (int64_t i = 0; i < split_.inner; ++i)
        if (const int c = compare(at(o, a, i), at(o, b, i))) return c;
    return 0;
  }

  uint64_t code_of(int64_t slice) {
    constexpr int64_t kHashWork = 2;
    checkpoint_(kHashWork * split_.outer * split_.inner);
    if (split_.outer * split_.inner == 1) return mixed(hash(x_[slice]));
    uint64_t code = 0;
    for (int64_t o = 0; o < split_.outer; ++o)
      for (int64_t i = 0; i < split_.inner; ++i)
        code = mixed(std::rotl(code, 23) ^ hash(at(o, slice, i)));
    return code;
  }

  // Different for different codes.
  static uint64_t mixed(uint64_t code) {
    code *= 0x9E3779B97F4A7C15u;
    return code ^ code >> 32;
  }

  const T& at(int64_t o, int64_t slice, int64_t i) const {
    return x_[(o * split_.size + slice) * split_.inner + i];
  }
  std::size_t place_of(uint64_t code) const { return code & (slots_.size() - 1); }

  void double_slots() {
    slots_.assign(2 * slots_.size(), -1);
    for (std::size_t group = 0; group < codes_.size(); ++group) {
      checkpoint_(kSlotWork);
      std::size_t at = place_of(codes_[group]);
      while (slots_[at] >= 0) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = static_cast<int64_t>(group);
    }
  }

  const T* x_;
  AxisSplit split_;
  Checkpoint checkpoint_;
  CountedVector<int64_t> slots_;   // groups by the code of their value, -1 where there is none
  CountedVector<uint64_t> codes_;  // of each group
};

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
        Slices<T> slices(x, split);
        const Groups groups = sorted ? slices.sorted() : slices.in_order_of_occurrence();
        Shape result = shape;
        result[axis] = static_cast<int64_t>(groups.first.size());
        Tensor output = f.allocate_output(0, dtype, result);
        T* y = static_cast<T*>(output.raw());
        Checkpoint checkpoint;
        for (int64_t o = 0; o < split.outer; ++o)
          for (const int64_t slice : groups.first) {
            checkpoint(1 + split.inner);
            copy_run(x + (o * split.size + slice) * split.inner, y, split.inner);
            y += split.inner;
          }
        f.set_output(1, tensor_of(groups.first));
        f.set_output(2, tensor_of(groups.inverse));
        f.set_output(3, tensor_of(groups.count));
      };
    };
    return dispatch(RealComplexAndStringTypes{}, dtype, make);
  }

 private:
  std::optional<int64_t> axis_;
  bool sorted_;
};

}  // namespace

[[gnu::cold]] void register_unique(OpRegistry& ops) { ops.add<Unique>("Unique", {.since = 11}); }

}  // namespace sdx::ops
