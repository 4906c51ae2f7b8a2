// 16-bit floats computed in float32, a block at a time on the stack.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/convert.h"

namespace sdx::ops {

inline constexpr std::size_t kHalfBlock = 512;

// How one of the two 16-bit floats converts, its bits as uint16_t.
struct HalfConversion {
  kernels::WidenF16* widen = nullptr;
  kernels::NarrowF32* narrow = nullptr;
};

inline HalfConversion half_conversion(DType dtype) {
  if (dtype == DType::float16)
    return {kernels::f16_to_f32.resolve(), kernels::f32_to_f16.resolve()};
  return {kernels::bf16_to_f32.resolve(), kernels::f32_to_bf16.resolve()};
}

// Calls f(first, n) for blocks of at most kHalfBlock items.
template <class F>
void for_each_half_block(std::size_t count, F&& f) {
  for (std::size_t i = 0; i < count; i += kHalfBlock) f(i, std::min(kHalfBlock, count - i));
}

// y = f(x), where f(block, n) changes floats in place.
template <class F>
void map_halves(const HalfConversion& half, const uint16_t* x, uint16_t* y, std::size_t count,
                F&& f) {
  for_each_half_block(count, [&](std::size_t i, std::size_t n) {
    float block[kHalfBlock];
    half.widen(x + i, block, n);
    f(block, n);
    half.narrow(block, y + i, n);
  });
}

}  // namespace sdx::ops
