// CausalConvWithState: a convolution of every channel by itself over the past alone, whose last
// inputs are carried to the next call.
#include <cmath>

#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

constexpr int kInput = 0, kWeight = 1, kBias = 2, kPast = 3;

class CausalConvWithState final : public Op {
 public:
  explicit CausalConvWithState(const OpInit& init) {
    const std::string activation = init.attrs.get("activation", "none");
    silu_ = activation == "silu" || activation == "swish";
    check(silu_ || activation == "none", "activation '", activation,
          "' is none of silu, swish, none");
  }

  void infer(InferContext& ctx) const override {
    check_all_floats(ctx);
    const DType dtype = ctx.dtype(kInput);
    check_dtypes(ctx, dtype);
    if (dtype == DType::float64)
      fail(ErrorKind::unsupported, "causal convolution of float64 is not supported");
    for (const int i : {kInput, kWeight, kPast}) check_rank(ctx, i, 3);
    const Dims x = ctx.has_rank(kInput) ? ctx.dims(kInput) : Dims(3, Dim::unknown());
    const Dims w = ctx.has_rank(kWeight) ? ctx.dims(kWeight) : Dims(3, Dim::unknown());
    check(may_equal(w[0], x[1]) && may_equal(w[1], Dim(1)) && w[2].value_or(1) >= 1,
          "weights of shape ", w, " for ", x[1], " channels");
    check_vector(ctx, kBias, x[1]);
    const Dims state{x[0], x[1], w[2] - 1};
    if (ctx.has_input(kPast) && ctx.has_rank(kPast))
      check(may_equal(ctx.dims(kPast), state), "past_state has shape ", ctx.dims(kPast),
            ", expected ", state);
    ctx.set_output(0, dtype, x);
    if (ctx.wants_output(1)) ctx.set_output(1, dtype, state);
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape &x = ctx.shape(kInput), &w = ctx.shape(kWeight);
    const int64_t channels = x[1], length = x[2], taps = w[2], kept = taps - 1;
    check(w == Shape({channels, 1, taps}) && taps >= 1, "weights of shape ", w, " for ", channels,
          " channels");
    check(!ctx.has_input(kPast) || ctx.shape(kPast) == Shape({x[0], channels, kept}),
          "past_state has shape ", ctx.shape(ctx.has_input(kPast) ? kPast : kInput));
    const double cost = (static_cast<double>(taps) + (silu_ ? 8 : 0)) * static_cast<double>(length);
    return in_float32(ctx, [=, planes = x[0] * channels, silu = silu_](Frame& f) {
      f.parallel_for(split_work(planes, cost + 10), [&](Range r) {
        for (int64_t plane = r.begin; plane < r.end; ++plane) {
          const int64_t channel = plane % channels;
          const float* input = f.in<float>(kInput) + plane * length;
          const float* past = f.in<float>(kPast) ? f.in<float>(kPast) + plane * kept : nullptr;
          // Element i of the past followed by the input.
          const auto at = [&](int64_t i) {
            if (i >= kept) return input[i - kept];
            return past ? past[i] : 0.0f;
          };
          const float* weight = f.in<float>(kWeight) + channel * taps;
          const float bias = f.in<float>(kBias) ? f.in<float>(kBias)[channel] : 0.0f;
          float* y = f.out<float>(0) + plane * length;
          for (int64_t t = 0; t < length; ++t) {
            float sum = bias;
            if (t >= kept)
              for (int64_t j = 0; j < taps; ++j) sum += weight[j] * input[t - kept + j];
            else
              for (int64_t j = 0; j < taps; ++j) sum += weight[j] * at(t + j);
            y[t] = silu ? sum / (1 + std::exp(-sum)) : sum;
          }
          if (float* state = f.out<float>(1))
            for (int64_t i = 0; i < kept; ++i) state[plane * kept + i] = at(length + i);
        }
      });
    });
  }

 private:
  bool silu_;
};

}  // namespace

void register_causal_conv(OpRegistry& ops) {
  ops.add<CausalConvWithState>("CausalConvWithState", {.since = 27});
}

}  // namespace sdx::ops
