// Fused activations: reading the attributes, and the scalar form for types without a kernel.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "ops/activation.h"

namespace sdx::ops {

using kernels::Activation;

FusedActivation read_activation(const Attributes& attrs) {
  struct Known {
    std::string_view name;
    Activation kind;
    float alpha, beta;
  };
  static constexpr Known kKnown[] = {
      {"", Activation::none, 0, 0},
      {"Relu", Activation::relu, 0, 0},
      {"Clip", Activation::clip, -3.402823466e+38f, 3.402823466e+38f},
      {"LeakyRelu", Activation::leaky_relu, 0.01f, 0},
      {"Sigmoid", Activation::sigmoid, 0, 0},
      {"Tanh", Activation::tanh, 0, 0},
      {"Gelu", Activation::gelu, 0, 0},
      {"FastGelu", Activation::gelu_tanh, 0, 0},
      {"Silu", Activation::silu, 0, 0},
      {"HardSwish", Activation::hard_swish, 0, 0},
      {"HardSigmoid", Activation::hard_sigmoid, 0.2f, 0.5f},
  };
  const std::string name = attrs.get("activation", "");
  const auto* known = std::find_if(std::begin(kKnown), std::end(kKnown),
                                   [&](const Known& k) { return k.name == name; });
  if (known == std::end(kKnown))
    fail(ErrorKind::unsupported, "activation '", name, "' cannot be fused");
  const std::vector<float> params = attrs.floats("activation_params");
  return {known->kind, !params.empty() ? params[0] : attrs.get("activation_alpha", known->alpha),
          params.size() > 1 ? params[1] : attrs.get("activation_beta", known->beta)};
}

double FusedActivation::operator()(double x) const {
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  switch (kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x < 0 ? 0 : x;
    case Activation::clip:
      return x < alpha ? alpha : x > beta ? beta : x;
    case Activation::leaky_relu:
      return x < 0 ? alpha * x : x;
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::tanh:
      return std::tanh(x);
    case Activation::gelu:
      return 0.5 * x * (1 + std::erf(x * std::numbers::sqrt2 / 2));
    case Activation::gelu_tanh:
      return 0.5 * x *
             (1 + std::tanh(std::sqrt(2 * std::numbers::inv_pi) * (x + 0.044715 * x * x * x)));
    case Activation::silu:
      return x * sigmoid(x);
    case Activation::hard_swish:
      return x * std::clamp(x / 6 + 0.5, 0.0, 1.0);
    case Activation::hard_sigmoid:
      return std::clamp(static_cast<double>(alpha) * x + beta, 0.0, 1.0);
  }
  return x;
}

}  // namespace sdx::ops
