#include <cmath>
#include <limits>

#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

bool is_byte(const Value* value) {
  return value && (value->type().dtype == DType::uint8 || value->type().dtype == DType::int8);
}

bool is_one(const Value* value) {
  return value && value->is_constant() && value->constant()->count() == 1;
}

// A node between float32 and bytes with one constant scale and zero point for the whole tensor.
bool is_per_tensor(const Node* node) {
  if (!node || node->attrs().get("block_size", 0) != 0) return false;
  return scalar(node->input(1)).has_value() && is_one(node->input(2));
}

// The DequantizeLinear behind `value`.
Node* dequantize(const Value* value) {
  Node* node = producer(value, "DequantizeLinear");
  return node ? node : producer(value, "DequantizeLinear", "com.microsoft");
}

Node* dequantized_bytes(const Value* value) {
  Node* node = dequantize(value);
  return is_per_tensor(node) && is_byte(node->input(0)) ? node : nullptr;
}

bool same_constant(const Value* a, const Value* b) {
  if (a == b) return true;
  const Tensor *x = a->constant(), *y = b->constant();
  if (!x || !y || x->dtype() != y->dtype() || x->count() != y->count()) return false;
  if (x->dtype() == DType::float32) return x->data<float>()[0] == y->data<float>()[0];
  return x->to_int64s() == y->to_int64s();
}

// Constant byte weights with a float32 scale a row (axis 0) or one for all.
Node* dequantized_weights(const Value* value) {
  Node* node = dequantize(value);
  if (!node || !is_byte(node->input(0)) || !node->input(0)->is_constant() || !node->input(2) ||
      node->attrs().get("block_size", 0) != 0)
    return nullptr;
  const Tensor *scale = node->input(1)->constant(), *zero = node->input(2)->constant();
  if (!scale || scale->dtype() != DType::float32 || !zero) return nullptr;
  const bool by_row = node->attrs().get("axis", 1) == 0 && scale->rank() == 1 &&
                      scale->count() == node->input(0)->constant()->shape()[0];
  return by_row || scale->count() == 1 ? node : nullptr;
}

// What `quantize` reads; in front of a Relu where saturation does the same, because zero is the
// lowest number that the result can stand for.
const Value* before_relu(const Node& quantize) {
  const Value* value = quantize.input(0);
  const Node* relu = sole_producer(value, "Relu");
  const int64_t lowest = quantize.output(0)->type().dtype == DType::int8 ? -128 : 0;
  const bool saturates = quantize.input(2)->constant()->to_int64s()[0] == lowest;
  return relu && saturates ? relu->input(0) : value;
}

class Fusion {
 public:
  explicit Fusion(Graph& graph) : graph_(graph) {}

  bool run() {
    bool changed = false;
    for (Node* node : graph_.nodes()) {
      const bool quantize =
          node->is("QuantizeLinear") || node->is("QuantizeLinear", "com.microsoft");
      if (!quantize || !is_per_tensor(node) || !is_byte(node->output(0))) continue;
      const Value* value = before_relu(*node);
      Node* inner = value->has_single_use() ? value->producer() : nullptr;
      if (inner && (convolution(inner, node) || addition(inner, node) || move(inner, node)))
        changed = true;
    }
    if (changed) graph_.erase_dead();
    return changed;
  }

 private:
  void replace(Node* quantize, NodeSpec spec) {
    Node* fused = graph_.insert_before(quantize, std::move(spec));
    graph_.replace_uses(quantize->output(0), fused->output(0));
  }

  // The bias in units of the sums: x_scale * w_scale a channel; null where it is no constant, or
  // too large for that.
  Value* integer_bias(const Value* bias, float x_scale, const Tensor& w_scale, int64_t channels) {
    const Node* node = dequantize(bias);
    std::vector<double> numbers;
    if (node && node->input(0)->constant() && node->input(1)->constant() &&
        (!node->input(2) || node->input(2)->is_constant())) {
      const Tensor &q = *node->input(0)->constant(), &s = *node->input(1)->constant();
      if (s.dtype() != DType::float32 || q.dtype() != DType::int32 || q.count() != channels)
        return nullptr;
      if (s.count() != 1 && s.count() != channels) return nullptr;
      if (node->input(2))
        for (const int64_t zero : node->input(2)->constant()->to_int64s())
          if (zero != 0) return nullptr;
      for (int64_t c = 0; c < channels; ++c)
        numbers.push_back(static_cast<double>(q.data<int32_t>()[c]) *
                          static_cast<double>(s.data<float>()[s.count() == 1 ? 0 : c]));
    } else if (bias->constant() && bias->constant()->dtype() == DType::float32) {
      numbers = bias->constant()->to_doubles();
    }
    if (static_cast<int64_t>(numbers.size()) != channels) return nullptr;
    Tensor result = Tensor::allocate(DType::int32, Shape{channels});
    for (int64_t c = 0; c < channels; ++c) {
      const double unit = static_cast<double>(x_scale) *
                          static_cast<double>(w_scale.data<float>()[w_scale.count() == 1 ? 0 : c]);
      const double units = std::nearbyint(numbers[static_cast<std::size_t>(c)] / unit);
      if (!(std::abs(units) < std::numeric_limits<int32_t>::max() / 2)) return nullptr;
      result.data<int32_t>()[c] = static_cast<int32_t>(units);
    }
    return graph_.add_constant("", std::move(result));
  }

  bool convolution(Node* conv, Node* quantize) {
    if (!conv->is("Conv")) return false;
    Node *x = dequantized_bytes(conv->input(0)), *w = dequantized_weights(conv->input(1));
    if (!x || !w) return false;
    Value* bias = nullptr;
    if (conv->input(2)) {
      bias = integer_bias(conv->input(2), *scalar(x->input(1)), *w->input(1)->constant(),
                          w->input(0)->constant()->shape()[0]);
      if (!bias) return false;
    }
    NodeSpec spec{.op_type = "QLinearConv",
                  .inputs = {x->input(0), x->input(1), x->input(2), w->input(0), w->input(1),
                             w->input(2), quantize->input(1), quantize->input(2)},
                  .attrs = conv->attrs(),
                  .name = conv->name(),
                  .opset = 10};
    if (bias) spec.inputs.push_back(bias);
    replace(quantize, std::move(spec));
    return true;
  }

  bool addition(Node* sum, Node* quantize) {
    if (!sum->is("Add")) return false;
    Node *a = dequantized_bytes(sum->input(0)), *b = dequantized_bytes(sum->input(1));
    const DType dtype = quantize->output(0)->type().dtype;
    if (!a || !b || a->input(0)->type().dtype != dtype || b->input(0)->type().dtype != dtype)
      return false;
    replace(quantize, {.op_type = "QLinearAdd",
                       .inputs = {a->input(0), a->input(1), a->input(2), b->input(0), b->input(1),
                                  b->input(2), quantize->input(1), quantize->input(2)},
                       .domain = "com.microsoft",
                       .name = sum->name()});
    return true;
  }

  // Operators that only choose among elements commute with quantisation.
  bool move(Node* node, Node* quantize) {
    bool moves = false;
    for (const char* name :
         {"MaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice"})
      moves |= node->is(name);
    if (!moves || node->outputs().size() != 1) return false;
    if (node->is("MaxPool") && node->opset() < 12) return false;
    Node* x = dequantized_bytes(node->input(0));
    if (!x || !same_constant(x->input(1), quantize->input(1)) ||
        !same_constant(x->input(2), quantize->input(2)))
      return false;
    NodeSpec spec{.op_type = node->op_type(),
                  .inputs = node->inputs(),
                  .attrs = node->attrs(),
                  .name = node->name(),
                  .opset = node->opset()};
    spec.inputs[0] = x->input(0);
    replace(quantize, std::move(spec));
    return true;
  }

  Graph& graph_;
};

}  // namespace

// yq = QuantizeLinear(Conv(DequantizeLinear(xq), DequantizeLinear(wq))) becomes
// yq = QLinearConv(xq, wq); sums become com.microsoft::QLinearAdd, and what only moves elements
// works on the bytes.
bool fuse_quantized(Graph& graph) { return Fusion(graph).run(); }

}  // namespace sdx::passes
