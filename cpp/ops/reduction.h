// Reductions over any axes as a few passes over one axis each.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/dtype.h"
#include "base/frame.h"

namespace sdx::ops {

// How elements join, and what is done to each of them first.
enum class Reduction : uint8_t { sum, sum_square, l1, prod, max, min, log_sum_exp };
// What is done to a result.
enum class Finish : uint8_t { none, mean, sqrt, log };

// One axis of size n of [outer, n, inner] becomes blocks of `block` each (the last may be shorter):
// the result is [outer, blocks, inner].
struct ReducePass {
  int64_t outer = 1, n = 1, inner = 1;
  int64_t block = 1, blocks = 1;
  int64_t results() const { return outer * blocks * inner; }
};

// A reduction ready to run on elements of one type.
struct ReducePlan {
  std::vector<ReducePass> passes;  // at least one
  Finish finish = Finish::none;
  int64_t reduced = 1;  // elements that make one result

  // Elements of all but the last pass's results.
  int64_t scratch_items() const;
};

// `reduced` says of each axis of `shape` whether it is reduced.
ReducePlan plan_reduction(const Shape& shape, const std::vector<bool>& reduced, Finish finish);

// Runs the plan from x to y, with room for scratch_items() items.
using ReduceRun = std::function<void(const Frame& f, const void* x, void* y, void* scratch)>;

// For float32, float64, integers and bool (max and min only); log_sum_exp and any finish are for
// floats.
ReduceRun reduce_run(Reduction reduction, DType dtype, ReducePlan plan);

}  // namespace sdx::ops
