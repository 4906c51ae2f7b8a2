// SparseAttention of com.microsoft: GroupQueryAttention in which each head meets only some blocks
// of keys, which lists of compressed rows name.
#include <limits>

#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

class SparseAttention final : public Composition {
 public:
  explicit SparseAttention(const OpInit& init)
      : heads_(init.attrs.require<int64_t>("num_heads")),
        block_(init.attrs.require<int64_t>("sparse_block_size")) {
    check(heads_ > 0, "num_heads is ", heads_);
    check(block_ > 0, "sparse_block_size is ", block_);
  }

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < 3; ++i)
      if (ctx.wants_output(i)) ctx.set_output(i, ctx.dtype(kQuery));
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    for (const int i : {kPastKey, kPastValue, kRows, kColumns, kTotal, kLengths}) e.input(i);
    Value* one = e.constant(Tensor::scalar<int32_t>(1));
    NodeSpec spec{
        .op_type = "GroupQueryAttention",
        .inputs = {e.input(kQuery), node.input(kKey), node.input(kValue), node.input(kPastKey),
                   node.input(kPastValue), e.add("Sub", {node.input(kLengths), one}, {}, 14),
                   node.input(kTotal), node.input(kCos), node.input(kSin), nullptr, bias(e)},
        .attrs = node.attrs(),
        .domain = "com.microsoft",
        .opset = 1};
    spec.attrs.erase("sparse_block_size");
    const Node* attention = e.add_node(std::move(spec), 3);
    for (std::size_t i = 0; i < 3; ++i) e.finish(i, attention->output(i));
    return true;
  }

 private:
  static constexpr int kQuery = 0, kKey = 1, kValue = 2, kPastKey = 3, kPastValue = 4, kRows = 5;
  static constexpr int kColumns = 6, kTotal = 7, kLengths = 8, kCos = 9, kSin = 10;

  // 0 to the one number in `count`, of its type.
  static Value* range(const Expander& e, Value* count) {
    const auto number = [&](int64_t value) {
      return e.cast(e.constant(Tensor::scalar(value)), count->type().dtype);
    };
    return e.add("Range", {number(0), count, number(1)}, {}, 11);
  }

  static Value* unsqueezed(const Expander& e, Value* value, int64_t axis) {
    return e.add("Unsqueeze", {value, e.integers({axis})});
  }

  // [layouts, blocks, blocks]: 1 where a block of queries meets one of keys, 0 elsewhere.
  static Value* layouts(const Expander& e) {
    Value* rows = e.cast(e.input(kRows), DType::int64);
    Value* columns = e.cast(e.input(kColumns), DType::int64);
    const auto part = [&](int64_t begin, int64_t end) {
      return e.add("Slice", {rows, e.integers({begin}), e.integers({end}), e.integers({1})});
    };
    Value *begin = part(0, -1), *end = part(1, std::numeric_limits<int64_t>::max());
    Value* entry = range(e, e.number_of(columns, 1));
    Value* in_row = e.add("And",
                          {e.add("LessOrEqual", {unsqueezed(e, begin, 2), entry}, {}, 16),
                           e.add("Less", {entry, unsqueezed(e, end, 2)})},
                          {}, 7);
    Value* block = range(e, e.number_of(begin, 1));
    Value* in_column = e.add("Equal", {unsqueezed(e, columns, 2), block});
    return e.add("MatMul", {e.cast(in_row, DType::float32), e.cast(in_column, DType::float32)});
  }

  // What is added to the scores [batch, heads, queries, keys].
  Value* bias(const Expander& e) const {
    const DType dtype = e.input(kQuery)->type().dtype;
    check(is_float(dtype), "attention of ", dtype);
    Value* total =
        e.add("Reshape",
              {e.cast(e.input(kTotal), DType::int64), e.constant(Tensor::of<int64_t>({}))}, {}, 14);
    Value* lengths = e.cast(e.input(kLengths), DType::int64);
    Value* queries = e.number_of(e.input(kQuery), 1);
    Value* zero = e.constant(Tensor::scalar<int64_t>(0));
    // Where the first query stands; those of a prompt stand at its beginning.
    Value* first = e.add(
        "Where", {e.add("Equal", {total, queries}), zero, e.add("Sub", {lengths, queries}, {}, 14)},
        {}, 16);
    Value* places = e.add("Add", {unsqueezed(e, first, 1), range(e, queries)}, {}, 14);
    Value* size_of_block = e.constant(Tensor::scalar(block_));
    const auto block_of = [&](Value* place) {
      return e.add("Div", {place, size_of_block}, {}, 14);
    };
    Value* layout = layouts(e);
    Value* count = e.number_of(layout, 0);
    // [layouts, batch, queries, blocks], then keys in the place of blocks.
    Value* met = e.add("Gather", {layout, block_of(places)}, {{"axis", int64_t{1}}});
    met = e.add("Gather", {met, block_of(range(e, total))}, {{"axis", int64_t{3}}});
    Value* scores = e.add("Where",
                          {e.cast(met, DType::boolean), e.scalar(dtype, 0),
                           e.scalar(dtype, dtype == DType::float16 ? -65504 : -1e30)},
                          {}, 16);
    // Layouts go round the heads.
    Value* head = range(e, e.constant(Tensor::scalar(heads_)));
    scores = e.add("Gather", {scores, e.add("Mod", {head, count})}, {{"axis", int64_t{0}}});
    return e.add("Transpose", {scores}, {{"perm", std::vector<int64_t>{1, 0, 2, 3}}});
  }

  int64_t heads_, block_;
};

}  // namespace

[[gnu::cold]] void register_contrib_sparse_attention(OpRegistry& ops) {
  ops.add<SparseAttention>("SparseAttention", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
