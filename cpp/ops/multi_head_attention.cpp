// MultiHeadAttention and Attention of com.microsoft: heads with biases, padding masks and a past.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "base/error.h"
#include "ir/cache.h"
#include "ops/checks.h"
#include "ops/composition.h"
#include "ops/float32_adapter.h"
#include "ops/past_attention.h"
#include "ops/registry.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

// Heads [batch, rows, heads, width] as they lie in an input.
struct Part {
  int input = 0;
  int64_t offset = 0;  // of the first element
  int64_t rows = 0, width = 0;
  HeadLayout layout;
  // A bias of one number a head element, added into scratch.
  bool biased = false;
  int64_t bias_offset = 0, scratch_at = 0;

  void give_bias(ScratchPlan& plan, int64_t batch, int64_t heads, int64_t at) {
    biased = true;
    bias_offset = at;
    scratch_at = plan.add(checked_mul(batch * heads, checked_mul(rows, width)));
  }
  // How the part lies once its bias is added.
  HeadLayout ready_layout(int64_t heads) const {
    return biased ? rows_first(heads, rows, width) : layout;
  }
  const float* ready(const Frame& f, int64_t batch, int64_t heads, const float* bias) const;
};

const float* Part::ready(const Frame& f, int64_t batch, int64_t heads, const float* bias) const {
  const float* from = f.in<float>(input) + offset;
  if (!biased) return from;
  float* to = f.scratch<float>() + scratch_at;
  bias += bias_offset;
  const double cost = 0.3 * static_cast<double>(heads * width) + 5;
  f.parallel_for(split_work(batch * rows, cost), [&](Range r) {
    for (int64_t i = r.begin; i < r.end; ++i)
      for (int64_t h = 0; h < heads; ++h) {
        const float* x = from + i / rows * layout.batch + h * layout.head + i % rows * layout.row;
        float* y = to + (i * heads + h) * width;
        for (int64_t j = 0; j < width; ++j) y[j] = x[j] + bias[h * width + j];
      }
  });
  return to;
}

class MultiHeadAttention final : public Op, public KeepsCache {
 public:
  explicit MultiHeadAttention(const OpInit& init)
      : heads_(init.attrs.require<int64_t>("num_heads")),
        scale_(init.attrs.get("scale", 0.0)),
        mask_value_(init.attrs.get("mask_filter_value", -10000.0)),
        causal_(init.attrs.get("unidirectional", 0) != 0) {
    check(heads_ > 0, "num_heads is ", heads_);
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(kQuery);
    if (!is_float(dtype) || dtype == DType::float64)
      fail(ErrorKind::unsupported, "attention of ", dtype, " is not supported");
    for (const int i : {kKey, kValue, kBias, kScoreBias, kPastKey, kPastValue})
      if (ctx.has_input(i))
        check(ctx.dtype(i) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(i));
    check(ctx.has_input(kPastKey) == ctx.has_input(kPastValue),
          "past_key and past_value go together");
    bool known = ctx.has_rank(kQuery);
    for (const int i : {kKey, kValue, kPastKey}) known &= !ctx.has_input(i) || ctx.has_rank(i);
    if (!known) {
      ctx.set_output(0, dtype);
      for (int i = 1; i < 4; ++i)
        if (ctx.wants_output(i)) ctx.set_output(i, dtype);
      return;
    }
    const Dims& q = ctx.dims(kQuery);
    check(q.size() == 3 || (q.size() == 5 && !ctx.has_input(kKey)), "queries of shape ", q);
    const Dim n(heads_);
    Dim width = q.size() == 5 ? q[4] : floor_div(q[2], n), keys = q[1], value_width = width;
    if (ctx.has_input(kKey)) {
      const Dims& k = ctx.dims(kKey);
      check(k.size() >= 3 && k.size() <= 5, "keys of shape ", k);
      check((k.size() == 5) != ctx.has_input(kValue), "keys and values go together or packed");
      keys = k[k.size() == 4 ? 2 : 1];
    }
    if (ctx.has_input(kValue)) {
      const Dims& v = ctx.dims(kValue);
      check(v.size() == ctx.dims(kKey).size(), "keys of shape ", ctx.dims(kKey),
            ", values of shape ", v);
      value_width = v.size() == 4 ? v[3] : floor_div(v[2], n);
    }
    if (ctx.has_input(kPastKey)) {
      check_rank(ctx, kPastKey, 4);
      keys = keys + ctx.dims(kPastKey)[2];
    }
    Dim room = keys;  // rows of the caches
    if (has_cache(ctx.node())) room = ctx.dims(kPastKey)[2], keys = Dim::unknown();
    ctx.set_output(0, dtype, {q[0], q[1], value_width * n});
    if (ctx.wants_output(1)) ctx.set_output(1, dtype, {q[0], n, room, width});
    if (ctx.wants_output(2)) ctx.set_output(2, dtype, {q[0], n, room, value_width});
    if (ctx.wants_output(3)) ctx.set_output(3, dtype, {q[0], n, q[1], keys});
  }

  bool expand(Graph& graph, Node& node) const override;
  Step prepare(PrepareContext& ctx) const override;

  int past_of(int output) const override {
    return output == 1 ? kPastKey : output == 2 ? kPastValue : -1;
  }

 private:
  struct Parts {
    Part q, k, v;
  };
  Parts parts(PrepareContext& ctx) const;
  // Whether the past lies in caches with room behind it, whose length an input tells.
  static bool has_cache(const Node& node) {
    return node.input(kPastLength) && node.input(kPastKey) && node.input(kPastValue);
  }
  int64_t head_width(const Shape& shape) const {
    check(shape.size() == 3 && shape[2] > 0 && shape[2] % heads_ == 0, "a hidden size in ", shape,
          " for ", heads_, " heads");
    return shape[2] / heads_;
  }

  static constexpr int kQuery = 0, kKey = 1, kValue = 2, kBias = 3, kMask = 4, kScoreBias = 5;
  static constexpr int kPastKey = 6, kPastValue = 7, kPastLength = 8, kIndirection = 9;

  int64_t heads_;
  float scale_, mask_value_;
  bool causal_;
};

MultiHeadAttention::Parts MultiHeadAttention::parts(PrepareContext& ctx) const {
  const Shape& q = ctx.shape(kQuery);
  const int64_t n = heads_;
  Parts p;
  if (q.size() == 5) {  // [batch, rows, heads, 3, width]
    check(q[2] == n && q[3] == 3 && q[4] > 0, "packed heads of shape ", q, " for ", n, " heads");
    const int64_t width = q[4];
    const HeadLayout layout{q[1] * n * 3 * width, 3 * width, n * 3 * width};
    p.q = {kQuery, 0, q[1], width, layout};
    p.k = {kQuery, width, q[1], width, layout};
    p.v = {kQuery, 2 * width, q[1], width, layout};
    return p;
  }
  const int64_t width = head_width(q);
  p.q = {kQuery, 0, q[1], width, rows_first(n, q[1], width)};
  check(ctx.has_input(kKey), "keys are missing");
  const Shape& k = ctx.shape(kKey);
  check(k[0] == q[0], "keys of shape ", k, " for ", q[0], " batches");
  if (k.size() == 5) {  // [batch, rows, heads, 2, width]
    check(k[2] == n && k[3] == 2 && k[4] == width, "packed heads of shape ", k);
    const HeadLayout layout{k[1] * n * 2 * width, 2 * width, n * 2 * width};
    p.k = {kKey, 0, k[1], width, layout};
    p.v = {kKey, width, k[1], width, layout};
    return p;
  }
  const Shape& v = ctx.shape(kValue);
  if (k.size() == 4) {  // [batch, heads, rows, width]
    check(v.size() == 4 && k == Shape({q[0], n, k[2], width}) && v == Shape({q[0], n, k[2], v[3]}),
          "keys of shape ", k, " and values of shape ", v, " for queries of shape ", q);
    p.k = {kKey, 0, k[2], width, heads_first(n, k[2], width)};
    p.v = {kValue, 0, k[2], v[3], heads_first(n, k[2], v[3])};
    return p;
  }
  const int64_t value_width = head_width(v);
  check(head_width(k) == width && v[0] == q[0] && v[1] == k[1], "keys of shape ", k,
        " and values of shape ", v, " for queries of shape ", q);
  p.k = {kKey, 0, k[1], width, rows_first(n, k[1], width)};
  p.v = {kValue, 0, k[1], value_width, rows_first(n, k[1], value_width)};
  return p;
}

Step MultiHeadAttention::prepare(PrepareContext& ctx) const {
  Parts p = parts(ctx);
  const int64_t n = heads_, batch = ctx.shape(kQuery)[0];
  const int64_t past = ctx.has_input(kPastKey) ? ctx.shape(kPastKey)[2] : 0;
  if (ctx.has_input(kPastKey))
    check(ctx.shape(kPastKey) == Shape({batch, n, past, p.k.width}) &&
              ctx.shape(kPastValue) == Shape({batch, n, past, p.v.width}),
          "a past of shapes ", ctx.shape(kPastKey), " and ", ctx.shape(kPastValue));
  ScratchPlan plan;
  if (ctx.has_input(kBias)) {
    check(ctx.count(kBias) == n * (p.q.width + p.k.width + p.v.width), "bias has shape ",
          ctx.shape(kBias));
    p.q.give_bias(plan, batch, n, 0);
    // Keys and values that come in heads are of another sequence, with their bias inside.
    if (ctx.shape(p.k.input).size() != 4) {
      p.k.give_bias(plan, batch, n, n * p.q.width);
      p.v.give_bias(plan, batch, n, n * (p.q.width + p.k.width));
    }
  }
  AttentionShape s;
  s.batch = batch;
  s.heads = s.kv_heads = n;
  s.queries = p.q.rows;
  s.head_size = p.q.width;
  s.value_size = p.v.width;
  s.scale = scale_ != 0 ? scale_ : 1 / std::sqrt(static_cast<float>(p.q.width));
  // The last query meets all of other keys, as in ONNX Runtime: it stands at their end.
  s.causal = s.open_end = causal_;
  s.q = p.q.ready_layout(n);
  s.y = rows_first(n, s.queries, s.value_size);
  if (ctx.wants_output(3)) s.scores = ScoreOutput::biased;
  s.outside_score = std::numeric_limits<float>::lowest();  // as in ONNX Runtime
  const PastAttention attention(ctx, plan, s,
                                {.past = past,
                                 .fresh = p.k.rows,
                                 .fresh_keys = p.k.ready_layout(n),
                                 .fresh_values = p.v.ready_layout(n),
                                 .mask_input = kMask,
                                 .bias_input = kScoreBias,
                                 .mask_value = mask_value_,
                                 .keeps_keys = ctx.wants_output(1),
                                 .keeps_values = ctx.wants_output(2)});
  plan.request(ctx);
  return in_float32(ctx, [=](Frame& f) {
    const float* bias = f.in<float>(kBias);
    attention.run(f,
                  {.q = p.q.ready(f, batch, n, bias),
                   .k = p.k.ready(f, batch, n, bias),
                   .v = p.v.ready(f, batch, n, bias),
                   .y = f.out<float>(0),
                   .scores = f.out<float>(3)},
                  {.past_keys = f.in<float>(kPastKey),
                   .past_values = f.in<float>(kPastValue),
                   .keys = f.out<float>(1),
                   .values = f.out<float>(2),
                   .key_room = shared_room(f, kPastKey, 1),
                   .value_room = shared_room(f, kPastValue, 2)});
  });
}

// The rows of a past [batch, heads, rows, width] that the beams chose: row t of sequence i of a
// group is that of sequence indirection[group][i][t]. It holds for one query, as in ONNX Runtime;
// with more of them each sequence keeps its own.
class BeamRows {
 public:
  BeamRows(const Expander& to, Value* query, Value* indirection, Value* batch, Value* length)
      : to_(to) {
    Value* own = range(batch);
    Value* group = to.add("Shape", {indirection}, {{"start", int64_t{1}}, {"end", int64_t{2}}}, 15);
    Value* first = to.add("Sub", {own, to.add("Mod", {own, group})});
    Value* chosen =
        to.add("Reshape", {to.add("Cast", {indirection}, {{"to", kInt64}}),
                           to.add("Concat", {batch, to.integers({-1})}, {{"axis", 0}})});
    chosen = to.add("Slice", {chosen, to.integers({0}), length, to.integers({1})});
    chosen = to.add("Add", {chosen, unsqueezed(first, 1)});
    Value* queries = to.add("Shape", {query}, {{"start", int64_t{1}}, {"end", int64_t{2}}}, 15);
    Value* one = to.add("Equal", {queries, to.integers({1})});
    chosen = to.add("Where", {one, chosen, unsqueezed(own, 1)});
    Value* rows = to.add("Expand", {range(length), to.add("Shape", {chosen})});
    places_ = to.add("Concat", {unsqueezed(chosen, 2), unsqueezed(rows, 2)}, {{"axis", 2}});
  }

  Value* of(Value* past) const {
    const AttributeList turned{{"perm", std::vector<int64_t>{0, 2, 1, 3}}};
    Value* rows = to_.add("GatherND", {to_.add("Transpose", {past}, turned), places_});
    return to_.add("Transpose", {rows}, turned);
  }

 private:
  static constexpr auto kInt64 = static_cast<int64_t>(DType::int64);

  Value* unsqueezed(Value* value, int64_t axis) const {
    return to_.add("Unsqueeze", {value, to_.integers({axis})});
  }
  // 0 to the one number in `count`.
  Value* range(Value* count) const {
    Value* end = to_.add("Squeeze", {count});
    return to_.add("Range", {to_.constant(Tensor::scalar(int64_t{0})), end,
                             to_.constant(Tensor::scalar(int64_t{1}))});
  }

  const Expander& to_;
  Value* places_;  // [batch, rows, 2]
};

// How many rows of the caches are there, as a vector of one element.
Value* as_length(const Expander& to, Value* past_length) {
  return to.add("Reshape", {to.cast(past_length, DType::int64), to.integers({1})});
}

// With caches: attention to the rows that are there, and these written behind them.
bool MultiHeadAttention::expand(Graph& graph, Node& node) const {
  if (!has_cache(node)) return false;
  const Expander to{graph, node};
  Value* length = as_length(to, node.input(kPastLength));
  Value* batch = to.add("Shape", {node.input(kPastKey)}, {{"start", 0}, {"end", 1}}, 15);
  const auto rows_of = [&](Value* cache, Value* begin, Value* end) {
    return to.add("Slice", {cache, begin, end, to.integers({2})});
  };
  NodeSpec spec{.op_type = "MultiHeadAttention",
                .inputs = node.inputs(),
                .attrs = node.attrs(),
                .domain = "com.microsoft",
                .opset = 1};
  spec.inputs.resize(kPastLength);
  for (const int i : {kPastKey, kPastValue})
    spec.inputs[i] = rows_of(node.input(i), to.integers({0}), length);
  if (Value* indirection = node.input(kIndirection)) {
    const BeamRows beams(to, node.input(kQuery), indirection, batch, length);
    for (const int i : {kPastKey, kPastValue}) spec.inputs[i] = beams.of(spec.inputs[i]);
  }
  const Node* attention = to.add_node(std::move(spec), 4);
  Value* end = to.integers({std::numeric_limits<int64_t>::max()});
  Value* places = to.add("Expand", {length, batch});
  to.finish(0, attention->output(0));
  for (const int i : {1, 2}) {
    Value* fresh = rows_of(attention->output(i), length, end);
    to.finish(i, to.add("TensorScatter", {node.input(kPastKey + i - 1), fresh, places}, {}, 24));
  }
  to.finish(3, attention->output(3));
  return true;
}

// Attention (input, weights, bias?, mask?, past?, attention_bias?): projects its input to queries,
// keys and values first. The past is one tensor, [2, batch, heads, rows, width].
class ProjectedAttention final : public Op {
 public:
  explicit ProjectedAttention(const OpInit& init)
      : heads_(init.attrs.require<int64_t>("num_heads")),
        sizes_(init.attrs.ints("qkv_hidden_sizes")),
        scale_(init.attrs.get("scale", 0.0)),
        mask_value_(init.attrs.get("mask_filter_value", -10000.0)),
        causal_(init.attrs.get("unidirectional", 0) != 0) {
    check(heads_ > 0, "num_heads is ", heads_);
    check(sizes_.empty() || sizes_.size() == 3, "qkv_hidden_sizes has ", sizes_.size(), " entries");
    for (const int64_t size : sizes_)
      check(size > 0 && size < int64_t{1} << 31 && size % heads_ == 0, "a hidden size of ", size,
            " for ", heads_, " heads");
    check(sizes_.empty() || sizes_[0] == sizes_[1], "queries of ", sizes_.empty() ? 0 : sizes_[0],
          " and keys of another size");
    if (init.attrs.get("do_rotary", 0) != 0)
      fail(ErrorKind::unsupported, "do_rotary is not supported: nothing says by which angles");
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(kInput);
    if (!is_float(dtype) || dtype == DType::float64)
      fail(ErrorKind::unsupported, "attention of ", dtype, " is not supported");
    for (const int i : {kWeights, kBias, kPast, kScoreBias})
      if (ctx.has_input(i))
        check(ctx.dtype(i) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(i));
    check_rank(ctx, kInput, 3);
    check_rank(ctx, kWeights, 2);
    check_rank(ctx, kPast, 5);
    if (!ctx.has_rank(kInput) || !ctx.has_rank(kWeights) ||
        (ctx.has_input(kPast) && !ctx.has_rank(kPast))) {
      ctx.set_output(0, dtype);
      if (ctx.wants_output(1)) ctx.set_output(1, dtype);
      return;
    }
    const Dims& x = ctx.dims(kInput);
    const Dims& w = ctx.dims(kWeights);
    check(may_equal(x[2], w[0]), "inner dimensions differ: ", x[2], " and ", w[0]);
    const Dim third = floor_div(w[1], Dim(3));
    const Dim width = sizes_.empty() ? floor_div(third, Dim(heads_)) : Dim(sizes_[0] / heads_);
    ctx.set_output(0, dtype, {x[0], x[1], sizes_.empty() ? third : Dim(sizes_[2])});
    if (!ctx.wants_output(1)) return;
    Dim rows = ctx.has_input(kPast) ? x[1] + ctx.dims(kPast)[3] : x[1];
    if (has_cache(ctx.node())) rows = ctx.dims(kPast)[3];
    ctx.set_output(1, dtype, {Dim(2), x[0], Dim(heads_), rows, width});
  }

  void pack(PackContext& ctx) const override {
    const Tensor* weights = ctx.constant(kWeights);
    if (!weights || weights->rank() != 2 || !packs_as_float32(weights->dtype())) return;
    const GemmKernels gemm;
    const int64_t k = weights->shape()[0], n = weights->shape()[1];
    auto* packed = static_cast<float*>(ctx.allocate(
        0, static_cast<std::size_t>(checked_mul(gemm.packed_floats(k, n), sizeof(float)))));
    std::vector<float> wide;
    pack_weights(gemm, k, n, as_floats(*weights, wide), packed);
    ctx.release_input(kWeights);
  }

  bool expand(Graph& graph, Node& node) const override;
  Step prepare(PrepareContext& ctx) const override;

 private:
  // Whether the past lies in a cache with room behind it, whose length an input tells.
  static bool has_cache(const Node& node) {
    return node.attrs().get("past_present_share_buffer", 0) != 0 && node.input(kPast) &&
           node.input(kPastLength);
  }

  static constexpr int kInput = 0, kWeights = 1, kBias = 2, kMask = 3, kPast = 4, kScoreBias = 5;
  static constexpr int kPastLength = 6;

  static void pack_weights(const GemmKernels& gemm, int64_t k, int64_t n, const float* from,
                           float* packed) {
    gemm.pack_b({.k = static_cast<std::size_t>(k),
                 .n = static_cast<std::size_t>(n),
                 .b = from,
                 .ldb = static_cast<std::size_t>(n),
                 .packed = packed},
                0, static_cast<std::size_t>(gemm.panels(n)));
  }

  int64_t heads_;
  std::vector<int64_t> sizes_;
  float scale_, mask_value_;
  bool causal_;
};

// As MultiHeadAttention with caches.
bool ProjectedAttention::expand(Graph& graph, Node& node) const {
  if (!has_cache(node)) return false;
  const Expander to{graph, node};
  Value* length = as_length(to, node.input(kPastLength));
  const auto rows_of = [&](Value* cache, Value* begin, Value* end) {
    return to.add("Slice", {cache, begin, end, to.integers({3})});
  };
  NodeSpec spec{.op_type = "Attention",
                .inputs = node.inputs(),
                .attrs = node.attrs(),
                .domain = "com.microsoft",
                .opset = 1};
  spec.inputs.resize(kPastLength);
  spec.inputs[kPast] = rows_of(node.input(kPast), to.integers({0}), length);
  spec.attrs.erase("past_present_share_buffer");
  const Node* attention = to.add_node(std::move(spec), 2);
  to.finish(0, attention->output(0));
  if (!node.output(1)) return true;
  Value* end = to.integers({std::numeric_limits<int64_t>::max()});
  Value* fresh = rows_of(attention->output(1), length, end);
  Value* places = to.add("Expand", {length, to.integers({2})});  // of keys and of values
  to.finish(1, to.add("TensorScatter", {node.input(kPast), fresh, places}, {}, 24));
  return true;
}

Step ProjectedAttention::prepare(PrepareContext& ctx) const {
  const Shape& x = ctx.shape(kInput);
  const Shape& w = ctx.shape(kWeights);
  const int64_t n = heads_, batch = x[0], rows = x[1], depth = x[2], columns = w[1];
  check(w[0] == depth, "inner dimensions differ: ", depth, " and ", w[0]);
  const int64_t third = columns / 3;
  check(sizes_.empty() ? columns % 3 == 0 && third % n == 0 && third > 0
                       : columns == sizes_[0] + sizes_[1] + sizes_[2],
        "weights ", w, " do not make queries, keys and values of ", n, " heads");
  const int64_t width = (sizes_.empty() ? third : sizes_[0]) / n;
  const int64_t value_width = (sizes_.empty() ? third : sizes_[2]) / n;
  if (ctx.has_input(kBias)) check(ctx.count(kBias) == columns, "bias has shape ", ctx.shape(kBias));
  const bool cached = ctx.has_input(kPast) || ctx.wants_output(1);
  check(!cached || width == value_width, "a past of keys of ", width, " and values of ",
        value_width);
  const int64_t past = ctx.has_input(kPast) ? ctx.shape(kPast)[3] : 0;
  if (ctx.has_input(kPast))
    check(ctx.shape(kPast) == Shape({2, batch, n, past, width}), "a past of shape ",
          ctx.shape(kPast));
  const HeadLayout packed_layout{rows * columns, width, columns};
  AttentionShape s;
  s.batch = batch;
  s.heads = s.kv_heads = n;
  s.queries = rows;
  s.head_size = width;
  s.value_size = value_width;
  s.scale = scale_ != 0 ? scale_ : 1 / std::sqrt(static_cast<float>(width));
  s.causal = causal_;
  s.q = packed_layout;
  s.y = rows_first(n, rows, value_width);
  const GemmKernels gemm;
  const GemmGrid grid = gemm_grid(gemm, 1, batch * rows, columns, depth);
  ScratchPlan plan;
  ctx.count_flops(2 * static_cast<double>(batch * rows) * static_cast<double>(columns * depth));
  const int64_t product_at = plan.add(checked_mul(batch * rows, columns));
  const auto* packed = ctx.packed<float>(0);
  const int64_t packed_at = plan.add(packed ? 0 : gemm.packed_floats(depth, columns));
  const PastAttention attention(ctx, plan, s,
                                {.past = past,
                                 .fresh = rows,
                                 .fresh_keys = packed_layout,
                                 .fresh_values = {rows * columns, value_width, columns},
                                 .mask_input = kMask,
                                 .bias_input = kScoreBias,
                                 .mask_value = mask_value_,
                                 .keeps_keys = ctx.wants_output(1),
                                 .keeps_values = ctx.wants_output(1)});
  plan.request(ctx);
  return in_float32(ctx, [=](Frame& f) {
    float* product = f.scratch<float>() + product_at;
    const float* weights = packed;
    if (!weights) {
      pack_weights(gemm, depth, columns, f.in<float>(kWeights), f.scratch<float>() + packed_at);
      weights = f.scratch<float>() + packed_at;
    }
    run_packed(f, gemm, grid,
               {.m = static_cast<std::size_t>(batch * rows),
                .n = static_cast<std::size_t>(columns),
                .k = static_cast<std::size_t>(depth),
                .a = f.in<float>(kInput),
                .lda = static_cast<std::size_t>(depth),
                .b = weights,
                .c = product,
                .ldc = static_cast<std::size_t>(columns),
                .epilogue = {.column_bias = f.in<float>(kBias)}});
    const float* old = f.in<float>(kPast);
    float* present = f.out<float>(1);
    const int64_t half = batch * n * width;
    attention.run(f,
                  {.q = product,
                   .k = product + n * width,
                   .v = product + 2 * n * width,
                   .y = f.out<float>(0)},
                  {old, old ? old + half * past : nullptr, present,
                   present ? present + half * (past + rows) : nullptr});
  });
}

}  // namespace

[[gnu::cold]] void register_multi_head_attention(OpRegistry& ops) {
  ops.add<MultiHeadAttention>("MultiHeadAttention", {.since = 1}, "com.microsoft");
  ops.add<ProjectedAttention>("Attention", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
