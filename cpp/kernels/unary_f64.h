// Elementwise functions of doubles that are worth vectors, in the manner of those of floats.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// y[i] = f(x[i]) to about two ulps. x and y may be the same array but not overlap otherwise; n may
// be 0. alpha and beta are ignored. NaN in, NaN out.
using UnaryF64 = void(const double* x, double* y, std::size_t n, double alpha, double beta);

extern const Kernel<UnaryF64, kIsaCount> unary_f64_exp;
extern const Kernel<UnaryF64, kIsaCount> unary_f64_log;
extern const Kernel<UnaryF64, kIsaCount> unary_f64_tanh;
extern const Kernel<UnaryF64, kIsaCount> unary_f64_erf;
extern const Kernel<UnaryF64, kIsaCount> unary_f64_sigmoid;

}  // namespace sdx::kernels
