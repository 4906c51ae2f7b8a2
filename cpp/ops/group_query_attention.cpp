// GroupQueryAttention of com.microsoft: causal attention of a decoder over its cache, with the
// rotation of queries and keys inside.
#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "ir/cache.h"
#include "kernels/norm.h"
#include "ops/attention_core.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"
#include "ops/rotary.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

constexpr int kQuery = 0, kKey = 1, kValue = 2, kPastKey = 3, kPastValue = 4, kLengths = 5;
constexpr int kTotal = 6, kCos = 7, kSin = 8, kPositions = 9, kBias = 10, kSink = 11;
constexpr int kKeyScale = 12, kValueScale = 13, kQueryNorm = 14, kKeyNorm = 15;

struct Sizes {
  int64_t batch = 0, rows = 0, heads = 0, kv_heads = 0, width = 0;
  int64_t past_rows = 0, present_rows = 0;
  int64_t key_rows = 0;  // of present_rows: those that may take part
  bool packed = false;   // queries, keys and values side by side in input 0
};

// How keys or values lie in a cache of 8 or 4 bits: x / scale rounded, two of 4 bits in a byte with
// 8 added, the first in the low ones. One scale for all, or one for each channel of each head.
struct CacheCodes {
  int bits = 32;  // 32: floats
  bool per_channel = false;

  bool is_float() const { return bits == 32; }
  int64_t row_bytes(int64_t width) const { return bits == 8 ? width : width / 2; }

  void store(const float* x, const float* scales, int64_t width, uint8_t* to) const {
    if (bits == 4) std::fill_n(to, width / 2, uint8_t{0});
    for (int64_t i = 0; i < width; ++i) {
      const float most = bits == 8 ? 127.0f : 7.0f;
      const float scaled = std::nearbyint(x[i] / scales[per_channel ? i : 0]);
      const int code = static_cast<int>(std::max(std::min(scaled, most), -most - 1));
      if (bits == 8)
        to[i] = static_cast<uint8_t>(code);
      else
        to[i / 2] = static_cast<uint8_t>(to[i / 2] | (code + 8) << (i % 2 * 4));
    }
  }

  void load(const uint8_t* from, const float* scales, int64_t width, float* x) const {
    for (int64_t i = 0; i < width; ++i) {
      const int code =
          bits == 8 ? static_cast<int8_t>(from[i]) : (from[i / 2] >> (i % 2 * 4) & 15) - 8;
      x[i] = static_cast<float>(code) * scales[per_channel ? i : 0];
    }
  }
};

class GroupQueryAttention final : public Op, public KeepsCache {
 public:
  explicit GroupQueryAttention(const OpInit& init)
      : heads_(init.attrs.require<int64_t>("num_heads")),
        kv_heads_(init.attrs.require<int64_t>("kv_num_heads")),
        scale_(init.attrs.get("scale", 0.0)),
        softcap_(init.attrs.get("softcap", 0.0)),
        norm_epsilon_(init.attrs.get("qk_norm_epsilon", 1e-6)),
        window_(init.attrs.get("local_window_size", -1)),
        causal_(init.attrs.get("causal", 1) != 0),
        rotates_(init.attrs.get("do_rotary", 0) != 0),
        interleaved_(init.attrs.get("rotary_interleaved", 0) != 0),
        smooth_(init.attrs.get("smooth_softmax", 0) != 0) {
    const int64_t scores = init.attrs.get("qk_output", 0);
    check(scores >= 0 && scores <= 2, "qk_output is ", scores);
    if (scores > 0) scores_ = scores == 1 ? ScoreOutput::biased : ScoreOutput::probabilities;
    check(kv_heads_ > 0 && heads_ > 0 && heads_ % kv_heads_ == 0, heads_,
          " query heads cannot share ", kv_heads_, " key heads");
    slides_ = init.attrs.get("sliding_window_cache", 0) != 0;
    if (slides_) check(window_ > 0, "sliding_window_cache with a local_window_size of ", window_);
    if (slides_ && scores > 0)
      fail(ErrorKind::unsupported, "qk_output with a sliding_window_cache is not supported");
    const std::string names[] = {init.attrs.get("k_quant_type", "NONE"),
                                 init.attrs.get("v_quant_type", "NONE")};
    check((names[0] == "NONE") == (names[1] == "NONE"), "k_quant_type is ", names[0],
          " and v_quant_type is ", names[1]);
    for (int i = 0; i < 2; ++i) {
      if (names[i] == "NONE") continue;
      check(names[i] == "PER_TENSOR" || names[i] == "PER_CHANNEL", "a cache quantised ", names[i]);
      codes_[i].bits = static_cast<int>(init.attrs.get("kv_cache_bit_width", 8));
      check(codes_[i].bits == 4 || codes_[i].bits == 8, "kv_cache_bit_width is ", codes_[i].bits);
      codes_[i].per_channel = names[i] == "PER_CHANNEL";
    }
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(kQuery);
    if (!is_float(dtype) || dtype == DType::float64)
      fail(ErrorKind::unsupported, "attention of ", dtype, " is not supported");
    const DType cached = codes_[0].is_float()  ? dtype
                         : codes_[0].bits == 8 ? DType::int8
                                               : DType::uint8;
    for (const int i : {kKey, kValue, kPastKey, kPastValue, kCos, kSin, kBias, kSink}) {
      const DType wanted = i == kPastKey || i == kPastValue ? cached : dtype;
      if (ctx.has_input(i))
        check(ctx.dtype(i) == wanted, "element types differ: ", wanted, " and ", ctx.dtype(i));
    }
    for (const int i : {kKeyScale, kValueScale})
      if (!codes_[0].is_float())
        check(ctx.dtype(i) == DType::float32, "a scale of ", ctx.dtype(i), ", not float32");
    for (const int i : {kLengths, kTotal})
      check(ctx.dtype(i) == DType::int32, "expected int32, got ", ctx.dtype(i));
    check(!ctx.wants_output(3) || scores_ != ScoreOutput::none,
          "an output of scores without qk_output");
    check(ctx.has_input(kKey) == ctx.has_input(kValue), "key and value go together");
    check(ctx.has_input(kPastKey) == ctx.has_input(kPastValue),
          "past_key and past_value go together");
    check(!slides_ || ctx.has_input(kPastKey), "sliding_window_cache without a past");
    check_rank(ctx, kQuery, 3);
    check_rank(ctx, kKey, 3);
    check_rank(ctx, kPastKey, 4);
    check_rank(ctx, kPastValue, 4);
    if (!ctx.has_rank(kQuery)) {
      ctx.set_output(0, dtype);
      for (int i = 1; i < 3; ++i)
        if (ctx.wants_output(i)) ctx.set_output(i, cached);
      if (ctx.wants_output(3)) ctx.set_output(3, dtype);
      return;
    }
    const Dims& q = ctx.dims(kQuery);
    const Dim width = floor_div(q[2], Dim(ctx.has_input(kKey) ? heads_ : heads_ + 2 * kv_heads_));
    ctx.set_output(0, dtype, {q[0], q[1], ctx.has_input(kKey) ? q[2] : width * Dim(heads_)});
    const auto total = ctx.contents(kTotal);
    Dim rows = total && total->size() == 1 ? (*total)[0] : Dim::unknown();
    if (ctx.wants_output(3)) ctx.set_output(3, dtype, {q[0], Dim(heads_), q[1], rows});
    if (slides_)
      rows = ctx.has_rank(kPastKey) ? ctx.dims(kPastKey)[2] : Dim::unknown();
    else if (ctx.has_input(kPastKey))
      rows = ctx.has_rank(kPastKey) && !rows.is_unknown() ? max(ctx.dims(kPastKey)[2], rows)
                                                          : Dim::unknown();
    for (int i = 1; i < 3; ++i)
      if (ctx.wants_output(i))
        ctx.set_output(
            i, cached,
            {q[0], Dim(kv_heads_), rows, codes_[0].bits == 4 ? floor_div(width, Dim(2)) : width});
  }

  Step prepare(PrepareContext& ctx) const override;

  // In a shared buffer, rows behind the valid ones stay what they were; else they become zeros.
  int past_of(int output) const override {
    return output == 1 ? kPastKey : output == 2 ? kPastValue : -1;
  }

 private:
  Sizes sizes(PrepareContext& ctx) const;

  int64_t heads_, kv_heads_;
  float scale_, softcap_, norm_epsilon_;
  int64_t window_;
  bool causal_, rotates_, interleaved_, smooth_;
  bool slides_ = false;
  ScoreOutput scores_ = ScoreOutput::none;
  CacheCodes codes_[2];  // of keys, of values
};

Sizes GroupQueryAttention::sizes(PrepareContext& ctx) const {
  const Shape& q = ctx.shape(kQuery);
  Sizes s{.batch = q[0], .rows = q[1], .heads = heads_, .kv_heads = kv_heads_};
  s.packed = !ctx.has_input(kKey);
  const int64_t parts = s.packed ? heads_ + 2 * kv_heads_ : heads_;
  check(q[2] > 0 && q[2] % parts == 0, "a hidden size of ", q[2], " in ", parts, " heads");
  s.width = q[2] / parts;
  for (const int i : {kKey, kValue})
    if (!s.packed)
      check(ctx.shape(i) == Shape({s.batch, s.rows, kv_heads_ * s.width}), "input ", i,
            " has shape ", ctx.shape(i), ", expected [", s.batch, ", ", s.rows, ", ",
            kv_heads_ * s.width, "]");
  if (ctx.has_input(kPastKey)) {
    s.past_rows = ctx.shape(kPastKey)[2];
    const int64_t width = codes_[0].bits == 4 ? s.width / 2 : s.width;
    for (const int i : {kPastKey, kPastValue})
      check(ctx.shape(i) == Shape({s.batch, kv_heads_, s.past_rows, width}), "a past of shape ",
            ctx.shape(i), " for ", s.batch, " batches, ", kv_heads_, " heads of ", s.width);
  }
  check(ctx.wants_output(1) == ctx.wants_output(2), "present_key and present_value go together");
  s.present_rows =
      ctx.wants_output(1) && !slides_ ? ctx.output_shape(1)[2] : checked_add(s.past_rows, s.rows);
  if (slides_)
    check(s.past_rows >= window_, "a cache of ", s.past_rows, " rows for a local_window_size of ",
          window_);
  s.key_rows = ctx.wants_output(3) ? ctx.output_shape(3)[3] : s.present_rows;
  check(s.key_rows <= s.present_rows, "total_sequence_length is ", s.key_rows, " for a past of ",
        s.past_rows, " and ", s.rows, " rows");
  check(codes_[0].bits != 4 || s.width % 2 == 0, "heads of ", s.width, " in a cache of 4 bits");
  for (int i = 0; i < 2; ++i) {
    if (codes_[i].is_float()) continue;
    const int64_t wanted = codes_[i].per_channel ? kv_heads_ * s.width : 1;
    check(ctx.count(kKeyScale + i) == wanted, "a scale of shape ", ctx.shape(kKeyScale + i),
          " for ", kv_heads_, " heads of ", s.width);
  }
  check(ctx.count(kLengths) == s.batch && ctx.count(kTotal) == 1, "seqlens_k has shape ",
        ctx.shape(kLengths), ", total_sequence_length ", ctx.shape(kTotal));
  return s;
}

// Queries and keys made ready: normalised, rotated, and the keys and values put behind their past.
struct Preparation {
  Sizes s;
  Rotation rotation;
  bool rotates = false;
  bool changes_queries = false;
  int64_t cache_rows = 0;  // of the angles
  int64_t window = 0;      // of a cache that slides; 0 where it holds all
  float norm_epsilon = 0;
  kernels::NormRows* norm = kernels::rms_norm_rows.resolve();

  int64_t row_floats() const { return (s.heads + (s.packed ? 2 * s.kv_heads : 0)) * s.width; }

  // How many rows came before these, and how many there are with them.
  int64_t past(const Frame& f, int64_t batch) const {
    return f.in<int32_t>(kTotal)[0] == s.rows ? 0 : total(f, batch) - s.rows;
  }
  static int64_t total(const Frame& f, int64_t batch) {
    return static_cast<int64_t>(f.in<int32_t>(kLengths)[batch]) + 1;
  }
  // How many of so many rows a cache holds. One that slides drops rows when it is full, all but
  // those that the next query still meets.
  int64_t kept(int64_t rows) const {
    if (window == 0 || rows <= s.past_rows) return rows;
    const int64_t dropped = s.past_rows - window + 1;
    return rows - (rows - s.past_rows + dropped - 1) / dropped * dropped;
  }

  int64_t position(const Frame& f, int64_t batch, int64_t row) const {
    const int64_t* ids = f.in<int64_t>(kPositions);
    int64_t at = past(f, batch) + row;
    if (ids) at = f.in<int32_t>(kTotal)[0] == s.rows ? ids[0] + row : ids[batch * s.rows + row];
    if (rotates)
      check_argument(at >= 0 && at < cache_rows, "position ", at, " is outside [0, ", cache_rows,
                     ")");
    return at;
  }

  void turn(const Frame& f, const float* x, int norm_input, int64_t at, float* y) const {
    if (const float* scale = f.in<float>(norm_input)) {
      norm({.x = x,
            .scale = scale,
            .y = y,
            .rows = 1,
            .cols = static_cast<std::size_t>(s.width),
            .epsilon = norm_epsilon});
      x = y;
    }
    if (rotates) {
      const int64_t half = rotation.rotated / 2;
      rotate(rotation, x, f.in<float>(kCos) + at * half, f.in<float>(kSin) + at * half, y);
    } else if (x != y) {
      std::copy_n(x, s.width, y);
    }
  }

  void queries(const Frame& f, float* to) const {
    const double cost = static_cast<double>(s.heads * s.width) + 5;
    f.parallel_for(split_work(s.batch * s.rows, cost), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t at = position(f, i / s.rows, i % s.rows);
        for (int64_t h = 0; h < s.heads; ++h)
          turn(f, f.in<float>(kQuery) + i * row_floats() + h * s.width, kQueryNorm, at,
               to + (i * s.heads + h) * s.width);
      }
    });
  }

  // One of keys and values. Heads of the past are `past_room` rows apart.
  void extend(const Frame& f, const KeyRange* ranges, bool keys, float* present, int64_t room,
              int64_t past_room) const {
    const float* past = f.in<float>(keys ? kPastKey : kPastValue);
    const float* fresh = f.in<float>(kKey + (keys ? 0 : 1));
    int64_t step = s.kv_heads * s.width;
    if (s.packed) {
      step = row_floats();
      fresh = f.in<float>(kQuery) + (s.heads + (keys ? 0 : s.kv_heads)) * s.width;
    }
    const bool in_place = room > 0;
    const int64_t head_rows = in_place ? room : s.present_rows;
    const double cost = 0.3 * static_cast<double>((in_place ? s.rows : head_rows) * s.width) + 10;
    f.parallel_for(split_work(s.batch * s.kv_heads, cost), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t batch = i / s.kv_heads, head = i % s.kv_heads;
        const int64_t before = ranges[batch].position;
        float* to = present + i * head_rows * s.width;
        if (before > 0 && !in_place)
          std::copy_n(past + i * past_room * s.width, before * s.width, to);
        for (int64_t row = 0; row < s.rows; ++row) {
          const float* from = fresh + (batch * s.rows + row) * step + head * s.width;
          float* out = to + (before + row) * s.width;
          if (keys)
            turn(f, from, kKeyNorm, position(f, batch, row), out);
          else
            std::copy_n(from, s.width, out);
        }
        if (!in_place)
          std::fill(to + (before + s.rows) * s.width, to + s.present_rows * s.width, 0.0f);
      }
    });
  }

  // One of keys and values in codes: what is fresh in `floats`, heads of present_rows, joins its
  // past in `present`, and all of it comes back to `floats`.
  void extend_codes(const Frame& f, const KeyRange* ranges, bool keys, const CacheCodes& codes,
                    float* floats, uint8_t* present, int64_t room, int64_t past_room) const {
    const auto* past = f.in<uint8_t>(keys ? kPastKey : kPastValue);
    const int64_t bytes = codes.row_bytes(s.width);
    const bool in_place = room > 0;
    const int64_t head_rows = in_place ? room : s.present_rows;
    const double cost = 1.5 * static_cast<double>(s.present_rows * s.width) + 10;
    f.parallel_for(split_work(s.batch * s.kv_heads, cost), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const KeyRange& range = ranges[i / s.kv_heads];
        const int64_t before = range.position;
        const float* scales = f.in<float>(keys ? kKeyScale : kValueScale) +
                              (codes.per_channel ? i % s.kv_heads * s.width : 0);
        uint8_t* to = present + i * head_rows * bytes;
        float* wide = floats + i * s.present_rows * s.width;
        if (before > 0 && !in_place) std::copy_n(past + i * past_room * bytes, before * bytes, to);
        for (int64_t row = before; row < before + s.rows; ++row)
          codes.store(wide + row * s.width, scales, s.width, to + row * bytes);
        for (int64_t row = 0; row < before + s.rows; ++row)
          codes.load(to + row * bytes, scales, s.width, wide + row * s.width);
        std::fill(wide + (before + s.rows) * s.width, wide + s.present_rows * s.width, 0.0f);
        if (!in_place)
          std::fill(to + (before + s.rows) * bytes, to + s.present_rows * bytes, uint8_t{0});
      }
    });
  }

  // What a cache that slides keeps of a past and the rows behind it, in rows of so many bytes.
  void slide(const Frame& f, const KeyRange* ranges, const void* joined, void* present,
             int64_t room, int64_t bytes) const {
    const double cost = 0.1 * static_cast<double>(s.past_rows * bytes) + 10;
    f.parallel_for(split_work(s.batch * s.kv_heads, cost), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t rows = kept(total(f, i / s.kv_heads));
        const int64_t end = i * s.present_rows + ranges[i / s.kv_heads].end;
        char* to = static_cast<char*>(present) + i * room * bytes;
        std::copy_n(static_cast<const char*>(joined) + (end - rows) * bytes, rows * bytes, to);
        std::fill(to + rows * bytes, to + s.past_rows * bytes, char{0});
      }
    });
  }

  // The columns of a bias, which are all rows there ever were, that belong to what is in a cache.
  void slide_bias(const Frame& f, const KeyRange* ranges, const Shape& shape, float* to) const {
    const int64_t rows = shape[1] * shape[2];
    for (int64_t b = 0; b < s.batch; ++b) {
      const int64_t columns = ranges[b].end, first = total(f, b) - columns;
      check_argument(first + columns <= shape[3], "attention_bias has shape ", shape, " for ",
                     first + columns, " keys");
      const float* from = f.in<float>(kBias) + (shape[0] == 1 ? 0 : b * rows * shape[3]) + first;
      for (int64_t row = 0; row < rows; ++row)
        std::copy_n(from + row * shape[3], columns, to + (b * rows + row) * s.present_rows);
    }
  }

  // The keys of each batch, from the lengths given at run time.
  void fill_ranges(const Frame& f, KeyRange* ranges) const {
    for (int64_t b = 0; b < s.batch; ++b) {
      const int64_t all = total(f, b), before = past(f, b);
      check_argument(all >= 0 && before >= 0 && all - before <= s.rows &&
                         (window > 0 || (before <= s.past_rows &&
                                         before + s.rows <= s.present_rows && all <= s.key_rows)),
                     "seqlens_k holds ", all - 1, " where ", s.rows, " rows follow a past of ",
                     s.past_rows, " in a cache of ", s.present_rows);
      ranges[b] = {0, kept(before) + all - before, kept(before)};
    }
  }
};

Step GroupQueryAttention::prepare(PrepareContext& ctx) const {
  Preparation ready;
  ready.s = sizes(ctx);
  ready.norm_epsilon = norm_epsilon_;
  ready.window = slides_ ? window_ : 0;
  const Sizes& s = ready.s;
  if (rotates_) {
    check(ctx.has_input(kCos) && ctx.has_input(kSin), "do_rotary without cos_cache and sin_cache");
    const Shape& cache = ctx.shape(kCos);
    check(cache.size() == 2 && ctx.shape(kSin) == cache && 2 * cache[1] <= s.width,
          "angles of shapes ", cache, " and ", ctx.shape(kSin), " for heads of ", s.width);
    ready.rotates = true;
    ready.rotation = {s.width, 2 * cache[1], interleaved_};
    ready.cache_rows = cache[0];
  }
  if (ctx.has_input(kPositions))
    check(ctx.dtype(kPositions) == DType::int64 && ctx.count(kPositions) == s.batch * s.rows,
          "position_ids has shape ", ctx.shape(kPositions));
  for (const int i : {kQueryNorm, kKeyNorm})
    if (ctx.has_input(i))
      check(ctx.count(i) == s.width, "a factor of shape ", ctx.shape(i), " for heads of ", s.width);
  ready.changes_queries = rotates_ || ctx.has_input(kQueryNorm);

  AttentionShape a;
  a.batch = s.batch;
  a.heads = s.heads;
  a.kv_heads = s.kv_heads;
  a.queries = s.rows;
  a.keys = s.key_rows;
  a.head_size = a.value_size = s.width;
  a.scale = scale_ != 0 ? scale_ : 1 / std::sqrt(static_cast<float>(s.width));
  a.softcap = softcap_;
  a.causal = causal_;
  a.left_window = window_ > 0 ? std::min(window_ - 1, kWidestWindow) : -1;
  a.q = {s.rows * ready.row_floats(), s.width, ready.row_floats()};
  if (ready.changes_queries) a.q = rows_first(s.heads, s.rows, s.width);
  a.k = a.v = heads_first(s.kv_heads, s.present_rows, s.width);
  a.y = rows_first(s.heads, s.rows, s.width);
  if (ctx.wants_output(3)) a.scores = scores_;
  a.outside_score = 0;  // as in ONNX Runtime
  if (ctx.has_input(kBias)) {
    const Shape& bias = ctx.shape(kBias);
    check(bias.size() == 4 && (bias[0] == 1 || bias[0] == s.batch) &&
              (bias[1] == 1 || bias[1] == s.heads) && bias[2] == s.rows &&
              (slides_ || bias[3] <= s.present_rows),
          "attention_bias has shape ", bias);
    a.mask = MaskKind::additive;
    a.mask_keys = slides_ ? s.present_rows : bias[3];
    const int64_t plane = checked_mul(bias[2], a.mask_keys);
    a.mask_layout = {bias[0] == 1 && !slides_ ? 0 : checked_mul(bias[1], plane),
                     bias[1] == 1 ? 0 : plane, a.mask_keys};
  }
  if (ctx.has_input(kSink))
    check(ctx.count(kSink) == s.heads, "head_sink has shape ", ctx.shape(kSink));

  const AttentionCore core(a);
  ctx.count_flops(a.flops());
  ScratchPlan plan;
  const int64_t ranges_at = plan.add(floats_for<KeyRange>(s.batch));
  const int64_t queries_at =
      plan.add(ready.changes_queries ? s.batch * s.rows * s.heads * s.width : 0);
  const int64_t sinks_at = plan.add(smooth_ ? s.heads : 0);
  const int64_t core_at = plan.add(core.scratch_floats());
  const bool quantised = !codes_[0].is_float();
  // Whether the rows that the queries meet are put together in the outputs.
  const bool kept = ctx.wants_output(1) && !slides_;
  const int64_t cache_rows = checked_mul(s.batch * s.kv_heads, s.present_rows);
  const int64_t cache = quantised || !kept ? checked_mul(cache_rows, s.width) : 0;
  const int64_t keys_at = plan.add(cache), values_at = plan.add(cache);
  // Keys in codes and then values, one after the other, where no output takes them.
  const int64_t codes_at =
      plan.add(quantised && !kept ? floats_for<uint8_t>(checked_mul(cache_rows, s.width)) : 0);
  const bool moves = ctx.wants_output(1) && slides_;
  const Shape bias = slides_ && ctx.has_input(kBias) ? ctx.shape(kBias) : Shape();
  const int64_t bias_at = plan.add(bias.empty() ? 0 : checked_mul(s.batch, a.mask_layout.batch));
  plan.request(ctx);
  return in_float32(ctx, [=, smooth = smooth_, key_codes = codes_[0],
                          value_codes = codes_[1]](Frame& f) {
    float* scratch = f.scratch<float>();
    auto* ranges = reinterpret_cast<KeyRange*>(scratch + ranges_at);
    ready.fill_ranges(f, ranges);
    AttentionData data{.q = f.in<float>(kQuery),
                       .key_room = shared_room(f, kPastKey, 1),
                       .value_room = shared_room(f, kPastValue, 2),
                       .mask = f.in<float>(kBias),
                       .ranges = ranges,
                       .sinks = f.in<float>(kSink),
                       .y = f.out<float>(0),
                       .scores = f.out<float>(3)};
    if (ready.changes_queries) {
      ready.queries(f, scratch + queries_at);
      data.q = scratch + queries_at;
    }
    float* keys = quantised || !kept ? scratch + keys_at : f.out<float>(1);
    float* values = quantised || !kept ? scratch + values_at : f.out<float>(2);
    const int64_t key_room = data.key_room, value_room = data.value_room;
    if (quantised || moves) data.key_room = data.value_room = 0;
    for (const bool is_key : {true, false}) {
      const int64_t room = is_key ? key_room : value_room;
      const int64_t past_room = moves && room > 0 ? room : ready.s.past_rows;
      const int output = is_key ? 1 : 2;
      float* floats = is_key ? keys : values;
      const void* joined = floats;
      int64_t bytes = ready.s.width * static_cast<int64_t>(sizeof(float));
      if (quantised) {
        const CacheCodes& codes = is_key ? key_codes : value_codes;
        auto* to = kept ? f.out<uint8_t>(output) : reinterpret_cast<uint8_t*>(scratch + codes_at);
        ready.extend(f, ranges, is_key, floats, ready.s.present_rows, past_room);
        ready.extend_codes(f, ranges, is_key, codes, floats, to, moves ? 0 : room, past_room);
        joined = to;
        bytes = codes.row_bytes(ready.s.width);
      } else {
        ready.extend(f, ranges, is_key, floats, moves ? 0 : room, past_room);
      }
      if (moves) ready.slide(f, ranges, joined, f.out<char>(output), past_room, bytes);
    }
    if (!bias.empty()) {
      ready.slide_bias(f, ranges, bias, scratch + bias_at);
      data.mask = scratch + bias_at;
    }
    data.k = keys;
    data.v = values;
    if (smooth && !data.sinks) {
      std::fill_n(scratch + sinks_at, core.shape().heads, 0.0f);
      data.sinks = scratch + sinks_at;
    }
    core.run(f, data, scratch + core_at);
  });
}

}  // namespace

[[gnu::cold]] void register_group_query_attention(OpRegistry& ops) {
  ops.add<GroupQueryAttention>("GroupQueryAttention", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
