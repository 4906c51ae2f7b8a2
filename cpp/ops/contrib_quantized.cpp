// QAttention, QEmbedLayerNormalization and DynamicQuantizeLSTM of com.microsoft: what their float
// forms are made of, around products or tables of 8-bit integers.
#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

const char* const kContrib = "com.microsoft";

// (input, weights, bias, input_scale, weight_scale, mask?, input_zero?, weight_zero?, past?):
// projects its input to queries, keys and values in integers.
class QAttention final : public Composition {
 public:
  explicit QAttention(const OpInit& init) {
    if (init.attrs.get("do_rotary", 0) != 0 || init.attrs.get("past_present_share_buffer", 0) != 0)
      fail(ErrorKind::unsupported, "rotation and shared caches are not supported");
    heads_ = init.attrs.require<int64_t>("num_heads");
    check(heads_ > 0, "num_heads is ", heads_);
  }

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < 2; ++i)
      if (ctx.wants_output(i)) ctx.set_output(i, ctx.dtype(kInputScale));
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    Value* projected =
        e.add({.op_type = "MatMulIntegerToFloat",
               .inputs = {e.input(0), e.input(1), e.input(kInputScale), e.input(kInputScale + 1),
                          node.input(6), node.input(7), e.input(2)},
               .domain = kContrib});
    const Node* parts = e.add_node({.op_type = "Split",
                                    .inputs = {projected},
                                    .attrs = attributes({{"axis", int64_t{2}}}),
                                    .opset = 13},
                                   3);
    NodeSpec spec{
        .op_type = "MultiHeadAttention",
        .inputs = {parts->output(0), parts->output(1), parts->output(2), nullptr, node.input(5)},
        .attrs = attributes({{"num_heads", heads_}}),
        .domain = kContrib};
    for (const char* name : {"unidirectional", "scale", "mask_filter_value"})
      if (node.attrs().has(name)) spec.attrs.set(name, node.attrs().all().find(name)->second);
    if (Value* past = node.input(8)) {
      spec.inputs.push_back(nullptr);
      for (const int64_t i : {0, 1})
        spec.inputs.push_back(e.add("Gather", {past, e.constant(Tensor::scalar(i))}));
    }
    const Node* attention = e.add_node(std::move(spec), node.output(1) ? 3 : 1);
    if (node.output(1)) {
      std::vector<Value*> halves;
      for (const std::size_t i : {1, 2})
        halves.push_back(e.add("Unsqueeze", {attention->output(i), e.integers({0})}));
      e.finish(1, e.add("Concat", halves, {{"axis", int64_t{0}}}));
    }
    e.finish(0, attention->output(0));
    return true;
  }

 private:
  static constexpr int kInputScale = 3;

  int64_t heads_;
};

// (ids, segments?, three tables, gamma, beta, mask?, five scales, five zero points): only the rows
// of the tables that are read turn into floats.
class QEmbedNorm final : public Composition {
 public:
  explicit QEmbedNorm(const OpInit& init) : epsilon_(init.attrs.get("epsilon", 1e-12)) {
    check(init.input_count == 18, "expected 18 inputs, got ", init.input_count);
  }

  void infer(InferContext& ctx) const override {
    ctx.set_output(0, ctx.dtype(kScales));
    if (ctx.wants_output(1)) ctx.set_output(1, DType::int32);
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    Value *ids = e.input(0), *zero = e.integers({0}), *last = e.integers({1});
    Value* shape = e.add("Shape", {ids});
    Value* length = e.add("Slice", {shape, last, e.integers({2}), zero});
    Value* sum = floats(e, e.add("Gather", {e.input(kTables), ids}), 0);
    Value* positions = e.add("Slice", {e.input(kTables + 1), zero, length, zero});
    sum = e.add("Add", {sum, floats(e, positions, 1)}, {}, 14);
    if (node.input(1) && node.input(kTables + 2)) {
      Value* rows = e.add("Gather", {node.input(kTables + 2), node.input(1)});
      sum = e.add("Add", {sum, floats(e, rows, 2)}, {}, 14);
    }
    e.finish(0, e.add("LayerNormalization",
                      {sum, floats(e, e.input(kTables + 3), 3), floats(e, e.input(kTables + 4), 4)},
                      {{"axis", int64_t{-1}}, {"epsilon", epsilon_}}, 17));
    if (!node.output(1)) return true;
    Value* mask = node.input(7);
    if (!mask) {
      Value* batch = e.add("Slice", {shape, zero, last, zero});
      e.finish(1, e.add("ConstantOfShape", {batch}, {{"value", Tensor::of<int32_t>({0})}}, 9));
      return true;
    }
    Value* counted = e.add("Equal", {mask, e.constant(Tensor::scalar<int32_t>(1))});
    counted = e.cast(counted, DType::int32);
    e.finish(1, e.add("ReduceSum", {counted, last}, {{"keepdims", int64_t{0}}}));
    return true;
  }

 private:
  static constexpr std::size_t kTables = 2, kScales = 8, kZeros = 13;

  // Items of table i as floats.
  static Value* floats(const Expander& e, Value* items, std::size_t i) {
    NodeSpec spec{
        .op_type = "DequantizeLinear", .inputs = {items, e.input(kScales + i)}, .opset = 13};
    if (Value* zero = e.node.input(kZeros + i)) spec.inputs.push_back(zero);
    return e.add(std::move(spec));
  }

  float epsilon_;
};

// LSTM (X, W, R, B?, lengths?, h?, c?, P?, W's scale and zero point, R's) with weights
// [directions, inputs, gates] of 8 bits. The input stays float: ONNX Runtime rounds it to 8 bits.
class DynamicQuantizeLstm final : public Composition {
 public:
  explicit DynamicQuantizeLstm(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < 3; ++i)
      if (ctx.wants_output(i)) ctx.set_output(i, ctx.dtype(0));
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    NodeSpec spec{.op_type = "LSTM",
                  .inputs = {e.input(0), weights(e, 1, 8), weights(e, 2, 10)},
                  .attrs = node.attrs(),
                  .opset = 14};
    for (std::size_t i = 3; i < 8; ++i) spec.inputs.push_back(node.input(i));
    while (!spec.inputs.back()) spec.inputs.pop_back();
    const Node* network = e.add_node(std::move(spec), 3);
    for (const std::size_t i : {0, 1, 2}) e.finish(i, network->output(i));
    return true;
  }

 private:
  static Value* weights(const Expander& e, std::size_t i, std::size_t scale) {
    const auto wide = [&](Value* value) { return e.cast(value, DType::float32); };
    // One number a direction, or one a column.
    const auto spread = [&](Value* value) {
      const auto& shape = value->type().shape;
      if (!shape) fail(ErrorKind::unsupported, "scales of unknown rank are not supported");
      check(shape->size() == 1 || shape->size() == 2, "a scale or zero point of shape ", *shape);
      return e.add("Unsqueeze", {value, shape->size() == 2 ? e.integers({1}) : e.integers({1, 2})});
    };
    Value* value = e.input(i);
    const DType dtype = value->type().dtype;
    check(dtype == DType::int8 || dtype == DType::uint8, "weights are ", dtype);
    value = wide(value);
    if (Value* zero = e.node.input(scale + 1))
      value = e.add("Sub", {value, spread(wide(zero))}, {}, 14);
    value = e.add("Mul", {value, spread(e.input(scale))}, {}, 14);
    return e.add("Transpose", {value}, {{"perm", std::vector<int64_t>{0, 2, 1}}});
  }
};

}  // namespace

[[gnu::cold]] void register_contrib_quantized(OpRegistry& ops) {
  ops.add<QAttention>("QAttention", {.since = 1}, kContrib);
  ops.add<QEmbedNorm>("QEmbedLayerNormalization", {.since = 1}, kContrib);
  ops.add<DynamicQuantizeLstm>("DynamicQuantizeLSTM", {.since = 1}, kContrib);
}

}  // namespace sdx::ops
