// FlexAttention of ai.onnx.preview: attention whose scores and probabilities go through subgraphs
// of the model. It becomes ordinary nodes, the subgraphs' among them.
#include <cmath>
#include <map>

#include "ops/checks.h"
#include "ops/composition.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

constexpr int kOpset = 18;  // whose forms the nodes below follow
constexpr std::size_t kFormalInputs = 3;

class FlexAttention final : public Composition {
 public:
  explicit FlexAttention(const OpInit& init) : has_scale_(init.attrs.has("scale")) {
    scale_ = init.attrs.get("scale", 1.0);
    const int64_t code = init.attrs.get("softmax_precision", 0);
    check(is_known_dtype(code) || code == 0, "softmax_precision is ", code);
    precision_ = static_cast<DType>(code);
    check(code == 0 || is_float(precision_), "softmax_precision is ", precision_);
    check(!has_scale_ || scale_ >= 0, "a scale of ", scale_);
  }

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < 3; ++i) {
      check(is_float(ctx.dtype(i)), "expected a float input, got ", ctx.dtype(i));
      check(ctx.dtype(i) == ctx.dtype(0), "element types differ: ", ctx.dtype(0), " and ",
            ctx.dtype(i));
      check_rank(ctx, i, 4);
    }
    const auto dims = [&](int i) {
      return ctx.has_rank(i) ? ctx.dims(i) : Dims(4, Dim::unknown());
    };
    const Dims q = dims(0), k = dims(1), v = dims(2);
    check(may_equal(q[0], k[0]) && may_equal(q[0], v[0]), "batches differ: ", q[0], ", ", k[0],
          " and ", v[0]);
    check(may_equal(k[1], v[1]), "keys of ", k[1], " heads, values of ", v[1]);
    check(may_equal(k[2], v[2]), "keys of length ", k[2], ", values of ", v[2]);
    check(may_equal(q[3], k[3]), "queries of size ", q[3], ", keys of ", k[3]);
    if (q[1].is_known() && k[1].is_known())
      check(k[1].value() > 0 && q[1].value() % k[1].value() == 0, q[1],
            " query heads cannot share ", k[1], " key heads");
    ctx.set_output(0, ctx.dtype(0), {q[0], q[1], q[2], v[3]});
  }
  bool expand(Graph& graph, Node& node) const override {
    const DType dtype = node.input(0)->type().dtype;
    DType precision = precision_;
    if (precision == DType::undefined)
      precision = dtype == DType::float64 ? DType::float64 : DType::float32;
    Builder build{{graph, node}};
    Value *q = node.input(0), *k = node.input(1), *v = node.input(2);
    if (Value* shared = build.key_heads()) {
      k = build.add("Gather", {k, shared}, {{"axis", int64_t{1}}});
      v = build.add("Gather", {v, shared}, {{"axis", int64_t{1}}});
    }
    // Both sides of the product take the square root of the scale, as the standard has it.
    Value* scale = root_of_scale(build, dtype);
    q = build.add("Mul", {q, scale});
    k = build.add("Mul", {k, scale});
    k = build.add("Transpose", {k}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
    Value* scores = build.cast(build.add("MatMul", {q, k}), precision);
    scores = build.inlined("score_mod", scores);
    Value* weights = build.add("Softmax", {scores}, {{"axis", int64_t{-1}}});
    weights = build.inlined("prob_mod", weights);
    Value* y = build.add("MatMul", {weights, build.cast(v, precision)});
    graph.replace_uses(node.output(0), build.cast(y, dtype));
    return true;
  }

 private:
  struct Builder : Expander {
    Value* add(const char* op_type, std::vector<Value*> inputs, AttributeList attrs = {}) const {
      return Expander::add(op_type, std::move(inputs), attrs, kOpset);
    }

    // The key head of every query head; null where each has its own.
    Value* key_heads() {
      const auto& q = node.input(0)->type().shape;
      const auto& k = node.input(1)->type().shape;
      if (q && k && (*q)[1] == (*k)[1]) return nullptr;
      Value *heads = size(node.input(0), 1), *kv_heads = size(node.input(1), 1);
      Value* group = add("Div", {heads, kv_heads});
      Value* zero = graph.add_constant("", Tensor::scalar(int64_t{0}));
      Value* one = graph.add_constant("", Tensor::scalar(int64_t{1}));
      Value* all = add("Range", {zero, add("Squeeze", {heads}), one});
      return add("Div", {all, group});
    }

    // `value` after the subgraph, whose nodes move into this graph.
    Value* inlined(const char* attribute, Value* value) {
      const auto* subgraph = node.attrs().find<std::shared_ptr<Graph>>(attribute);
      if (!subgraph) return value;
      const Graph& inner = **subgraph;
      const std::size_t captures = node.inputs().size() - kFormalInputs;
      check(inner.inputs().size() == 1 + captures && inner.outputs().size() == 1, attribute,
            " has ", inner.inputs().size() - captures, " inputs and ", inner.outputs().size(),
            " outputs, expected one of each");
      std::map<const Value*, Value*> outer{{nullptr, nullptr}, {inner.inputs()[0], value}};
      for (std::size_t i = 0; i < captures; ++i)
        outer[inner.inputs()[1 + i]] = node.input(kFormalInputs + i);
      const auto find = [&](const Value* from) {
        const auto found = outer.find(from);
        if (found != outer.end()) return found->second;
        check(from->is_constant(), attribute, " uses '", from->name(), "', which nothing makes");
        return outer[from] = graph.add_constant("", *from->constant());
      };
      for (const Node* from : inner.nodes()) {
        NodeSpec spec{.op_type = from->op_type(),
                      .inputs = {},
                      .attrs = from->attrs(),
                      .domain = from->domain(),
                      .outputs = std::vector<std::string>(from->outputs().size()),
                      .opset = from->opset(),
                      .capture_count = from->capture_count()};
        if (!from->name().empty()) spec.name = node.name() + "/" + from->name();
        for (const Value* input : from->inputs()) spec.inputs.push_back(find(input));
        for (std::size_t i = 0; i < from->outputs().size(); ++i)
          if (from->output(i) && from->outputs().size() > 1)
            spec.outputs[i] = node.name() + "/" + attribute + "/" + from->output(i)->name();
        const Node* copy = graph.insert_before(&node, std::move(spec));
        for (std::size_t i = 0; i < from->outputs().size(); ++i)
          if (from->output(i)) outer[from->output(i)] = copy->output(i);
      }
      Value* result = find(inner.outputs()[0]);
      const DType wanted = value->type().dtype;
      check(result->type().dtype == wanted, attribute, " makes ", result->type().dtype, " of ",
            wanted);
      return result;
    }
  };

  Value* root_of_scale(Builder& build, DType dtype) const {
    const auto& shape = build.node.input(0)->type().shape;
    if (has_scale_) return build.scalar(dtype, std::sqrt(scale_));
    if (shape && (*shape)[3].is_known()) {
      check((*shape)[3].value() > 0, "heads of size ", (*shape)[3]);
      const double root = 1 / std::sqrt(std::sqrt(static_cast<double>((*shape)[3].value())));
      return build.scalar(dtype, root);
    }
    const DType wide = dtype == DType::float64 ? dtype : DType::float32;
    Value* size = build.cast(build.size(build.node.input(0), 3), wide);
    return build.cast(build.add("Pow", {size, build.scalar(wide, -0.25)}), dtype);
  }

  bool has_scale_;
  float scale_;
  DType precision_;
};

}  // namespace

[[gnu::cold]] void register_flex_attention(OpRegistry& ops) {
  ops.add<FlexAttention>("FlexAttention", {.since = 1}, "ai.onnx.preview");
}

}  // namespace sdx::ops
