// RelativePositionBias and GatedRelativePositionBias of com.microsoft: what T5 and WavLM add to the
// scores of their attentions.
#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

// (table, query_length, key_length): a row of the table for each distance between a query and a
// key, short ones each with a row of their own, longer ones with a row for ever more of them.
class RelativeBias final : public Composition {
 public:
  explicit RelativeBias(const OpInit& init)
      : bidirectional_(init.attrs.get("is_bidirectional", 0) != 0),
        max_distance_(init.attrs.require<int64_t>("max_distance")) {
    check(max_distance_ > 0, "max_distance is ", max_distance_);
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.dtype(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const auto binary = [&](const char* type, Value* a, Value* b) {
      return e.add(type, {a, b}, {}, 14);
    };
    const auto number = [&](int64_t value) { return e.constant(Tensor::scalar(value)); };
    const auto places = [&](std::size_t input) {
      Value* end = e.add("Squeeze", {e.cast(e.input(input), DType::int64)});
      return e.add("Range", {number(0), end, number(1)}, {}, 11);
    };
    Value* behind = e.add("Unsqueeze", {places(1), e.integers({1})});
    Value* offset = binary("Sub", places(2), behind);
    Value* buckets = e.number_of(e.input(0), 0);
    Value *side = nullptr, *distance;
    if (bidirectional_) {
      buckets = binary("Div", buckets, number(2));
      side = binary("Mul", e.cast(e.add("Greater", {offset, number(0)}), DType::int64), buckets);
      distance = e.add("Abs", {offset});
    } else {
      distance = e.add("Max", {e.add("Neg", {offset}), number(0)});
    }
    // So many distances have a bucket of their own; the others grow by a factor.
    Value* exact = binary("Div", buckets, number(2));
    const auto logarithm = [&](Value* value) {
      Value* wide = e.cast(value, DType::float64);
      return e.add("Log", {binary("Div", wide, e.cast(exact, DType::float64))});
    };
    Value* share =
        binary("Div", logarithm(e.add("Max", {distance, exact})), logarithm(number(max_distance_)));
    Value* steps = binary("Mul", share, e.cast(binary("Sub", buckets, exact), DType::float64));
    Value* far = binary("Add", exact, e.cast(steps, DType::int64));
    far = e.add("Min", {far, binary("Sub", buckets, number(1))});
    Value* bucket = e.add("Where", {e.add("Less", {distance, exact}), distance, far}, {}, 16);
    if (side) bucket = binary("Add", bucket, side);
    Value* rows = e.add("Gather", {e.input(0), bucket});
    rows = e.add("Transpose", {rows}, {{"perm", std::vector<int64_t>{2, 0, 1}}});
    e.finish(0, e.add("Unsqueeze", {rows, e.integers({0})}));
    return true;
  }

 private:
  bool bidirectional_;
  int64_t max_distance_;
};

// (query, query_bias, rel_pos, weight, bias, eco_a): a bias times what two gates make of a query.
class GatedRelativeBias final : public Composition {
 public:
  explicit GatedRelativeBias(const OpInit& init)
      : heads_(init.attrs.require<int64_t>("num_heads")) {
    check(heads_ > 0, "num_heads is ", heads_);
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.dtype(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    if (node.input(6)) fail(ErrorKind::unsupported, "queries without padding are not supported");
    const DType dtype = e.input(0)->type().dtype;
    check(is_float(dtype), "expected a float input, got ", dtype);
    const auto binary = [&](const char* type, Value* a, Value* b) {
      return e.add(type, {a, b}, {}, 14);
    };
    Value* x = binary("Add", e.input(0), e.input(1));
    x = e.add("Reshape", {x, e.integers({0, 0, heads_, -1})}, {}, 14);
    x = e.add("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
    x = binary("Add", e.add("MatMul", {x, e.input(3)}), e.input(4));
    x = e.add("Reshape", {x, e.integers({0, 0, 0, 2, -1})}, {}, 14);
    x = e.add("ReduceSum", {x, e.integers({-1})}, {{"keepdims", int64_t{0}}});
    const Node* gates = e.add_node({.op_type = "Split",
                                    .inputs = {e.add("Sigmoid", {x})},
                                    .attrs = attributes({{"axis", int64_t{-1}}}),
                                    .opset = 13},
                                   2);
    Value* factor = binary("Mul", gates->output(1), e.input(5));
    factor = binary("Mul", gates->output(0), binary("Sub", factor, e.scalar(dtype, 1)));
    e.finish(0, binary("Mul", binary("Add", factor, e.scalar(dtype, 2)), e.input(2)));
    return true;
  }

 private:
  int64_t heads_;
};

}  // namespace

[[gnu::cold]] void register_contrib_relative_bias(OpRegistry& ops) {
  ops.add<RelativeBias>("RelativePositionBias", {.since = 1}, "com.microsoft");
  ops.add<GatedRelativeBias>("GatedRelativePositionBias", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
