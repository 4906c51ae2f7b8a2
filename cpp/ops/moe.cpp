// MoE and QMoE of com.microsoft: a router sends every token to a few experts, each a network of two
// or three projections, and adds up what they say.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/unary.h"
#include "ops/checks.h"
#include "ops/expert_weights.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

// x sigmoid(alpha x), not above `limit` on the way in, times the other part plus beta.
struct SwiGluConstants {
  float alpha, beta, limit;
};

float gated(float gate, float linear, const SwiGluConstants& c) {
  gate = std::min(gate, c.limit);
  linear = std::clamp(linear, -c.limit, c.limit);
  return gate / (1 + std::exp(-c.alpha * gate)) * (linear + c.beta);
}

enum class Gate { none, product, swiglu_apart, swiglu_interleaved, swiglu_halves };

struct Routing {
  int64_t tokens, experts, top;
  bool softmax_of_all, normalised;
  float least;  // experts whose weight is not above it are left out
};

// The experts of one token, best first (of equals the later, as ONNX Runtime has it), and what
// their answers are multiplied by.
void route(const Routing& r, const float* logits, const float* given, int32_t* experts,
           float* weights) {
  for (int64_t i = 0; i < r.top; ++i) {
    int32_t best = -1;
    for (int32_t e = 0; e < r.experts; ++e)
      if ((best < 0 || logits[e] >= logits[best]) &&
          std::find(experts, experts + i, e) == experts + i)
        best = e;
    experts[i] = best;
  }
  float sum = 0;
  for (int64_t i = 0; i < r.top; ++i) {
    weights[i] = given ? given[experts[i]] : std::exp(logits[experts[i]] - logits[experts[0]]);
    sum += weights[i];
  }
  if (!given && r.softmax_of_all && !r.normalised) {
    sum = 0;
    for (int64_t e = 0; e < r.experts; ++e) sum += std::exp(logits[e] - logits[experts[0]]);
  }
  if (given && !r.normalised) return;
  for (int64_t i = 0; i < r.top; ++i) weights[i] = sum == 0 ? 0 : weights[i] / sum;
}

class MixtureOfExperts final : public Op {
 public:
  explicit MixtureOfExperts(const OpInit& init)
      : quantised_(init.type == "QMoE"),
        top_(init.attrs.get("k", 1)),
        normalised_(init.attrs.get("normalize_routing_weights", 0) != 0),
        swiglu_{init.attrs.get("activation_alpha", 1.0), init.attrs.get("activation_beta", 0.0),
                init.attrs.get("swiglu_limit", std::numeric_limits<double>::infinity())} {
    check(top_ > 0, "k is ", top_);
    if (init.attrs.get("use_sparse_mixer", 0) != 0)
      fail(ErrorKind::unsupported, "use_sparse_mixer is not supported");
    if (const std::string type = init.attrs.get("quant_type", "int"); type != "int")
      fail(ErrorKind::unsupported, "quant_type '", type, "' is not supported");
    if (init.attrs.get("weights_prepacked", -1) > 0)
      fail(ErrorKind::unsupported, "weights made ready by others are not supported");
    activation_ = init.attrs.get("activation_type", "relu");
    check(activation_ == "relu" || activation_ == "gelu" || activation_ == "silu" ||
              activation_ == "swiglu" || activation_ == "identity",
          "activation_type is '", activation_, "'");
    fusion_ = init.attrs.get("swiglu_fusion", 0);
    check(fusion_ >= 0 && fusion_ <= 2, "swiglu_fusion is ", fusion_);
    check(!(swiglu_.limit < 0), "swiglu_limit is ", swiglu_.limit);
    const int64_t bits = init.attrs.get("expert_weight_bits", 4);
    for (int i = 0; i < 3; ++i) {
      ExpertWeights& w = projections_[i];
      w.slot = 3 * i;
      w.weights = (quantised_ ? 3 : 2) * i + 2;
      w.bias = quantised_ ? 3 * i + 4 : 2 * i + 3;
      if (!quantised_) continue;
      w.scales = 3 * i + 3;
      w.zeros = 11 + i;
      w.block = init.attrs.get("block_size", 0);
      const std::string name = "fc" + std::to_string(i + 1) + "_expert_weight_bits";
      w.bits = static_cast<int>(init.attrs.get(name, static_cast<int>(bits)));
      check(w.bits == 2 || w.bits == 4 || w.bits == 8, name, " is ", w.bits);
      check(w.block >= 0 && w.block % 8 == 0, "block_size is ", w.block);
    }
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    if (!packs_as_float32(dtype))
      fail(ErrorKind::unsupported, "experts of ", dtype, " are not supported");
    check(ctx.dtype(1) == dtype, "router_probs are ", ctx.dtype(1), ", not ", dtype);
    check_rank(ctx, 1, 2);
    check(!ctx.has_rank(0) || ctx.rank(0) == 2 || ctx.rank(0) == 3, "input has rank ",
          ctx.has_rank(0) ? ctx.rank(0) : 0, ", expected 2 or 3");
    for (const ExpertWeights& w : projections_) {
      if (!ctx.has_input(w.weights)) {
        check(&w == &projections_[2], "input ", w.weights, " is missing");
        continue;
      }
      const DType wanted = quantised_ ? DType::uint8 : dtype;
      check(ctx.dtype(w.weights) == wanted, "weights are ", ctx.dtype(w.weights), ", not ", wanted);
      check_rank(ctx, w.weights, 3);
      for (const int i : {w.scales, w.bias})
        if (i >= 0 && ctx.has_input(i))
          check(packs_as_float32(ctx.dtype(i)), "input ", i, " is ", ctx.dtype(i));
      if (w.zeros >= 0 && ctx.has_input(w.zeros))
        check(ctx.dtype(w.zeros) == DType::uint8, "zero points are ", ctx.dtype(w.zeros));
    }
    ctx.set_output(0, ctx.input(0));
  }

  void pack(PackContext& ctx) const override {
    for (const ExpertWeights& w : projections_)
      if (ctx.has_input(w.weights)) w.pack(ctx);
  }

  Step prepare(PrepareContext& ctx) const override;

 private:
  static constexpr int kRouterWeights = 14;

  Gate gate(bool third) const {
    if (activation_ != "swiglu") return third ? Gate::product : Gate::none;
    check(fusion_ != 0 || third, "swiglu without fusion needs a third projection");
    return fusion_ == 0   ? Gate::swiglu_apart
           : fusion_ == 1 ? Gate::swiglu_interleaved
                          : Gate::swiglu_halves;
  }
  kernels::UnaryF32* activation() const {
    return activation_ == "relu"   ? kernels::unary_relu.resolve()
           : activation_ == "gelu" ? kernels::unary_gelu_tanh.resolve()
           : activation_ == "silu" ? kernels::unary_swish.resolve()
                                   : nullptr;
  }

  bool quantised_;
  int64_t top_, fusion_;
  bool normalised_;
  SwiGluConstants swiglu_;
  std::string activation_;
  ExpertWeights projections_[3];
};

Step MixtureOfExperts::prepare(PrepareContext& ctx) const {
  ExpertWeights w[3];
  std::copy_n(projections_, 3, w);
  const int64_t hidden = ctx.shape(0).back(), tokens = hidden ? ctx.count(0) / hidden : 0;
  const int64_t experts = ctx.shape(1)[1];
  check(ctx.shape(1)[0] == tokens, "router_probs of shape ", ctx.shape(1), " for ", tokens,
        " tokens");
  check(top_ <= experts, "k is ", top_, " of ", experts, " experts");
  if (ctx.has_input(kRouterWeights) && quantised_)
    check(ctx.shape(kRouterWeights) == ctx.shape(1), "router_weights of shape ",
          ctx.shape(kRouterWeights), ", expected ", ctx.shape(1));
  const bool third = ctx.has_input(w[2].weights);
  const Gate gate = this->gate(third);
  const bool fused = gate == Gate::swiglu_interleaved || gate == Gate::swiglu_halves;
  for (int i = 0; i < (third ? 3 : 2); ++i) {
    w[i].read_shape(ctx.shape(w[i].weights));
    w[i].check_shapes(ctx);
    check(w[i].experts == experts, "weights ", ctx.shape(w[i].weights), " for ", experts,
          " experts");
  }
  const int64_t inner = w[1].k;
  check(w[0].k == hidden && w[1].n == hidden && w[0].n == (fused ? 2 : 1) * inner &&
            (!third || (!fused && w[2].k == hidden && w[2].n == inner)),
        "weights do not fit: rows of ", hidden, ", ", w[0].n, " x ", w[0].k, " and ", w[1].n, " x ",
        w[1].k);
  const int64_t routes = checked_mul(tokens, top_);
  check(routes < int64_t{1} << 31 && experts < int64_t{1} << 31, "too many routes: ", routes);
  if (routes == 0) return [](Frame&) {};
  const Routing routing{tokens, experts, top_, !quantised_, normalised_, quantised_ ? 1e-8f : 0.0f};
  ScratchPlan plan;
  const int64_t chosen_at = plan.add(routes), weights_at = plan.add(routes);
  const int64_t places_at = plan.add(routes), active_at = plan.add(std::min(routes, experts));
  const int64_t offsets_at = plan.add(checked_add(experts, 2));
  const int64_t x_at = plan.add(checked_mul(routes, hidden));
  const int64_t first_at = plan.add(checked_mul(routes, w[0].n));
  const int64_t third_at = third ? plan.add(checked_mul(routes, inner)) : 0;
  const int64_t inner_at = fused ? plan.add(checked_mul(routes, inner)) : first_at;
  const int64_t y_at = x_at;  // the rows that were gathered are not read again
  const ExpertProduct first(w[0], ctx, plan, tokens), second(w[1], ctx, plan, tokens);
  const ExpertProduct gating(third ? w[2] : w[0], ctx, plan, tokens);
  plan.request(ctx);
  ctx.count_flops(
      2 * static_cast<double>(routes) *
      static_cast<double>(w[0].n * hidden + inner * hidden + (third ? inner * hidden : 0)));
  return in_float32(ctx, [=, swiglu = swiglu_, run = activation(),
                          has_weights = quantised_ && ctx.has_input(kRouterWeights)](Frame& f) {
    auto* base = f.scratch<float>();
    auto* chosen = reinterpret_cast<int32_t*>(base + chosen_at);
    auto* places = reinterpret_cast<int32_t*>(base + places_at);
    auto* active = reinterpret_cast<int32_t*>(base + active_at);
    auto* offsets = reinterpret_cast<int32_t*>(base + offsets_at);
    float *weights = base + weights_at, *x = base + x_at, *y = base + y_at;
    const int64_t top = routing.top;
    f.parallel_for(split_work(tokens, 1.5 * static_cast<double>(experts * top)), [&](Range r) {
      for (int64_t t = r.begin; t < r.end; ++t)
        route(routing, f.in<float>(1) + t * experts,
              has_weights ? f.in<float>(kRouterWeights) + t * experts : nullptr, chosen + t * top,
              weights + t * top);
    });
    // Routes sorted by expert, tokens in order.
    std::fill_n(offsets, experts + 2, 0);
    const auto counts = [&](int64_t i) { return weights[i] > routing.least; };
    for (int64_t i = 0; i < routes; ++i)
      if (counts(i)) ++offsets[chosen[i] + 2];
    int64_t active_count = 0;
    for (int64_t e = 0; e < experts; ++e) {
      if (offsets[e + 2] > 0) active[active_count++] = static_cast<int32_t>(e);
      offsets[e + 2] += offsets[e + 1];
    }
    for (int64_t i = 0; i < routes; ++i) places[i] = counts(i) ? offsets[chosen[i] + 1]++ : -1;
    const int64_t rows = offsets[experts];
    f.parallel_for(split_work(routes, 0.3 * static_cast<double>(hidden)), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i)
        if (places[i] >= 0)
          std::copy_n(f.in<float>(0) + i / top * hidden, hidden, x + places[i] * hidden);
    });
    const std::span<const int32_t> list(active, static_cast<std::size_t>(active_count));
    float *a = base + first_at, *to = base + inner_at, *b = base + third_at;
    first.run(f, list, offsets, x, a);
    if (third) gating.run(f, list, offsets, x, b);
    f.parallel_for(split_work(rows, 2.0 * static_cast<double>(inner)), [&](Range r) {
      const int64_t begin = r.begin * inner, count = r.size() * inner;
      if (gate == Gate::none || gate == Gate::product) {
        if (run) run(a + begin, a + begin, static_cast<std::size_t>(count), 1, 0);
        for (int64_t i = begin; third && i < begin + count; ++i) a[i] *= b[i];
      } else if (gate == Gate::swiglu_apart) {
        for (int64_t i = begin; i < begin + count; ++i) a[i] = gated(a[i], b[i], swiglu);
      } else if (gate == Gate::swiglu_interleaved) {
        for (int64_t i = begin; i < begin + count; ++i)
          to[i] = gated(a[2 * i], a[2 * i + 1], swiglu);
      } else {
        for (int64_t i = begin; i < begin + count; ++i) {
          const float* row = a + i / inner * 2 * inner + i % inner;
          to[i] = gated(row[0], row[inner], swiglu);
        }
      }
    });
    second.run(f, list, offsets, to, y);
    f.parallel_for(split_work(tokens, 0.3 * static_cast<double>(hidden * top)), [&](Range r) {
      for (int64_t t = r.begin; t < r.end; ++t) {
        float* sum = f.out<float>(0) + t * hidden;
        std::fill_n(sum, hidden, 0.0f);
        for (int64_t i = t * top; i < (t + 1) * top; ++i) {
          if (places[i] < 0) continue;
          const float* part = y + places[i] * hidden;
          for (int64_t j = 0; j < hidden; ++j) sum[j] += weights[i] * part[j];
        }
      }
    });
  });
}

}  // namespace

[[gnu::cold]] void register_moe(OpRegistry& ops) {
  for (const char* name : {"MoE", "QMoE"})
    ops.add<MixtureOfExperts>(name, {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
