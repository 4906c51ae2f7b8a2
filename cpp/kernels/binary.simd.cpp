// Elementwise f32 functions of two operands: each kernel is one expression over vectors.
#include "kernels/binary.h"

#include "kernels/simd/round.h"

namespace sdx::kernels {
namespace SDX_ISA {

template <class F>
SDX_INLINE void map_pairs(const float* a, std::size_t a_step, const float* b, std::size_t b_step,
                          float* y, std::size_t n, F f) {
  if (n == 0) return;
  if (a_step && b_step) {
    std::size_t i = 0;
    for (; i + kF32 <= n; i += kF32) store(y + i, f(load(a + i), load(b + i)));
    if (i < n) store_head(y + i, f(load_head(a + i, n - i), load_head(b + i, n - i)), n - i);
  } else if (a_step) {
    const VecF right = splat(*b);
    map(
        a, y, n, [=](VecF left) __attribute__((always_inline)) { return f(left, right); });
  } else if (b_step) {
    const VecF left = splat(*a);
    map(
        b, y, n, [=](VecF right) __attribute__((always_inline)) { return f(left, right); });
  } else {
    const VecF value = f(splat(*a), splat(*b));
    for (std::size_t i = 0; i < n; ++i) y[i] = value[0];
  }
}

// The second operand of max and min is the answer where either is NaN; the first may be it too.
SDX_INLINE VecF max_or_nan(VecF a, VecF b) { return a == a ? max(a, b) : a; }
SDX_INLINE VecF min_or_nan(VecF a, VecF b) { return a == a ? min(a, b) : a; }

}  // namespace SDX_ISA

// SDX_BINARY(add, a + b) defines binary_add; the expression sees the vectors a and b.
#define SDX_BINARY(name, expression)                                                         \
  namespace SDX_ISA {                                                                        \
  void binary_##name(const float* a, std::size_t a_step, const float* b, std::size_t b_step, \
                     float* y, std::size_t n) {                                              \
    map_pairs(                                                                               \
        a, a_step, b, b_step, y, n,                                                          \
        [](VecF a, VecF b) __attribute__((always_inline))->VecF { return expression; });     \
  }                                                                                          \
  }                                                                                          \
  SDX_DEFINE_KERNEL(binary_##name, BinaryF32)

SDX_BINARY(add, a + b)
SDX_BINARY(sub, a - b)
SDX_BINARY(mul, a* b)
SDX_BINARY(div, a / b)
SDX_BINARY(max, max_or_nan(a, b))
SDX_BINARY(min, min_or_nan(a, b))
SDX_BINARY(prelu, a < 0.0f ? a * b : a)

namespace SDX_ISA {

void binary_pow(const float* a, std::size_t a_step, const float* b, std::size_t b_step, float* y,
                std::size_t n) {
  if (n && a_step && !b_step) {
    const float exponent = *b;
    if (exponent == 2.0f)
      return map(
          a, y, n, [](VecF x) __attribute__((always_inline)) { return x * x; });
    if (exponent == 0.5f)
      return map(
          a, y, n, [](VecF x) __attribute__((always_inline)) {
            return x == -kInfinity ? -x : sqrt(x) + 0.0f;  // pow knows no -0 and no root of -inf
          });
    if (exponent == -1.0f)
      return map(
          a, y, n, [](VecF x) __attribute__((always_inline)) { return 1.0f / x; });
  }
  for (std::size_t i = 0; i < n; ++i) y[i] = __builtin_powf(a[i * a_step], b[i * b_step]);
}

namespace {

// An operand that is a run of floats or one number.
template <bool kRun>
struct Factor {
  const float* data;
  VecF value;
  explicit Factor(const float* p) : data(p), value(splat(*p)) {}
  VecF at(std::size_t i) const { return kRun ? load(data + i) : value; }
  VecF head(std::size_t i, std::size_t n) const { return kRun ? load_head(data + i, n) : value; }
};

template <bool kRunA, bool kRunB, bool kRunC>
void multiply_add_runs(const float* a, const float* b, const float* c, float* y, std::size_t n) {
  const Factor<kRunA> left(a);
  const Factor<kRunB> right(b);
  const Factor<kRunC> term(c);
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) store(y + i, left.at(i) * right.at(i) + term.at(i));
  const std::size_t lanes = n - i;
  if (lanes)
    store_head(y + i, left.head(i, lanes) * right.head(i, lanes) + term.head(i, lanes), lanes);
}

}  // namespace

void multiply_add(const float* a, std::size_t a_step, const float* b, std::size_t b_step,
                  const float* c, std::size_t c_step, float* y, std::size_t n) {
  if (n == 0) return;
  if (!a_step && b_step) return multiply_add(b, b_step, a, a_step, c, c_step, y, n);
  if (a_step && b_step)
    return c_step ? multiply_add_runs<true, true, true>(a, b, c, y, n)
                  : multiply_add_runs<true, true, false>(a, b, c, y, n);
  if (a_step)
    return c_step ? multiply_add_runs<true, false, true>(a, b, c, y, n)
                  : multiply_add_runs<true, false, false>(a, b, c, y, n);
  return c_step ? multiply_add_runs<false, false, true>(a, b, c, y, n)
                : multiply_add_runs<false, false, false>(a, b, c, y, n);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(binary_pow, BinaryF32)
SDX_DEFINE_KERNEL(multiply_add, MultiplyAddF32)

}  // namespace sdx::kernels
