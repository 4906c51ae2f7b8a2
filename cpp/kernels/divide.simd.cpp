// Quotients of 32-bit integers by way of doubles, of which there are vectors: a quotient that is
// not whole lies further from the next whole one than doubles are apart, so that its integer part
// is right.
#include "kernels/divide.h"

#include "kernels/simd/pairs.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

SDX_INLINE int32_t multiply(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
}
SDX_INLINE int32_t subtract(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
}

SDX_INLINE int32_t divide(int32_t a, int32_t b) {
  const int32_t divisor = (b == 0) | (b == -1) ? 1 : b;
  const auto quotient = static_cast<int32_t>(static_cast<double>(a) / static_cast<double>(divisor));
  const int32_t wrapped = b == -1 ? subtract(0, a) : quotient;
  return b == 0 ? 0 : wrapped;
}

SDX_INLINE int32_t truncated_remainder(int32_t a, int32_t b) {
  const int32_t rest = subtract(a, multiply(divide(a, b), b));
  return b == 0 ? 0 : rest;
}

SDX_INLINE int32_t floored_remainder(int32_t a, int32_t b) {
  const int32_t rest = truncated_remainder(a, b);
  const bool differ = (rest != 0) & ((rest ^ b) < 0);
  return rest + (differ ? b : 0);
}

}  // namespace

void divide_i32(const int32_t* a, std::size_t a_step, const int32_t* b, std::size_t b_step,
                int32_t* y, std::size_t n) {
  combine_pairs(
      a, a_step, b, b_step, y, n,
      [](int32_t p, int32_t q) __attribute__((always_inline)) { return divide(p, q); });
}

void truncated_remainder_i32(const int32_t* a, std::size_t a_step, const int32_t* b,
                             std::size_t b_step, int32_t* y, std::size_t n) {
  combine_pairs(
      a, a_step, b, b_step, y, n, [](int32_t p, int32_t q) __attribute__((always_inline)) {
        return truncated_remainder(p, q);
      });
}

void floored_remainder_i32(const int32_t* a, std::size_t a_step, const int32_t* b,
                           std::size_t b_step, int32_t* y, std::size_t n) {
  combine_pairs(
      a, a_step, b, b_step, y, n,
      [](int32_t p, int32_t q) __attribute__((always_inline)) { return floored_remainder(p, q); });
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(divide_i32, DivideI32)
SDX_DEFINE_KERNEL(truncated_remainder_i32, DivideI32)
SDX_DEFINE_KERNEL(floored_remainder_i32, DivideI32)

}  // namespace sdx::kernels
