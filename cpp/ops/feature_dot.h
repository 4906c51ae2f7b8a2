// Rows of features in the type a model computes in, and products with coefficients.
#pragma once

#include "base/checked.h"
#include "ops/classifier.h"

namespace sdx::ops {

// Input `input` as rows of T. Asks for scratch: `own` items of T for the caller at its beginning,
// then room for converted features.
template <class T>
class Features {
 public:
  Features(PrepareContext& ctx, int input, int64_t own)
      : input_(input), own_(own), item_(static_cast<int64_t>(item_size(ctx.dtype(input)))) {
    int64_t converted = 0;
    if (ctx.dtype(input) != dtype_of<T>) {
      convert_ = convert_features<T>(ctx.dtype(input));
      converted = ctx.count(input);
    }
    ctx.request_scratch(checked_mul(checked_add(own, converted), sizeof(T)));
  }

  // Rows [begin, end), converted now where they must be.
  const T* rows(const Frame& f, Range range, int64_t columns) const {
    const auto* given = f.in<std::byte>(input_) + range.begin * columns * item_;
    if (!convert_) return reinterpret_cast<const T*>(given);
    T* converted = f.scratch<T>() + own_ + range.begin * columns;
    convert_(given, converted, range.size() * columns);
    return converted;
  }

 private:
  int input_;
  int64_t own_;
  int64_t item_;
  ConvertFeatures<T> convert_ = nullptr;
};

// Several sums run side by side: shorter chains, smaller rounding errors.
template <class T, class U>
T feature_dot(const T* x, const U* y, int64_t count) {
  constexpr int64_t kLanes = 8;
  T sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      sums[lane] += x[i + lane] * static_cast<T>(y[i + lane]);
  T sum = 0;
  for (; i < count; ++i) sum += x[i] * static_cast<T>(y[i]);
  for (const T lane : sums) sum += lane;
  return sum;
}

}  // namespace sdx::ops
