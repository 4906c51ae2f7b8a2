// LinearAttention: attention without softmax, as a recurrence over a matrix of state for every
// key-value head (Yang et al., "Gated Delta Networks", 2024).
#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

constexpr int kQuery = 0, kKey = 1, kValue = 2, kPast = 3, kDecay = 4, kBeta = 5;

// Sizes of one step; widths count the values of one time step.
struct Sizes {
  int64_t batch, time, heads, kv_heads, key_size, value_size;
  int64_t decay_width = 0, beta_width = 0;  // 0: there is none

  // Query heads share key-value heads or, in com.microsoft, the other way round.
  int64_t results() const { return std::max(heads, kv_heads); }
};

// All time steps of key-value head `h` of batch `b`; its state, key_size x value_size, is at
// `state`, and `update` has room for value_size values.
struct Recurrence {
  Sizes s;
  float scale;

  void run(const Frame& f, int64_t b, int64_t h, float* state, float* update) const {
    const int64_t group = std::max<int64_t>(s.heads / s.kv_heads, 1);
    const int64_t shared = std::max<int64_t>(s.kv_heads / s.heads, 1);
    for (int64_t t = 0; t < s.time; ++t) {
      const int64_t row = b * s.time + t;
      const float* k = f.in<float>(kKey) + (row * s.kv_heads + h) * s.key_size;
      const float* v = f.in<float>(kValue) + (row * s.kv_heads + h) * s.value_size;
      if (s.decay_width) decay(f.in<float>(kDecay) + row * s.decay_width, h, state);
      std::copy_n(v, s.value_size, update);
      if (s.beta_width) {
        for (int64_t d = 0; d < s.key_size; ++d) add_row(-k[d], state + d * s.value_size, update);
        const float* beta = f.in<float>(kBeta) + row * s.beta_width;
        const float rate = beta[s.beta_width == 1 ? 0 : h];
        for (int64_t m = 0; m < s.value_size; ++m) update[m] *= rate;
      }
      for (int64_t d = 0; d < s.key_size; ++d) add_row(k[d], update, state + d * s.value_size);
      for (int64_t g = h * group; g < (h + 1) * group; ++g) {
        const float* q = f.in<float>(kQuery) + (row * s.heads + g / shared) * s.key_size;
        float* y = f.out<float>(0) + (row * s.results() + g) * s.value_size;
        std::fill_n(y, s.value_size, 0.0f);
        for (int64_t d = 0; d < s.key_size; ++d) add_row(q[d], state + d * s.value_size, y);
        for (int64_t m = 0; m < s.value_size; ++m) y[m] *= scale;
      }
    }
  }

 private:
  void add_row(float factor, const float* __restrict__ from, float* __restrict__ to) const {
    for (int64_t m = 0; m < s.value_size; ++m) to[m] += factor * from[m];
  }

  // One logarithm for the head, or one for each of its rows.
  void decay(const float* logs, int64_t h, float* state) const {
    const bool by_row = s.decay_width != s.kv_heads;
    float factor = by_row ? 0 : std::exp(logs[h]);
    for (int64_t d = 0; d < s.key_size; ++d) {
      if (by_row) factor = std::exp(logs[h * s.key_size + d]);
      for (int64_t m = 0; m < s.value_size; ++m) state[d * s.value_size + m] *= factor;
    }
  }
};

class LinearAttention final : public Op {
 public:
  explicit LinearAttention(const OpInit& init)
      : heads_(init.attrs.require<int64_t>("q_num_heads")),
        kv_heads_(init.attrs.require<int64_t>("kv_num_heads")),
        scale_(init.attrs.get("scale", 0.0)) {
    const bool contrib = init.domain == "com.microsoft";
    check(kv_heads_ > 0 && heads_ > 0 &&
              (heads_ % kv_heads_ == 0 || (contrib && kv_heads_ % heads_ == 0)),
          heads_, " query heads cannot share ", kv_heads_, " key heads");
    if (init.attrs.get("state_window", 0) != 0)
      fail(ErrorKind::unsupported, "windows of states are not supported");
    const std::string rule = init.attrs.get("update_rule", "gated_delta");
    gated_ = rule == "gated" || rule == "gated_delta";
    delta_ = rule == "delta" || rule == "gated_delta";
    check(gated_ || delta_ || rule == "linear", "update_rule '", rule,
          "' is none of linear, gated, delta, gated_delta");
  }

  void infer(InferContext& ctx) const override {
    check_all_floats(ctx);
    const DType dtype = ctx.dtype(kQuery);
    for (int i = 0; i < ctx.input_count(); ++i) {
      if (!ctx.has_input(i)) continue;
      if (ctx.dtype(i) == DType::float64)
        fail(ErrorKind::unsupported, "linear attention of float64 is not supported");
      check(i == kPast || ctx.dtype(i) == dtype, "element types differ: ", dtype, " and ",
            ctx.dtype(i));
      check_rank(ctx, i, i == kPast ? 4 : 3);
    }
    check(ctx.has_input(kDecay) == gated_, "the update rule and the input decay do not fit");
    check(ctx.has_input(kBeta) == delta_, "the update rule and the input beta do not fit");
    const auto dims = [&](int i) {
      return ctx.has_rank(i) ? ctx.dims(i) : Dims(3, Dim::unknown());
    };
    const Dims q = dims(kQuery), k = dims(kKey), v = dims(kValue);
    for (const Dims* other : {&k, &v})
      check(may_equal(q[0], (*other)[0]) && may_equal(q[1], (*other)[1]), "shapes ", q, " and ",
            *other, " differ in batch or time");
    const Dim key_size = head_size(q[2], heads_), value_size = head_size(v[2], kv_heads_);
    check(may_equal(key_size, head_size(k[2], kv_heads_)), "queries of size ", key_size,
          ", keys of ", head_size(k[2], kv_heads_));
    const Dims state{q[0], kv_heads_, key_size, value_size};
    if (ctx.has_input(kPast) && ctx.has_rank(kPast))
      check(may_equal(ctx.dims(kPast), state), "past_state has shape ", ctx.dims(kPast),
            ", expected ", state);
    ctx.set_output(0, dtype, {q[0], q[1], Dim(std::max(heads_, kv_heads_)) * value_size});
    if (ctx.wants_output(1))
      ctx.set_output(1, ctx.has_input(kPast) ? ctx.dtype(kPast) : dtype, state);
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape &q = ctx.shape(kQuery), &v = ctx.shape(kValue);
    Sizes s{.batch = q[0],
            .time = q[1],
            .heads = heads_,
            .kv_heads = kv_heads_,
            .key_size = q[2] / heads_,
            .value_size = v[2] / kv_heads_};
    check(q[2] % heads_ == 0 && v[2] % kv_heads_ == 0 && v[0] == s.batch && v[1] == s.time &&
              ctx.shape(kKey) == Shape({s.batch, s.time, kv_heads_ * s.key_size}),
          "shapes ", q, ", ", ctx.shape(kKey), " and ", v, " do not fit ", heads_, " query and ",
          kv_heads_, " key heads");
    if (gated_) s.decay_width = gate_width(ctx, kDecay, kv_heads_ * s.key_size);
    if (delta_) s.beta_width = gate_width(ctx, kBeta, 1);
    const int64_t states = s.batch * s.kv_heads;
    const int64_t state = checked_mul(s.key_size, s.value_size);
    const float scale =
        scale_ != 0 ? scale_ : static_cast<float>(1 / std::sqrt(static_cast<double>(s.key_size)));
    ctx.count_flops(2.0 * static_cast<double>(s.batch * s.time * state) *
                    static_cast<double>(s.results() + (delta_ ? 2 : 1) * s.kv_heads));
    const bool has_output = ctx.wants_output(1);
    const int64_t each = s.value_size + (has_output ? 0 : state);
    ctx.request_scratch(checked_mul(checked_mul(states, each), sizeof(float)));
    const double cost = 1.0 * static_cast<double>(s.time) * static_cast<double>(state) + 20;
    return in_float32(ctx, [=, recurrence = Recurrence{s, scale}](Frame& f) {
      f.parallel_for(split_work(states, cost), [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          float* update = f.scratch<float>() + i * each;
          float* to = has_output ? f.out<float>(1) + i * state : update + s.value_size;
          if (const float* past = f.in<float>(kPast))
            std::copy_n(past + i * state, state, to);
          else
            std::fill_n(to, state, 0.0f);
          recurrence.run(f, i / s.kv_heads, i % s.kv_heads, to, update);
        }
      });
    });
  }

 private:
  static Dim head_size(const Dim& width, int64_t heads) {
    check(!width.is_known() || width.value() % heads == 0, "a hidden size of ", width, " in ",
          heads, " heads");
    return floor_div(width, heads);
  }

  int64_t gate_width(const PrepareContext& ctx, int i, int64_t other) const {
    const Shape &gate = ctx.shape(i), &q = ctx.shape(kQuery);
    check(gate[0] == q[0] && gate[1] == q[1] && (gate[2] == kv_heads_ || gate[2] == other),
          "input ", i, " has shape ", gate, ", expected [", q[0], ", ", q[1], ", ", kv_heads_,
          " or ", other, "]");
    return gate[2];
  }

  int64_t heads_, kv_heads_;
  float scale_;
  bool gated_, delta_;
};

}  // namespace

[[gnu::cold]] void register_linear_attention(OpRegistry& ops) {
  ops.add<LinearAttention>("LinearAttention", {.since = 27});
  ops.add<LinearAttention>("LinearAttention", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
