// The operators of com.microsoft on quantised tensors that are made of others: what ONNX says of
// floats, between DequantizeLinear and QuantizeLinear.
#include "base/error.h"
#include "ops/composition.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

// Versions whose forms the nodes below follow.
constexpr int kQuantizeOpset = 21, kOpset = 13, kPoolOpset = 19;

Value* add_node(Graph& graph, Node& before, NodeSpec spec) {
  if (spec.opset == 0) spec.opset = kOpset;
  return Expander{graph, before}.add(std::move(spec));
}

// The numbers of the quantised tensor in input i, whose scale and zero point follow it.
Value* floats(Graph& graph, Node& node, std::size_t i) {
  NodeSpec spec{.op_type = "DequantizeLinear", .inputs = {node.input(i), node.input(i + 1)}};
  if (node.input(i + 2)) spec.inputs.push_back(node.input(i + 2));
  spec.opset = kQuantizeOpset;
  return add_node(graph, node, std::move(spec));
}

// Puts `value` in place of the node's result, quantised by the scale in input i and the zero point
// behind it.
void finish(Graph& graph, Node& node, Value* value, std::size_t i) {
  NodeSpec spec{.op_type = "QuantizeLinear", .inputs = {value, node.input(i)}};
  spec.opset = kQuantizeOpset;
  if (node.input(i + 1))
    spec.inputs.push_back(node.input(i + 1));
  else
    spec.attrs.set("output_dtype", static_cast<int64_t>(node.output(0)->type().dtype));
  graph.replace_uses(node.output(0), add_node(graph, node, std::move(spec)));
}

// What the operators share: input `type_from` has the result's type, and nothing runs as it is.
class QLinearComposition : public Composition {
 public:
  void infer(InferContext& ctx) const final {
    const int zero = zero_point(ctx.node());
    const DType dtype = ctx.has_input(zero) ? ctx.dtype(zero) : fallback_type(ctx);
    ctx.set_output(0, dtype);
  }

 private:
  virtual int zero_point(const Node& node) const = 0;  // of the result
  virtual DType fallback_type(const InferContext& ctx) const { return ctx.dtype(0); }
};

// (X, scale, zero?, result's scale, zero?): one operator of floats with the node's attributes.
class QLinearUnary final : public QLinearComposition {
 public:
  explicit QLinearUnary(const OpInit& init) : name_(init.type.substr(7)) {}  // behind "QLinear"

  bool expand(Graph& graph, Node& node) const override {
    Attributes attrs = node.attrs();
    const bool channels_last = attrs.get("channels_last", 0) != 0;
    int opset = kOpset;
    if (name_ == "AveragePool") opset = kPoolOpset;
    if (name_ == "Softmax") opset = static_cast<int>(attrs.get("opset", kOpset));
    check(opset > 0, "opset is ", opset);
    if (name_ == "Softmax" && !attrs.has("axis")) attrs.set("axis", int64_t{-1});
    attrs.erase("channels_last");
    attrs.erase("opset");
    Value* x = floats(graph, node, 0);
    if (channels_last) x = Expander{graph, node}.channels_first(x);
    NodeSpec spec{.op_type = name_, .inputs = {x}, .attrs = std::move(attrs), .opset = opset};
    Value* y = add_node(graph, node, std::move(spec));
    if (channels_last) y = Expander{graph, node}.channels_last(y);
    finish(graph, node, y, 3);
    return true;
  }

 private:
  int zero_point(const Node&) const override { return 4; }

  std::string name_;
};

// (A, scale, zero, B, scale, zero, result's scale, zero?).
class QLinearMul final : public QLinearComposition {
 public:
  explicit QLinearMul(const OpInit&) {}

  bool expand(Graph& graph, Node& node) const override {
    Value *a = floats(graph, node, 0), *b = floats(graph, node, 3);
    finish(graph, node, add_node(graph, node, {.op_type = "Mul", .inputs = {a, b}}), 6);
    return true;
  }

 private:
  int zero_point(const Node&) const override { return 7; }
};

// (condition, X, scale, zero, Y, scale, zero, result's scale, zero).
class QLinearWhere final : public QLinearComposition {
 public:
  explicit QLinearWhere(const OpInit&) {}

  bool expand(Graph& graph, Node& node) const override {
    Value *x = floats(graph, node, 1), *y = floats(graph, node, 4);
    NodeSpec spec{.op_type = "Where", .inputs = {node.input(0), x, y}};
    finish(graph, node, add_node(graph, node, std::move(spec)), 7);
    return true;
  }

 private:
  int zero_point(const Node&) const override { return 8; }
  DType fallback_type(const InferContext& ctx) const override { return ctx.dtype(1); }
};

// (result's scale, zero, then a tensor, its scale and zero point for each part).
class QLinearConcat final : public QLinearComposition {
 public:
  explicit QLinearConcat(const OpInit& init) : axis_(init.attrs.require<int64_t>("axis")) {
    check(init.input_count >= 5 && init.input_count % 3 == 2, "expected 2 inputs and threes, got ",
          init.input_count);
  }

  bool expand(Graph& graph, Node& node) const override {
    NodeSpec spec{.op_type = "Concat", .inputs = {}};
    for (std::size_t i = 2; i < node.inputs().size(); i += 3)
      spec.inputs.push_back(floats(graph, node, i));
    spec.attrs.set("axis", axis_);
    finish(graph, node, add_node(graph, node, std::move(spec)), 0);
    return true;
  }

 private:
  int zero_point(const Node&) const override { return 1; }
  DType fallback_type(const InferContext& ctx) const override { return ctx.dtype(2); }

  int64_t axis_;
};

// (A, scale, zero, B, scale, zero, C?, result's scale?, zero?): C counts in units of the sums, and
// without a zero point the result is of floats.
class QGemm final : public QLinearComposition {
 public:
  explicit QGemm(const OpInit& init)
      : transposed_{init.attrs.get("transA", 0) != 0, init.attrs.get("transB", 0) != 0},
        alpha_(init.attrs.get("alpha", 1.0)) {}

  bool expand(Graph& graph, Node& node) const override {
    Value* operands[2];
    for (const std::size_t i : {0, 1}) {
      operands[i] = node.input(3 * i);
      if (transposed_[i])
        operands[i] = add_node(graph, node, {.op_type = "Transpose", .inputs = {operands[i]}});
    }
    Value* sums = add_node(graph, node,
                           {.op_type = "MatMulInteger",
                            .inputs = {operands[0], operands[1], node.input(2), node.input(5)}});
    if (Value* c = node.input(6))
      sums = add_node(graph, node, {.op_type = "Add", .inputs = {sums, c}});
    NodeSpec cast{.op_type = "Cast", .inputs = {sums}};
    cast.attrs.set("to", static_cast<int64_t>(DType::float32));
    Value* scale =
        add_node(graph, node, {.op_type = "Mul", .inputs = {node.input(1), node.input(4)}});
    if (alpha_ != 1) {
      Value* alpha = graph.add_constant("", Tensor::scalar(alpha_));
      scale = add_node(graph, node, {.op_type = "Mul", .inputs = {scale, alpha}});
    }
    Value* y = add_node(graph, node, std::move(cast));
    y = add_node(graph, node, {.op_type = "Mul", .inputs = {y, scale}});
    if (node.input(7))
      finish(graph, node, y, 7);
    else
      graph.replace_uses(node.output(0), y);
    return true;
  }

 private:
  int zero_point(const Node&) const override { return 8; }
  DType fallback_type(const InferContext& ctx) const override {
    return ctx.has_input(7) ? ctx.dtype(0) : DType::float32;
  }

  bool transposed_[2];
  float alpha_;
};

}  // namespace

[[gnu::cold]] void register_qlinear_compositions(OpRegistry& ops) {
  const std::string domain = "com.microsoft";
  for (const char* name : {"QLinearSigmoid", "QLinearLeakyRelu", "QLinearAveragePool",
                           "QLinearGlobalAveragePool", "QLinearSoftmax", "QLinearReduceMean"})
    ops.add<QLinearUnary>(name, {.since = 1}, domain);
  ops.add<QLinearMul>("QLinearMul", {.since = 1}, domain);
  ops.add<QLinearWhere>("QLinearWhere", {.since = 1}, domain);
  ops.add<QLinearConcat>("QLinearConcat", {.since = 1}, domain);
  ops.add<QGemm>("QGemm", {.since = 1}, domain);
}

}  // namespace sdx::ops
