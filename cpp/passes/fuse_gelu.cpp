#include <cmath>

#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

// x where value is Erf(x / sqrt 2), however the division is written.
Value* erf_argument(const Value* value) {
  const Node* erf = producer(value, "Erf");
  if (!erf) return nullptr;
  if (const Node* division = producer(erf->input(0), "Div"))
    return is_scalar(division->input(1), std::sqrt(2.0)) ? division->input(0) : nullptr;
  if (const Node* product = producer(erf->input(0), "Mul"))
    if (const auto operand = scalar_operand(*product))
      if (is_about(operand->first, std::sqrt(0.5))) return operand->second;
  return nullptr;
}

// x where value is x ^ 3 or (x * x) * x.
Value* cubed(const Value* value) {
  if (const Node* power = producer(value, "Pow"))
    return is_scalar(power->input(1), 3.0) ? power->input(0) : nullptr;
  const Node* product = producer(value, "Mul");
  for (const std::size_t i : {0, 1}) {
    const Node* square = product ? producer(product->input(i), "Mul") : nullptr;
    if (square && square->input(0) == square->input(1) && square->input(0) == product->input(1 - i))
      return square->input(0);
  }
  return nullptr;
}

// x where value is Tanh(sqrt(2 / pi) * (x + 0.044715 x^3)).
Value* tanh_argument(const Value* value) {
  const Node* tanh = producer(value, "Tanh");
  const Node* scaled = tanh ? producer(tanh->input(0), "Mul") : nullptr;
  const auto outer = scaled ? scalar_operand(*scaled) : std::nullopt;
  if (!outer || !is_about(outer->first, std::sqrt(2.0 / M_PI))) return nullptr;
  const Node* sum = producer(outer->second, "Add");
  if (!sum) return nullptr;
  for (const std::size_t i : {0, 1}) {
    Value* x = sum->input(i);
    const Node* cubic = producer(sum->input(1 - i), "Mul");
    const auto inner = cubic ? scalar_operand(*cubic) : std::nullopt;
    if (inner && is_about(inner->first, 0.044715) && cubed(inner->second) == x) return x;
  }
  return nullptr;
}

struct Match {
  Value* x = nullptr;
  bool tanh = false;
};

// Reads (1 + erf(...)) or (1 + tanh(...)).
Match bracket(const Value* value) {
  const Node* sum = producer(value, "Add");
  const auto one = sum ? scalar_operand(*sum) : std::nullopt;
  if (!one || one->first != 1.0f) return {};
  if (Value* x = erf_argument(one->second)) return {x, false};
  return {tanh_argument(one->second), true};
}

// The product of three factors x, 0.5 and the bracket, in any order and nesting.
Match gelu_of(const Node& product) {
  for (const std::size_t i : {0, 1}) {
    Value *a = product.input(i), *b = product.input(1 - i);
    // (x * bracket) * 0.5
    if (is_scalar(a, 0.5)) {
      const Node* inner = producer(b, "Mul");
      for (const std::size_t j : {0, 1}) {
        if (!inner) break;
        const Match match = bracket(inner->input(j));
        if (match.x && match.x == inner->input(1 - j)) return match;
      }
    }
    // (0.5 * x) * bracket, x * (0.5 * bracket)
    if (const Node* half = producer(a, "Mul")) {
      const auto operand = scalar_operand(*half);
      if (!operand || operand->first != 0.5f) continue;
      const Match outside = bracket(b);
      if (outside.x && outside.x == operand->second) return outside;
      const Match inside = bracket(operand->second);
      if (inside.x && inside.x == b) return inside;
    }
  }
  return {};
}

}  // namespace

// y = 0.5 * x * (1 + Erf(x / sqrt 2)) becomes y = Gelu(x), and the form with Tanh
// y = Gelu(x) {approximate = "tanh"}.
bool fuse_gelu(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!node->is("Mul") || node->output(0)->type().dtype != DType::float32) continue;
    const Match match = gelu_of(*node);
    if (!match.x || !same_rank(match.x, node->output(0))) continue;
    Attributes attrs;
    if (match.tanh) attrs.set("approximate", std::string("tanh"));
    Node* fused = graph.insert_before(node, {.op_type = "Gelu",
                                             .inputs = {match.x},
                                             .attrs = attrs,
                                             .name = node->name(),
                                             .opset = 20});
    graph.replace_uses(node->output(0), fused->output(0));
    changed = true;
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
