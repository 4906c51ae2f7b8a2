// Elementwise f32 functions of one operand: each kernel is one expression over vectors.
#include "kernels/unary.h"

#include "kernels/simd/activation.h"
#include "kernels/simd/math.h"

namespace sdx::kernels {

// SDX_UNARY(abs, abs(x)) defines unary_abs; the expression sees the vector x and alpha and beta.
#define SDX_UNARY(name, expression)                                                           \
  namespace SDX_ISA {                                                                         \
  void unary_##name(const float* in, float* out, std::size_t n, [[maybe_unused]] float alpha, \
                    [[maybe_unused]] float beta) {                                            \
    map(                                                                                      \
        in, out, n, [=](VecF x) __attribute__((always_inline))->VecF { return expression; }); \
  }                                                                                           \
  }                                                                                           \
  SDX_DEFINE_KERNEL(unary_##name, UnaryF32)

namespace SDX_ISA {

// A NaN bound makes NaN, as in NumPy.
SDX_INLINE VecF clip_to(VecF x, float lo, float hi) {
  const VecF y = clip(x, splat(lo), splat(hi));
  return lo == lo && hi == hi ? y : x + (lo + hi);
}

SDX_INLINE VecF sign(VecF x) {
  const VecF one = copysign(splat(1.0f), x);
  return x > 0.0f || x < 0.0f ? one : x + 0.0f;
}

}  // namespace SDX_ISA

SDX_UNARY(relu, relu(x))
SDX_UNARY(leaky_relu, leaky_relu(x, splat(alpha)))
SDX_UNARY(thresholded_relu, x <= alpha ? splat(0.0f) : x)
SDX_UNARY(clip, clip_to(x, alpha, beta))
SDX_UNARY(scale_shift, x* alpha + beta)
SDX_UNARY(abs, abs(x))
SDX_UNARY(neg, -x)
SDX_UNARY(sign, sign(x))
SDX_UNARY(floor, floor(x))
SDX_UNARY(ceil, ceil(x))
SDX_UNARY(round, round_even(x))
SDX_UNARY(sqrt, sqrt(x))
SDX_UNARY(reciprocal, 1.0f / x)
SDX_UNARY(square, x* x)
SDX_UNARY(exp, exp(x))
SDX_UNARY(log, log(x))
SDX_UNARY(sin, sin(x))
SDX_UNARY(cos, cos(x))
SDX_UNARY(asin, asin(x))
SDX_UNARY(acos, acos(x))
SDX_UNARY(atan, atan(x))
SDX_UNARY(tanh, tanh(x))
SDX_UNARY(erf, erf(x))
SDX_UNARY(sigmoid, sigmoid(x))
SDX_UNARY(gelu, gelu(x))
SDX_UNARY(gelu_tanh, gelu_tanh(x))
SDX_UNARY(swish, x* sigmoid(x* alpha))
SDX_UNARY(hard_sigmoid, hard_sigmoid(x, splat(alpha), splat(beta)))
SDX_UNARY(hard_swish, x* hard_sigmoid(x, splat(alpha), splat(beta)))
SDX_UNARY(elu, x < 0.0f ? alpha * expm1(x) : x)
SDX_UNARY(celu, x < 0.0f ? alpha * expm1(x / alpha) : x)
SDX_UNARY(selu, beta*(x < 0.0f ? alpha * expm1(x) : x))
SDX_UNARY(softplus, softplus(x))
SDX_UNARY(softsign, x / (1.0f + abs(x)))
SDX_UNARY(mish, mish(x))

}  // namespace sdx::kernels
