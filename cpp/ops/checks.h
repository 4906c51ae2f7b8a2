// Checks of inputs that many operators share; what is left out or not known yet passes.
#pragma once

#include "ir/op.h"

namespace sdx::ops {

// Nothing known contradicts that they are equal.
inline bool may_equal(const Dim& a, const Dim& b) {
  return !a.is_known() || !b.is_known() || a == b;
}

inline bool may_equal(const Dims& a, const Dims& b) {
  bool result = a.size() == b.size();
  for (std::size_t i = 0; result && i < a.size(); ++i) result = may_equal(a[i], b[i]);
  return result;
}

// Inputs from `first` on are of this element type.
inline void check_dtypes(const InferContext& ctx, DType dtype, int first = 1) {
  for (int i = first; i < ctx.input_count(); ++i)
    if (ctx.has_input(i))
      check(ctx.dtype(i) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(i));
}

// Inputs [first, last) are there.
inline void check_given(const InferContext& ctx, int first, int last) {
  for (int i = first; i < last; ++i) ctx.facts(i);
}

inline void check_all_floats(const InferContext& ctx) {
  for (int i = 0; i < ctx.input_count(); ++i)
    if (ctx.has_input(i))
      check(is_float(ctx.dtype(i)), "expected a float input, got ", ctx.dtype(i));
}

inline void check_rank(const InferContext& ctx, int i, int64_t rank) {
  if (ctx.has_input(i) && ctx.has_rank(i))
    check(ctx.rank(i) == rank, "input ", i, " has rank ", ctx.rank(i), ", expected ", rank);
}

// Input i is a vector of `size`.
inline void check_vector(const InferContext& ctx, int i, const Dim& size) {
  if (!ctx.has_input(i) || !ctx.has_rank(i)) return;
  const Dims& dims = ctx.dims(i);
  check(dims.size() == 1 && may_equal(dims[0], size), "input ", i, " has shape ", dims,
        ", expected [", size, "]");
}

}  // namespace sdx::ops
