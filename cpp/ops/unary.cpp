// Elementwise functions of one operand: arithmetic, exponentials, trigonometry, activations.
#include "ops/unary.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>

#include "ops/broadcast.h"
#include "ops/number_cast.h"

namespace sdx::ops {
namespace {

template <class F, class T>
void loop(const T* x, T* y, std::size_t n, T alpha, T beta) {
  constexpr F f{};
  for (std::size_t i = 0; i < n; ++i) y[i] = f(x[i], alpha, beta);
}

// A function whose float32 form is a kernel. `f` is the same for doubles.
template <class F>
constexpr UnaryFunction by_kernel(const char* name, int since, const UnaryKernel& kernel, F,
                                  UnaryAttribute alpha = {}, UnaryAttribute beta = {}) {
  UnaryFunction function;
  function.name = name;
  function.since = since;
  function.kernel = &kernel;
  function.f64 = &loop<F, double>;
  function.alpha = alpha;
  function.beta = beta;
  return function;
}

// A function with kernels for both.
constexpr UnaryFunction by_kernels(const char* name, int since, const UnaryKernel& kernel,
                                   const UnaryF64Kernel& kernel_f64) {
  UnaryFunction function;
  function.name = name;
  function.since = since;
  function.kernel = &kernel;
  function.kernel_f64 = &kernel_f64;
  return function;
}

// A function that the C library computes, item by item.
template <class F>
constexpr UnaryFunction by_library(const char* name, int since, F, UnaryAttribute alpha = {},
                                   UnaryAttribute beta = {}) {
  UnaryFunction function;
  function.name = name;
  function.since = since;
  function.cost = 8;
  function.f32 = &loop<F, float>;
  function.f64 = &loop<F, double>;
  function.alpha = alpha;
  function.beta = beta;
  return function;
}

template <class F>
Step integer_step(DType dtype, int64_t count, float alpha, float beta) {
  return dispatch(IntegerTypes{}, dtype, [&]<class T>() -> Step {
    return [split = split_work(count, 0.5, kElementGrain), alpha, beta](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        constexpr F function{};
        const T* x = f.in<T>(0);
        T* y = f.out<T>(0);
        for (int64_t i = r.begin; i < r.end; ++i)
          y[i] = static_cast<T>(function(x[i], alpha, beta));
      });
    };
  });
}

template <class F>
constexpr UnaryFunction with_integers(UnaryFunction function, F,
                                      Dim (*symbolic)(const Dim&) = nullptr) {
  function.integer = &integer_step<F>;
  function.symbolic = symbolic;
  return function;
}

// Wraps where the type has no positive counterpart of its least value.
template <class T>
constexpr T wrapping_negate(T x) {
  return static_cast<T>(0 - static_cast<uint64_t>(x));
}

template <class T>
T softplus(T x) {
  return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
}

template <class T>
T clip_to_unit(T x) {
  return x < 0 ? T(0) : x > 1 ? T(1) : x;
}

const UnaryFunction kFunctions[] = {
    with_integers(
        by_kernel("Abs", 1, kernels::unary_abs, [](auto x, auto, auto) { return std::abs(x); }),
        [](auto x, auto, auto) { return x < 0 ? wrapping_negate(x) : x; }),
    with_integers(
        by_kernel("Neg", 1, kernels::unary_neg, [](auto x, auto, auto) { return -x; }),
        [](auto x, auto, auto) { return wrapping_negate(x); },
        [](const Dim& x) { return Dim(0) - x; }),
    with_integers(by_kernel("Sign", 9, kernels::unary_sign,
                            [](auto x, auto, auto) { return x > 0   ? 1
                                                            : x < 0 ? -1
                                                                    : x; }),
                  [](auto x, auto, auto) { return (x > 0) - (x < 0); }),
    by_kernel("Floor", 1, kernels::unary_floor, [](auto x, auto, auto) { return std::floor(x); }),
    by_kernel("Ceil", 1, kernels::unary_ceil, [](auto x, auto, auto) { return std::ceil(x); }),
    by_kernel("Round", 11, kernels::unary_round, [](auto x, auto, auto) { return std::rint(x); }),
    by_kernel("Sqrt", 1, kernels::unary_sqrt, [](auto x, auto, auto) { return std::sqrt(x); }),
    by_kernel("Reciprocal", 1, kernels::unary_reciprocal, [](auto x, auto, auto) { return 1 / x; }),
    by_kernels("Exp", 1, kernels::unary_exp, kernels::unary_f64_exp),
    by_kernels("Log", 1, kernels::unary_log, kernels::unary_f64_log),
    // Integers before opset 13, by way of float32 as in the standard's evaluator.
    with_integers(by_kernels("Erf", 9, kernels::unary_erf, kernels::unary_f64_erf),
                  [](auto x, auto, auto) { return std::erf(static_cast<float>(x)); }),

    by_kernel("Sin", 7, kernels::unary_sin, [](auto x, auto, auto) { return std::sin(x); }),
    by_kernel("Cos", 7, kernels::unary_cos, [](auto x, auto, auto) { return std::cos(x); }),
    by_library("Tan", 7, [](auto x, auto, auto) { return std::tan(x); }),
    by_kernel("Asin", 7, kernels::unary_asin, [](auto x, auto, auto) { return std::asin(x); }),
    by_kernel("Acos", 7, kernels::unary_acos, [](auto x, auto, auto) { return std::acos(x); }),
    by_kernel("Atan", 7, kernels::unary_atan, [](auto x, auto, auto) { return std::atan(x); }),
    by_library("Sinh", 9, [](auto x, auto, auto) { return std::sinh(x); }),
    by_library("Cosh", 9, [](auto x, auto, auto) { return std::cosh(x); }),
    by_kernels("Tanh", 1, kernels::unary_tanh, kernels::unary_f64_tanh),
    by_library("Asinh", 9, [](auto x, auto, auto) { return std::asinh(x); }),
    by_library("Acosh", 9, [](auto x, auto, auto) { return std::acosh(x); }),
    by_library("Atanh", 9, [](auto x, auto, auto) { return std::atanh(x); }),

    with_integers(
        by_kernel("Relu", 1, kernels::unary_relu, [](auto x, auto, auto) { return x < 0 ? 0 : x; }),
        [](auto x, auto, auto) { return x < 0 ? 0 : x; }),
    by_kernel("LeakyRelu", 1, kernels::unary_leaky_relu,
              [](auto x, auto alpha, auto) { return x < 0 ? alpha * x : x; }, {"alpha", 0.01F}),
    by_kernel("ThresholdedRelu", 1, kernels::unary_thresholded_relu,
              [](auto x, auto alpha, auto) { return x <= alpha ? 0 : x; }, {"alpha", 1}),
    by_kernels("Sigmoid", 1, kernels::unary_sigmoid, kernels::unary_f64_sigmoid),
    by_kernel("HardSigmoid", 1, kernels::unary_hard_sigmoid,
              [](auto x, auto alpha, auto beta) { return clip_to_unit(alpha * x + beta); },
              {"alpha", 0.2F}, {"beta", 0.5F}),
    // alpha and beta are the kernel's alone: a sixth as a float would be too coarse for doubles.
    by_kernel("HardSwish", 14, kernels::unary_hard_swish,
              [](auto x, auto, auto) { return x * clip_to_unit(x / 6 + 0.5); }, {nullptr, 1.0F / 6},
              {nullptr, 0.5F}),
    by_kernel("Elu", 1, kernels::unary_elu,
              [](auto x, auto alpha, auto) { return x < 0 ? alpha * std::expm1(x) : x; },
              {"alpha", 1}),
    by_kernel("Celu", 12, kernels::unary_celu,
              [](auto x, auto alpha, auto) { return x > 0 ? x : alpha * std::expm1(x / alpha); },
              {"alpha", 1}),
    by_kernel(
        "Selu", 1, kernels::unary_selu,
        [](auto x, auto alpha, auto beta) { return beta * (x <= 0 ? alpha * std::expm1(x) : x); },
        {"alpha", 1.67326319217681884765625F}, {"gamma", 1.05070102214813232421875F}),
    by_kernel("Softplus", 1, kernels::unary_softplus,
              [](auto x, auto, auto) { return softplus(x); }),
    by_kernel("Softsign", 1, kernels::unary_softsign,
              [](auto x, auto, auto) { return x / (1 + std::abs(x)); }),
    by_kernel("Mish", 18, kernels::unary_mish,
              [](auto x, auto, auto) { return x * std::tanh(softplus(x)); }),
    by_kernel("Gelu", 20, kernels::unary_gelu,
              [](auto x, auto, auto) { return x / 2 * (1 + std::erf(x / std::numbers::sqrt2)); }),
    by_kernel("Swish", 24, kernels::unary_swish,
              [](auto x, auto alpha, auto) { return x / (1 + std::exp(-alpha * x)); },
              {"alpha", 1}),
    with_integers(by_library("Shrink", 9,
                             [](auto x, auto lambda, auto bias) {
                               return x < -lambda ? x + bias : x > lambda ? x - bias : 0;
                             },
                             {"lambd", 0.5F}, {"bias", 0}),
                  [](auto x, double lambda, double bias) -> decltype(x) {
                    if (x < -lambda) return number_cast<decltype(x)>(x + bias);
                    return x > lambda ? number_cast<decltype(x)>(x - bias) : 0;
                  }),
};

const UnaryFunction kGeluTanh =
    by_kernel("Gelu", 20, kernels::unary_gelu_tanh, [](auto x, auto, auto) {
      const auto inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
      return x / 2 * (1 + std::tanh(inner));
    });

}  // namespace

const UnaryFunction& unary_function(const OpInit& init) {
  if (init.type == "Gelu") {
    const std::string approximate = init.attrs.get("approximate", "none");
    if (approximate == "tanh") return kGeluTanh;
    check(approximate == "none", "approximate is '", approximate, "', neither 'none' nor 'tanh'");
  }
  const auto* found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                   [&](const UnaryFunction& f) { return f.name == init.type; });
  if (found == std::end(kFunctions))
    fail(ErrorKind::internal, "no elementwise function is called ", init.type);
  return *found;
}

[[gnu::cold]] void register_unary(OpRegistry& ops) {
  for (const UnaryFunction& function : kFunctions)
    ops.add<Unary>(function.name, {.since = function.since, .in_place = 0b1, .elementwise = true});
}

}  // namespace sdx::ops
