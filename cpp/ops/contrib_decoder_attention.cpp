// DecoderMaskedMultiHeadAttention of com.microsoft: what MultiHeadAttention does for one query of
// each sequence, with its inputs in another order.
#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

class DecoderAttention final : public Composition {
 public:
  explicit DecoderAttention(const OpInit& init)
      : shares_buffer_(init.attrs.get("past_present_share_buffer", 0) != 0) {}

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < 4; ++i)
      if (ctx.wants_output(i)) ctx.set_output(i, ctx.dtype(kQuery));
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    check(!node.input(kKey) == !node.input(kValue), "keys and values go together or packed");
    Value *q = e.input(kQuery), *k = node.input(kKey), *v = node.input(kValue);
    if (!k) {
      const Node* parts = e.add_node({.op_type = "Split",
                                      .inputs = {q},
                                      .attrs = attributes({{"axis", int64_t{-1}}}),
                                      .opset = 13},
                                     3);
      q = parts->output(0), k = parts->output(1), v = parts->output(2);
    }
    NodeSpec spec{.op_type = "MultiHeadAttention",
                  .inputs = {q, k, v, node.input(kBias), node.input(kMask), node.input(kScoreBias),
                             node.input(kPastKey), node.input(kPastValue)},
                  .attrs = node.attrs(),
                  .domain = "com.microsoft",
                  .opset = 1};
    // Attention to another sequence has no past.
    if (shares_buffer_ && node.input(kPastKey)) {
      check(node.input(kPastLength) != nullptr, "past_sequence_length is missing");
      spec.inputs.push_back(node.input(kPastLength));
      spec.inputs.push_back(node.input(kIndirection));
    }
    const Node* attention = e.add_node(std::move(spec), 4);
    for (std::size_t i = 0; i < 4; ++i) e.finish(i, attention->output(i));
    return true;
  }

 private:
  static constexpr int kQuery = 0, kKey = 1, kValue = 2, kMask = 3, kScoreBias = 4, kPastKey = 5;
  static constexpr int kPastValue = 6, kPastLength = 7, kIndirection = 9, kBias = 10;

  bool shares_buffer_;
};

}  // namespace

[[gnu::cold]] void register_contrib_decoder_attention(OpRegistry& ops) {
  ops.add<DecoderAttention>("DecoderMaskedMultiHeadAttention", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
