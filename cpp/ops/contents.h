// Shape arithmetic of elementwise operators: small integer tensors whose elements are symbols.
#pragma once

#include <optional>

#include "ir/op.h"

namespace sdx::ops {

// Sets the elements of output 0 to f(a, b, ...) of the elements of all inputs, which are scalars or
// vectors and broadcast. f takes one Dim an input and returns std::optional<Dim>; nothing leaves
// the elements unknown.
template <int N, class F>
void set_elementwise_contents(InferContext& ctx, F&& f) {
  std::optional<Dims> operands[N];
  std::size_t count = 1;
  for (int i = 0; i < N; ++i) {
    if (!ctx.has_rank(i) || ctx.rank(i) > 1) return;
    operands[i] = ctx.contents(i);
    if (!operands[i]) return;
    if (operands[i]->size() == 1) continue;
    if (count != 1 && count != operands[i]->size()) return;
    count = operands[i]->size();
  }
  Dims result;
  for (std::size_t i = 0; i < count; ++i) {
    const auto at = [&](int k) -> const Dim& {
      return (*operands[k])[operands[k]->size() == 1 ? 0 : i];
    };
    std::optional<Dim> item;
    if constexpr (N == 1)
      item = f(at(0));
    else if constexpr (N == 2)
      item = f(at(0), at(1));
    else
      item = f(at(0), at(1), at(2));
    if (!item) return;
    result.push_back(std::move(*item));
  }
  ctx.set_contents(0, std::move(result));
}

// A number as an element of an integer type keeps it.
inline int64_t wrap(int64_t value, DType dtype) {
  return dtype == DType::int32 ? static_cast<int32_t>(value) : value;
}

}  // namespace sdx::ops
