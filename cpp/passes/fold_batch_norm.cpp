#include <cmath>

#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

const Tensor* float_constant(const Value* value) {
  const Tensor* tensor = value ? value->constant() : nullptr;
  return tensor && tensor->dtype() == DType::float32 ? tensor : nullptr;
}

}  // namespace

// y = BatchNormalization(Conv(x, w, b)) becomes y = Conv(x, w', b') with the statistics multiplied
// into the weights, in double.
bool fold_batch_norm(Graph& graph) {
  bool changed = false;
  for (Node* norm : graph.nodes()) {
    if (!norm->is("BatchNormalization") || norm->outputs().size() != 1) continue;
    if (norm->attrs().get("training_mode", 0) != 0 || norm->attrs().get("spatial", 1) != 1)
      continue;
    Node* conv = sole_producer(norm->input(0), "Conv");
    if (!conv) continue;
    const Tensor* weight = float_constant(conv->input(1));
    const Tensor* bias = conv->input(2) ? float_constant(conv->input(2)) : nullptr;
    if (!weight || weight->rank() < 2 || (conv->input(2) && !bias)) continue;
    const Tensor* statistics[4];  // scale, shift, mean, variance
    const int64_t channels = weight->shape()[0];
    bool usable = true;
    for (std::size_t i = 0; i < 4; ++i) {
      statistics[i] = float_constant(norm->input(i + 1));
      usable = usable && statistics[i] && statistics[i]->count() == channels;
    }
    if (!usable || (bias && bias->count() != channels)) continue;

    const double epsilon = static_cast<double>(norm->attrs().get("epsilon", 1e-5));
    Tensor scaled = Tensor::allocate(DType::float32, weight->shape());
    Tensor shifted = Tensor::allocate(DType::float32, Shape{channels});
    const int64_t taps = channels ? weight->count() / channels : 0;
    bool finite = true;
    for (int64_t c = 0; c < channels; ++c) {
      const double variance = statistics[3]->data<float>()[c];
      const double factor = statistics[0]->data<float>()[c] / std::sqrt(variance + epsilon);
      finite = finite && std::isfinite(factor);
      for (int64_t i = c * taps; i < (c + 1) * taps; ++i)
        scaled.data<float>()[i] = static_cast<float>(weight->data<float>()[i] * factor);
      const double old_bias = bias ? bias->data<float>()[c] : 0.0;
      shifted.data<float>()[c] = static_cast<float>(
          (old_bias - statistics[2]->data<float>()[c]) * factor + statistics[1]->data<float>()[c]);
    }
    if (!finite) continue;
    Node* folded = graph.insert_before(
        norm, {.op_type = "Conv",
               .inputs = {conv->input(0), graph.add_constant("", std::move(scaled)),
                          graph.add_constant("", std::move(shifted))},
               .attrs = conv->attrs(),
               .name = conv->name(),
               .opset = conv->opset()});
    graph.replace_uses(norm->output(0), folded->output(0));
    graph.erase(norm);
    graph.erase(conv);
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
