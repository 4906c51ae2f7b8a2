// LinearAttentionGate and MRotaryEmbedding of com.microsoft, made of what the standard has.
#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

// (a, bias, scale, b?): scale softplus(a + bias) in float32, and sigmoid(b).
class LinearAttentionGate final : public Composition {
 public:
  explicit LinearAttentionGate(const OpInit& init) {
    check(init.output_count < 2 || init.input_count == 4, "the second output needs input 3");
  }

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < 2; ++i)
      if (ctx.wants_output(i)) ctx.set_output(i, ctx.input(0));
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const DType dtype = e.input(0)->type().dtype;
    Value* gate = e.add("Add", {e.cast(e.input(0), DType::float32), e.input(1)}, {}, 14);
    gate = e.add("Mul", {e.add("Softplus", {gate}), e.input(2)}, {}, 14);
    e.finish(0, e.cast(gate, dtype));
    if (node.output(1)) e.finish(1, e.add("Sigmoid", {e.input(3)}));
    return true;
  }
};

// (x, positions, cosines, sines): a rotation whose angles come from three streams of positions,
// time, height and width, each giving its part of the pairs.
class MRotaryEmbedding final : public Composition {
 public:
  explicit MRotaryEmbedding(const OpInit& init) : sections_(init.attrs.ints("mrope_section")) {
    check(sections_.size() == 3, "mrope_section has ", sections_.size(), " entries, expected 3");
    for (const int64_t size : sections_)
      check(size >= 0 && size < int64_t{1} << 31, "mrope_section holds ", size);
    const int64_t layout = init.attrs.get("mrope_layout", 0);
    check(layout == 0 || layout == 1, "mrope_layout is ", layout);
    interleaved_ = layout == 1;
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const auto& positions = e.input(1)->type().shape;
    check(!positions || (positions->size() == 3 && (*positions)[0].value_or(3) == 3),
          "position_ids do not hold three streams");
    const auto& cache = e.input(2)->type().shape;
    const int64_t pairs = sections_[0] + sections_[1] + sections_[2];
    check(!cache || (cache->size() == 2 && (*cache)[1].value_or(pairs) == pairs),
          "mrope_section of ", pairs, " pairs for other angles");
    Value* takes[3] = {};
    for (const int stream : {1, 2}) {
      Tensor mask = Tensor::allocate(DType::boolean, {pairs});
      for (int64_t i = 0; i < pairs; ++i) mask.data<bool>()[i] = stream_of(i) == stream;
      takes[stream] = e.constant(std::move(mask));
    }
    Value* angles[2];
    for (const std::size_t table : {2, 3}) {
      Value* chosen = nullptr;
      for (const int64_t stream : {0, 1, 2}) {
        Value* at = e.add("Gather", {e.input(1), e.constant(Tensor::scalar(stream))});
        Value* rows = e.add("Gather", {e.input(table), at});
        chosen = chosen ? e.add("Where", {takes[stream], rows, chosen}, {}, 16) : rows;
      }
      if (const double scale = node.attrs().get("scale", 1.0); scale != 1)
        chosen = e.add("Mul", {chosen, e.scalar(chosen->type().dtype, scale)}, {}, 14);
      angles[table - 2] = chosen;
    }
    NodeSpec spec{
        .op_type = "RotaryEmbedding", .inputs = {e.input(0), angles[0], angles[1]}, .opset = 23};
    for (const char* name : {"interleaved", "num_heads", "rotary_embedding_dim"})
      if (node.attrs().has(name)) spec.attrs.set(name, node.attrs().get(name, 0));
    e.finish(0, e.add(std::move(spec)));
    return true;
  }

 private:
  // Which stream turns pair i.
  int stream_of(int64_t i) const {
    if (!interleaved_) return i < sections_[0] ? 0 : i < sections_[0] + sections_[1] ? 1 : 2;
    const auto stream = static_cast<int>(i % 3);
    return stream > 0 && i < 3 * sections_[stream] ? stream : 0;
  }

  std::vector<int64_t> sections_;
  bool interleaved_;
};

}  // namespace

[[gnu::cold]] void register_contrib_linear(OpRegistry& ops) {
  ops.add<LinearAttentionGate>("LinearAttentionGate", {.since = 1}, "com.microsoft");
  ops.add<MRotaryEmbedding>("MRotaryEmbedding", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
