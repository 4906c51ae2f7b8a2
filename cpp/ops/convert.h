// Conversion of elements between any two types that Cast allows.
#pragma once

#include <cstddef>
#include <functional>

#include "base/frame.h"
#include "ops/small_float.h"

namespace sdx::ops {

// What only small floats ask about.
struct ConvertOptions {
  bool saturate = true;
  SmallFloatMode mode = SmallFloatMode::up;
  bool nan_is_largest = false;  // where the type has no NaN, instead of a zero
};

// A loop over n items that do not overlap, and nanoseconds an item.
struct Conversion {
  std::function<void(const void* from, void* to, std::size_t n)> run;
  double cost = 0.4;
};

// Throws `unsupported` where there is none. Both types may be the same.
Conversion conversion(DType from, DType to, const ConvertOptions& options = {});

}  // namespace sdx::ops
