#include <cmath>
#include <functional>

#include "passes/epilogue.h"
#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

const Tensor* float_constant(const Value* value) {
  const Tensor* tensor = value ? value->constant() : nullptr;
  return tensor && tensor->dtype() == DType::float32 ? tensor : nullptr;
}

// A product or convolution with constant weights and nothing behind its bias yet. Item i of the
// weights belongs to channel i / taps % channels of the result.
struct Product {
  Node* node = nullptr;
  const Tensor* weight = nullptr;
  const Tensor* bias = nullptr;
  int64_t channels = 0, taps = 1;
  std::size_t behind = 0;  // axes of the result after that of channels

  explicit Product(const Value* value) {
    Node* found = open_epilogue(value);
    if (!found || found->input(3) || !value->type().shape) return;
    weight = float_constant(found->input(1));
    bias = float_constant(found->input(2));
    if (!weight || weight->rank() < 2 || found->input(1)->users().size() != 1) return;
    const Shape& shape = weight->shape();
    const bool convolution = found->op_type().ends_with("Conv");
    const bool rows = convolution || found->attrs().get("transB", 0) != 0;
    if (!convolution && shape.size() != 2) return;
    channels = rows ? shape[0] : shape.back();
    taps = rows && channels > 0 ? weight->count() / channels : 1;
    const bool channels_last = !convolution || found->attrs().get("layout", "") == "NHWC";
    behind = channels_last ? 0 : value->type().shape->size() - 2;
    if (found->input(2) && (!bias || bias->rank() != 1 || bias->count() != channels)) return;
    // Gemm's own factors would have to be told apart.
    if (found->attrs().get("alpha", 1.0) != 1 || found->attrs().get("beta", 1.0) != 1) return;
    if (channels > 0) node = found;
  }

  // The number of the constant for channel c, where it has one number for each channel or for all.
  std::function<double(int64_t)> by_channel(const Tensor& constant, std::size_t rank) const {
    const float* items = constant.data<float>();
    if (static_cast<std::size_t>(constant.rank()) > rank) return nullptr;
    if (constant.count() == 1) return [=](int64_t) { return static_cast<double>(*items); };
    const Shape& shape = constant.shape();
    if (constant.count() != channels || shape.size() < behind + 1 ||
        shape[shape.size() - behind - 1] != channels)
      return nullptr;
    return [=](int64_t c) { return static_cast<double>(items[c]); };
  }
};

}  // namespace

// y = Conv(x, w, b) * s + t with constants of one item a channel becomes y = Conv(x, w', b'); the
// same for MatMul and Gemm, and for quotients and differences.
bool fold_scale(Graph& graph) {
  bool changed = false;
  for (Node* last : graph.nodes()) {
    const bool scales = last->is("Mul") || last->is("Div"),
               shifts = last->is("Add") || last->is("Sub");
    if ((!scales && !shifts) || last->opset() < 7) continue;
    const bool inverse = last->is("Div") || last->is("Sub");
    for (const std::size_t side : {0, 1}) {
      if (inverse && side == 1) break;
      const Product product(last->input(side));
      const Tensor* constant = float_constant(last->input(1 - side));
      if (!product.node || !constant) continue;
      const auto number = product.by_channel(*constant, last->output(0)->type().shape->size());
      if (!number || !same_rank(last->input(side), last->output(0))) continue;

      Tensor weight = Tensor::allocate(DType::float32, product.weight->shape());
      Tensor bias = Tensor::allocate(DType::float32, Shape{product.channels});
      bool finite = true;
      for (int64_t c = 0; c < product.channels; ++c) {
        const double n = number(c), old = product.bias ? product.bias->data<float>()[c] : 0.0;
        const double changed_bias = scales    ? (inverse ? old / n : old * n)
                                    : inverse ? old - n
                                              : old + n;
        bias.data<float>()[c] = static_cast<float>(changed_bias);
        finite = finite && std::isfinite(n) && std::isfinite(changed_bias) &&
                 !(inverse && scales && n == 0);
      }
      if (!finite) continue;
      for (int64_t i = 0; i < weight.count(); ++i) {
        const double n = scales ? number(i / product.taps % product.channels) : 1;
        const double old = product.weight->data<float>()[i];
        weight.data<float>()[i] = static_cast<float>(inverse ? old / n : old * n);
      }
      std::vector<Value*> inputs{product.node->input(0), product.node->input(1)};
      if (scales) inputs[1] = graph.add_constant("", std::move(weight));
      if (shifts || product.bias) inputs.push_back(graph.add_constant("", std::move(bias)));
      remake(graph, product.node, last, std::move(inputs), product.node->attrs());
      changed = true;
      break;
    }
  }
  return changed;
}

}  // namespace sdx::passes
