#include <cmath>

#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {

// y = BatchNormalization(x) that no convolution took up becomes y = x * factor + shift: elementwise
// operators work in any layout and join with their neighbours.
bool expand_batch_norm(Graph& graph) {
  bool changed = false;
  for (Node* norm : graph.nodes()) {
    if (!norm->is("BatchNormalization") || norm->outputs().size() != 1 ||
        norm->output(0)->type().dtype != DType::float32 || norm->opset() < 7)
      continue;
    if (norm->attrs().get("training_mode", 0) != 0 || norm->attrs().get("spatial", 1) != 1)
      continue;
    const Type& type = norm->input(0)->type();
    if (!type.shape || type.shape->size() < 2) continue;
    const float* parameters[4];  // scale, shift, mean, variance
    bool usable = true;
    const int64_t channels =
        norm->input(1)->is_constant() ? norm->input(1)->constant()->count() : 0;
    for (std::size_t i = 0; i < 4 && usable; ++i) {
      const Tensor* tensor = norm->input(i + 1)->constant();
      usable = tensor && tensor->dtype() == DType::float32 && tensor->count() == channels;
      if (usable) parameters[i] = tensor->data<float>();
    }
    if (!usable || channels == 0) continue;

    Shape column(type.shape->size() - 1, 1);
    column[0] = channels;
    Tensor factors = Tensor::allocate(DType::float32, column);
    Tensor shifts = Tensor::allocate(DType::float32, column);
    const auto epsilon = static_cast<double>(norm->attrs().get("epsilon", 1e-5));
    bool finite = true;
    for (int64_t c = 0; c < channels; ++c) {
      const double factor =
          parameters[0][c] / std::sqrt(static_cast<double>(parameters[3][c]) + epsilon);
      finite = finite && std::isfinite(factor);
      factors.data<float>()[c] = static_cast<float>(factor);
      shifts.data<float>()[c] = static_cast<float>(parameters[1][c] - parameters[2][c] * factor);
    }
    if (!finite) continue;
    Node* product = graph.insert_before(
        norm, {.op_type = "Mul",
               .inputs = {norm->input(0), graph.add_constant("", std::move(factors))},
               .opset = 14});
    Node* sum = graph.insert_before(
        norm, {.op_type = "Add",
               .inputs = {product->output(0), graph.add_constant("", std::move(shifts))},
               .name = norm->name(),
               .opset = 14});
    graph.replace_uses(norm->output(0), sum->output(0));
    graph.erase(norm);
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
