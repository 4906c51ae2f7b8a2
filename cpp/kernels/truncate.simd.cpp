// Floats to integers, in loops without branches, which the compiler makes vectors of.
#include "kernels/truncate.h"

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// 2 to the number of bits below the sign.
template <class To>
constexpr double kTop = sizeof(To) == 4 ? 2147483648.0 : 9223372036854775808.0;

template <class To, class From>
SDX_INLINE To truncate(From x) {
  constexpr auto top = static_cast<From>(kTop<To>);
  constexpr To least = static_cast<To>(To{1} << (8 * sizeof(To) - 2)) * -2, most = -(least + 1);
  const bool inside = (x > -top) & (x < top);
  To y = static_cast<To>(inside ? x : From{0});
  y = x >= top ? most : y;
  return x <= -top ? least : y;
}

// The low bits of the 64-bit integer: from 2^31 on floats are multiples of 256, and the largest
// integer, which stands for all from 2^63 on, is odd.
SDX_INLINE uint8_t truncate_to_byte(float x) {
  constexpr auto top = static_cast<float>(kTop<int32_t>), end = static_cast<float>(kTop<int64_t>);
  const bool inside = (x > -top) & (x < top);
  const auto y = static_cast<int32_t>(inside ? x : 0.0f);
  return static_cast<uint8_t>(x >= end ? -1 : y);
}

// Fewer tiers have vectors for 64-bit integers than for 32-bit ones, which hold nearly all numbers
// that are met: blocks of those take this way, others item by item by `any`. Wide is an integer as
// wide as From.
template <class Wide, class To, class From, class Any>
SDX_INLINE void truncate_blocks(const From* x, To* y, std::size_t n, Any any) {
  constexpr std::size_t kBlock = 256;
  constexpr auto top = static_cast<From>(kTop<int32_t>);
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    const std::size_t end = n - begin < kBlock ? n : begin + kBlock;
    Wide outside = 0;
    for (std::size_t i = begin; i < end; ++i) outside |= x[i] > -top && x[i] < top ? 0 : 1;
    if (outside == 0)
      for (std::size_t i = begin; i < end; ++i) y[i] = static_cast<To>(static_cast<int32_t>(x[i]));
    else
      for (std::size_t i = begin; i < end; ++i) y[i] = any(x[i]);
  }
}

}  // namespace

void truncate_f32_to_i32(const float* x, int32_t* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = truncate<int32_t>(x[i]);
}
void truncate_f32_to_i64(const float* x, int64_t* y, std::size_t n) {
  if constexpr (kF32 >= 16)
    for (std::size_t i = 0; i < n; ++i) y[i] = truncate<int64_t>(x[i]);
  else
    truncate_blocks<int32_t>(x, y, n, truncate<int64_t, float>);
}
void truncate_f32_to_byte(const float* x, uint8_t* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = truncate_to_byte(x[i]);
}
void truncate_f64_to_i32(const double* x, int32_t* y, std::size_t n) {
  truncate_blocks<int64_t>(x, y, n, truncate<int32_t, double>);
}
void truncate_f64_to_i64(const double* x, int64_t* y, std::size_t n) {
  if constexpr (kF32 >= 16)
    for (std::size_t i = 0; i < n; ++i) y[i] = truncate<int64_t>(x[i]);
  else
    truncate_blocks<int64_t>(x, y, n, truncate<int64_t, double>);
}
void truncate_f64_to_byte(const double* x, uint8_t* y, std::size_t n) {
  truncate_blocks<int64_t>(x, y, n,
                           [](double v) { return static_cast<uint8_t>(truncate<int64_t>(v)); });
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(truncate_f32_to_i32, TruncateF32ToI32)
SDX_DEFINE_KERNEL(truncate_f32_to_i64, TruncateF32ToI64)
SDX_DEFINE_KERNEL(truncate_f32_to_byte, TruncateF32ToByte)
SDX_DEFINE_KERNEL(truncate_f64_to_i32, TruncateF64ToI32)
SDX_DEFINE_KERNEL(truncate_f64_to_i64, TruncateF64ToI64)
SDX_DEFINE_KERNEL(truncate_f64_to_byte, TruncateF64ToByte)

}  // namespace sdx::kernels
