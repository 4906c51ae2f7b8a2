// Elementwise f32 functions of one operand, one signature for all so that an op can keep a table.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// y[i] = f(x[i]). x and y may be the same array but not overlap otherwise; n may be 0. alpha and
// beta mean what the comment beside the kernel says and are ignored elsewhere. NaN in, NaN out.
using UnaryF32 = void(const float* x, float* y, std::size_t n, float alpha, float beta);

extern const Kernel<UnaryF32, kIsaCount> unary_relu;
extern const Kernel<UnaryF32, kIsaCount> unary_leaky_relu;        // x < 0 ? alpha x : x
extern const Kernel<UnaryF32, kIsaCount> unary_thresholded_relu;  // x > alpha ? x : 0
extern const Kernel<UnaryF32, kIsaCount> unary_clip;              // min(max(x, alpha), beta)
extern const Kernel<UnaryF32, kIsaCount> unary_scale_shift;       // alpha x + beta
extern const Kernel<UnaryF32, kIsaCount> unary_abs;
extern const Kernel<UnaryF32, kIsaCount> unary_neg;
extern const Kernel<UnaryF32, kIsaCount> unary_sign;
extern const Kernel<UnaryF32, kIsaCount> unary_floor;
extern const Kernel<UnaryF32, kIsaCount> unary_ceil;
extern const Kernel<UnaryF32, kIsaCount> unary_round;  // halves to even
extern const Kernel<UnaryF32, kIsaCount> unary_sqrt;
extern const Kernel<UnaryF32, kIsaCount> unary_reciprocal;
extern const Kernel<UnaryF32, kIsaCount> unary_square;
extern const Kernel<UnaryF32, kIsaCount> unary_exp;
extern const Kernel<UnaryF32, kIsaCount> unary_log;
extern const Kernel<UnaryF32, kIsaCount> unary_sin;
extern const Kernel<UnaryF32, kIsaCount> unary_cos;
extern const Kernel<UnaryF32, kIsaCount> unary_asin;
extern const Kernel<UnaryF32, kIsaCount> unary_acos;
extern const Kernel<UnaryF32, kIsaCount> unary_atan;
extern const Kernel<UnaryF32, kIsaCount> unary_tanh;
extern const Kernel<UnaryF32, kIsaCount> unary_erf;
extern const Kernel<UnaryF32, kIsaCount> unary_sigmoid;
extern const Kernel<UnaryF32, kIsaCount> unary_gelu;          // exact, by erf
extern const Kernel<UnaryF32, kIsaCount> unary_gelu_tanh;     // the tanh approximation
extern const Kernel<UnaryF32, kIsaCount> unary_swish;         // x sigmoid(alpha x): SiLU, QuickGelu
extern const Kernel<UnaryF32, kIsaCount> unary_hard_sigmoid;  // clip(alpha x + beta, 0, 1)
extern const Kernel<UnaryF32, kIsaCount> unary_hard_swish;    // x clip(alpha x + beta, 0, 1)
extern const Kernel<UnaryF32, kIsaCount> unary_elu;           // x < 0 ? alpha (exp(x) - 1) : x
extern const Kernel<UnaryF32, kIsaCount> unary_celu;  // max(0,x) + min(0, alpha (exp(x/alpha) - 1))
extern const Kernel<UnaryF32, kIsaCount> unary_selu;  // beta (x <= 0 ? alpha (exp(x) - 1) : x)
extern const Kernel<UnaryF32, kIsaCount> unary_softplus;
extern const Kernel<UnaryF32, kIsaCount> unary_softsign;
extern const Kernel<UnaryF32, kIsaCount> unary_mish;

}  // namespace sdx::kernels
