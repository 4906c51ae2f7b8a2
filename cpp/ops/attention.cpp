// Attention of ai.onnx.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "ir/cache.h"
#include "ops/attention_core.h"
#include "ops/attention_wide.h"
#include "ops/checks.h"
#include "ops/convert.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

constexpr int kQuery = 0, kKey = 1, kValue = 2, kMask = 3, kPastKey = 4, kPastValue = 5;
constexpr int kValidKeys = 6;

// [batch, heads, rows, width] of an input of rank 4, or of rank 3 with its heads side by side.
template <class D>
struct Heads {
  D batch, heads, rows, width;
};

class Attention final : public Op, public KeepsCache {
 public:
  explicit Attention(const OpInit& init)
      : q_heads_(init.attrs.get("q_num_heads", 0)),
        kv_heads_(init.attrs.get("kv_num_heads", 0)),
        causal_(init.attrs.get("is_causal", 0) != 0),
        has_scale_(init.attrs.has("scale")),
        scale_(init.attrs.get("scale", 1.0)),
        softcap_(init.attrs.get("softcap", 0.0)),
        masked_rows_are_nan_(init.attrs.get("masked_rows_are_nan", 0) != 0),
        left_(init.attrs.get("left_window_size", -1)),
        right_(init.attrs.get("right_window_size", -1)) {
    const int64_t mode = init.attrs.get("qk_matmul_output_mode", 0);
    check(mode >= 0 && mode <= 3, "qk_matmul_output_mode is ", mode);
    mode_ = static_cast<ScoreOutput>(mode + 1);
    check(left_ >= -1 && right_ >= -1, "windows of ", left_, " and ", right_);
    left_ = std::min(left_, kWidestWindow);
    right_ = std::min(right_, kWidestWindow);
    check(q_heads_ >= 0 && kv_heads_ >= 0, "heads of ", q_heads_, " and ", kv_heads_);
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(kQuery);
    check_all_floats_but_mask(ctx);
    check(ctx.has_input(kPastKey) == ctx.has_input(kPastValue),
          "past_key and past_value go together");
    check(!ctx.has_input(kPastKey) || !ctx.has_input(kValidKeys),
          "nonpad_kv_seqlen and past_key exclude each other");
    if (!ctx.has_rank(kQuery) || !ctx.has_rank(kKey) || !ctx.has_rank(kValue)) {
      ctx.set_output(0, dtype);
      for (int i = 1; i < 4; ++i)
        if (ctx.wants_output(i)) ctx.set_output(i, ctx.dtype(i == 2 ? kValue : kQuery));
      return;
    }
    const auto q = heads(ctx.dims(kQuery), q_heads_);
    const auto k = heads(ctx.dims(kKey), kv_heads_);
    const auto v = heads(ctx.dims(kValue), kv_heads_);
    check(may_equal(q.batch, k.batch) && may_equal(q.batch, v.batch), "batches differ: ", q.batch,
          ", ", k.batch, " and ", v.batch);
    check(may_equal(k.heads, v.heads), "keys of ", k.heads, " heads, values of ", v.heads);
    check(may_equal(q.width, k.width), "queries of size ", q.width, ", keys of ", k.width);
    check(may_equal(k.rows, v.rows), "keys of length ", k.rows, ", values of ", v.rows);
    if (q.heads.is_known() && k.heads.is_known())
      check(k.heads.value() > 0 && q.heads.value() % k.heads.value() == 0, q.heads,
            " query heads cannot share ", k.heads, " key heads");
    Dim total = k.rows;
    if (ctx.has_input(kPastKey))
      total = ctx.has_rank(kPastKey) ? total + past(ctx.dims(kPastKey), k) : Dim::unknown();
    if (ctx.has_input(kPastValue) && ctx.has_rank(kPastValue)) past(ctx.dims(kPastValue), v);
    if (ctx.rank(kQuery) == 4)
      ctx.set_output(0, dtype, {q.batch, q.heads, q.rows, v.width});
    else
      ctx.set_output(0, dtype, {q.batch, q.rows, q.heads * v.width});
    if (ctx.wants_output(1)) ctx.set_output(1, ctx.dtype(kKey), {k.batch, k.heads, total, k.width});
    if (ctx.wants_output(2))
      ctx.set_output(2, ctx.dtype(kValue), {v.batch, v.heads, total, v.width});
    if (ctx.wants_output(3)) ctx.set_output(3, dtype, {q.batch, q.heads, q.rows, total});
  }

  Step prepare(PrepareContext& ctx) const override;
  // Whether it takes float64 to hold what the inputs hold.
  static bool is_wide(const PrepareContext& ctx) {
    for (int i = 0; i < std::min(ctx.input_count(), kValidKeys); ++i)
      if (ctx.has_input(i) && (ctx.dtype(i) == DType::float64 || is_integer(ctx.dtype(i))))
        return true;
    return false;
  }

  int past_of(int output) const override {
    return output == 1 ? kPastKey : output == 2 ? kPastValue : -1;
  }

 private:
  static void check_all_floats_but_mask(const InferContext& ctx) {
    for (int i = 0; i < std::min(ctx.input_count(), kValidKeys); ++i) {
      if (!ctx.has_input(i)) continue;
      const DType dtype = ctx.dtype(i);
      const bool fits = i == kMask ? is_integer(dtype) || dtype == DType::boolean : false;
      check(is_float(dtype) || fits, "expected a float input, got ", dtype);
    }
    if (ctx.has_input(kValidKeys))
      check(ctx.dtype(kValidKeys) == DType::int64, "expected int64, got ", ctx.dtype(kValidKeys));
  }

  template <class D>
  static Heads<D> heads_of(const std::vector<D>& dims, int64_t given) {
    check(dims.size() == 3 || dims.size() == 4, "expected rank 3 or 4, got ", dims.size());
    if (dims.size() == 4) return {dims[0], dims[1], dims[2], dims[3]};
    check(given > 0, "inputs of rank 3 need the attributes q_num_heads and kv_num_heads");
    if constexpr (std::is_same_v<D, Dim>) {
      if (!dims[2].is_known())
        return {dims[0], Dim(given), dims[1], floor_div(dims[2], Dim(given))};
      check(dims[2].value() % given == 0, "a hidden size of ", dims[2], " in ", given, " heads");
      return {dims[0], Dim(given), dims[1], Dim(dims[2].value() / given)};
    } else {
      return {dims[0], given, dims[1], dims[2] / given};
    }
  }
  static Heads<Dim> heads(const Dims& dims, int64_t given) { return heads_of(dims, given); }

  // Rows of the past of [batch, heads, rows, width].
  static Dim past(const Dims& dims, const Heads<Dim>& fresh) {
    check(dims.size() == 4 && may_equal(dims[0], fresh.batch) && may_equal(dims[1], fresh.heads) &&
              may_equal(dims[3], fresh.width),
          "a past of shape ", dims, " for [", fresh.batch, ", ", fresh.heads, ", ", fresh.rows,
          ", ", fresh.width, "]");
    return dims[2];
  }

  int64_t q_heads_, kv_heads_;
  bool causal_, has_scale_;
  float scale_, softcap_;
  bool masked_rows_are_nan_;  // of fusions: what Softmax makes of such rows
  int64_t left_, right_;
  ScoreOutput mode_ = ScoreOutput::raw;
};

// Of each batch: from nonpad_kv_seqlen, or all keys with the queries behind the past.
void find_ranges(const Frame& f, const AttentionShape& s, int64_t past_rows, KeyRange* ranges) {
  const int64_t* valid = f.in<int64_t>(kValidKeys);
  for (int64_t b = 0; b < s.batch; ++b) {
    if (valid)
      check_argument(valid[b] >= 0 && valid[b] <= s.keys, "nonpad_kv_seqlen holds ", valid[b],
                     " for ", s.keys, " keys");
    ranges[b] =
        valid ? KeyRange{0, valid[b], valid[b] - s.queries} : KeyRange{0, s.keys, past_rows};
  }
}

// Keys or values of float64 and what lies before them.
struct WideCache {
  int64_t past_rows, rows, width;
  HeadLayout fresh;
};

// [batch, heads, past + rows, width] of what inputs `past` and `input` hold.
void join_wide(const AttentionShape& s, const WideCache& c, const double* past, const double* fresh,
               double* to) {
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t h = 0; h < s.kv_heads; ++h) {
      const int64_t head = b * s.kv_heads + h;
      to = std::copy_n(past + head * c.past_rows * c.width, c.past_rows * c.width, to);
      for (int64_t row = 0; row < c.rows; ++row)
        to = std::copy_n(fresh + b * c.fresh.batch + h * c.fresh.head + row * c.fresh.row, c.width,
                         to);
    }
}

// Everything is made float64, computed so, and rounded to the types of the outputs.
Step wide_step(PrepareContext& ctx, const AttentionShape& s, double scale, const WideCache& k,
               const WideCache& v) {
  struct Part {
    Conversion convert;
    int64_t at = 0, count = 0;
  };
  ScratchPlan plan;
  std::array<Part, kValidKeys> in;
  for (int i = 0; i < std::min(ctx.input_count(), kValidKeys); ++i) {
    if (!ctx.has_input(i) || (i == kMask && s.mask == MaskKind::boolean)) continue;
    in[i] = {conversion(ctx.dtype(i), DType::float64), 0, ctx.count(i)};
    in[i].at = plan.add(floats_for<double>(in[i].count));
  }
  const int64_t cache = s.batch * s.kv_heads * s.keys, scores = s.batch * s.heads * s.keys;
  const int64_t counts[] = {ctx.count(kQuery) / s.head_size * s.value_size, cache * s.head_size,
                            cache * s.value_size,
                            s.scores == ScoreOutput::none ? 0 : scores * s.queries};
  std::array<Part, 4> out;
  for (int i = 0; i < 4; ++i) {
    if (ctx.wants_output(i)) out[i].convert = conversion(DType::float64, ctx.output_dtype(i));
    out[i].count = counts[i];
    out[i].at = plan.add(floats_for<double>(counts[i]));
  }
  const int64_t ranges_at = plan.add(floats_for<KeyRange>(s.batch));
  const int64_t weights_at = plan.add(floats_for<double>(scores));
  plan.request(ctx);
  AttentionShape dense = s;
  dense.k = heads_first(s.kv_heads, s.keys, s.head_size);
  dense.v = heads_first(s.kv_heads, s.keys, s.value_size);
  return [=](Frame& f) {
    const auto at = [&](const Part& part) {
      return reinterpret_cast<double*>(f.scratch<float>() + part.at);
    };
    for (std::size_t i = 0; i < in.size(); ++i)
      if (in[i].convert.run)
        in[i].convert.run(f.in<std::byte>(static_cast<int>(i)), at(in[i]),
                          static_cast<std::size_t>(in[i].count));
    join_wide(s, k, at(in[kPastKey]), at(in[kKey]), at(out[1]));
    join_wide(s, v, at(in[kPastValue]), at(in[kValue]), at(out[2]));
    auto* ranges = reinterpret_cast<KeyRange*>(f.scratch<float>() + ranges_at);
    find_ranges(f, s, k.past_rows, ranges);
    run_wide_attention(f, dense,
                       {.q = at(in[kQuery]),
                        .k = at(out[1]),
                        .v = at(out[2]),
                        .scale = scale,
                        .mask = in[kMask].convert.run ? static_cast<const void*>(at(in[kMask]))
                                                      : f.in<std::byte>(kMask),
                        .ranges = ranges,
                        .y = at(out[0]),
                        .scores = s.scores == ScoreOutput::none ? nullptr : at(out[3]),
                        .weights = reinterpret_cast<double*>(f.scratch<float>() + weights_at)});
    for (std::size_t i = 0; i < out.size(); ++i)
      if (out[i].convert.run)
        out[i].convert.run(at(out[i]), f.out<std::byte>(static_cast<int>(i)),
                           static_cast<std::size_t>(out[i].count));
  };
}

// A mask that broadcasts to [batch, heads, queries, keys], its last axis perhaps short of keys.
HeadLayout mask_layout(const Shape& mask, const AttentionShape& s) {
  check(!mask.empty() && mask.size() <= 4, "a mask of shape ", mask);
  check(mask.back() <= s.keys, "a mask of ", mask.back(), " keys where there are ", s.keys);
  const int64_t wanted[] = {s.batch, s.heads, s.queries};
  int64_t strides[3] = {0, 0, 0};
  int64_t stride = mask.back();
  for (std::size_t i = mask.size() - 1; i-- > 0;) {
    const std::size_t axis = 4 - mask.size() + i;
    check(mask[i] == 1 || mask[i] == wanted[axis], "a mask of shape ", mask, " for [", s.batch,
          ", ", s.heads, ", ", s.queries, ", ", s.keys, "]");
    if (mask[i] != 1) strides[axis] = stride;
    stride *= mask[i];
  }
  return {strides[0], strides[1], strides[2]};
}

Step Attention::prepare(PrepareContext& ctx) const {
  const auto of = [&](int i, int64_t given) {
    const Shape& shape = ctx.shape(i);
    return heads_of(std::vector<int64_t>(shape.begin(), shape.end()), given);
  };
  const auto q = of(kQuery, q_heads_), k = of(kKey, kv_heads_), v = of(kValue, kv_heads_);
  const bool by_heads = ctx.shape(kQuery).size() == 4;
  const int64_t past_rows = ctx.has_input(kPastKey) ? ctx.shape(kPastKey)[2] : 0;
  AttentionShape s;
  s.batch = q.batch;
  s.heads = q.heads;
  s.kv_heads = k.heads;
  s.queries = q.rows;
  s.keys = checked_add(past_rows, k.rows);
  s.head_size = q.width;
  s.value_size = v.width;
  s.scale = has_scale_ ? scale_ : 1 / std::sqrt(static_cast<float>(q.width));
  s.softcap = softcap_;
  s.causal = causal_;
  s.masked_rows_are_nan = masked_rows_are_nan_;
  s.left_window = left_;
  s.right_window = right_;
  check(s.kv_heads > 0 && s.heads % s.kv_heads == 0 && s.head_size > 0, s.heads,
        " query heads of size ", s.head_size, " for ", s.kv_heads, " key heads");
  if (ctx.has_input(kPastKey))
    check(ctx.shape(kPastValue)[2] == past_rows && ctx.shape(kPastKey)[0] == s.batch,
          "a past of shapes ", ctx.shape(kPastKey), " and ", ctx.shape(kPastValue));
  const auto layout = [&](const Heads<int64_t>& h, int i) {
    return ctx.shape(i).size() == 4 ? heads_first(h.heads, h.rows, h.width)
                                    : rows_first(h.heads, h.rows, h.width);
  };
  const HeadLayout fresh_k = layout(k, kKey), fresh_v = layout(v, kValue);
  s.q = layout(q, kQuery);
  s.y = by_heads ? heads_first(s.heads, s.queries, s.value_size)
                 : rows_first(s.heads, s.queries, s.value_size);
  const bool joined = past_rows > 0;
  s.k = joined ? heads_first(s.kv_heads, s.keys, s.head_size) : fresh_k;
  s.v = joined ? heads_first(s.kv_heads, s.keys, s.value_size) : fresh_v;
  if (ctx.has_input(kMask)) {
    s.mask = ctx.dtype(kMask) == DType::boolean ? MaskKind::boolean : MaskKind::additive;
    s.mask_layout = mask_layout(ctx.shape(kMask), s);
    s.mask_keys = ctx.shape(kMask).back();
  }
  if (ctx.wants_output(3)) s.scores = mode_;
  if (ctx.has_input(kValidKeys))
    check(ctx.count(kValidKeys) == s.batch, "nonpad_kv_seqlen has shape ", ctx.shape(kValidKeys));

  if (is_wide(ctx)) {
    // The standard multiplies queries and keys each by the root of a given scale, a float32.
    const double root = std::sqrt(std::abs(scale_));
    const double scale = has_scale_ ? std::copysign(root * root, scale_)
                                    : 1 / std::sqrt(static_cast<double>(q.width));
    return wide_step(ctx, s, scale, {past_rows, k.rows, s.head_size, fresh_k},
                     {past_rows, v.rows, s.value_size, fresh_v});
  }

  const AttentionCore core(s);
  ctx.count_flops(s.flops());
  ScratchPlan plan;
  const int64_t ranges_at = plan.add(floats_for<KeyRange>(s.batch));
  const int64_t core_at = plan.add(core.scratch_floats());
  const int64_t cache = s.batch * s.kv_heads * s.keys;
  const int64_t k_at = plan.add(joined && !ctx.wants_output(1) ? cache * s.head_size : 0);
  const int64_t v_at = plan.add(joined && !ctx.wants_output(2) ? cache * s.value_size : 0);
  plan.request(ctx);
  return in_float32(ctx, [=, fresh_rows = k.rows](Frame& f) {
    const AttentionShape& s = core.shape();
    float* scratch = f.scratch<float>();
    AttentionData data{.q = f.in<float>(kQuery),
                       .k = f.in<float>(kKey),
                       .v = f.in<float>(kValue),
                       .mask = f.in<std::byte>(kMask),
                       .y = f.out<float>(0),
                       .scores = f.out<float>(3)};
    const auto join = [&](int input, const HeadLayout& at, int64_t width, int64_t spare,
                          int64_t& room) {
      const int past = input + kPastKey - kKey;
      const float* fresh = f.in<float>(input);
      float* to = f.out<float>(input);  // key and value come out as they go in
      if (!to && !joined) return fresh;
      const int64_t shared = shared_room(f, past, input);
      if (!to) to = scratch + spare;
      append_rows(f, {s.batch, s.kv_heads, past_rows, fresh_rows, width, at}, f.in<float>(past),
                  fresh, to, shared);
      if (!joined) return fresh;
      room = shared;
      return static_cast<const float*>(to);
    };
    data.k = join(kKey, fresh_k, s.head_size, k_at, data.key_room);
    data.v = join(kValue, fresh_v, s.value_size, v_at, data.value_room);
    auto* ranges = reinterpret_cast<KeyRange*>(scratch + ranges_at);
    find_ranges(f, s, past_rows, ranges);
    data.ranges = ranges;
    core.run(f, data, scratch + core_at);
  });
}

}  // namespace

[[gnu::cold]] void register_attention(OpRegistry& ops) {
  ops.add<Attention>("Attention", {.since = 23});
}

}  // namespace sdx::ops
