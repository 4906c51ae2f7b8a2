// CausalConvWithState: a convolution of every channel by itself over the past alone, whose last
// inputs are carried to the next call.
#include <cmath>

#include "base/checked.h"
#include "ops/checks.h"
#include "ops/composition.h"
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
    // Only com.microsoft has these.
    dilation_ = init.attrs.get("dilation", 1);
    channels_last_ = init.attrs.get("channels_last", 0) != 0;
    check(dilation_ >= 1 && dilation_ < int64_t{1} << 31, "dilation is ", dilation_);
    if (init.attrs.get("ndim", 1) != 1 || init.attrs.get("state_window", 0) != 0)
      fail(ErrorKind::unsupported, "images and windows of states are not supported");
  }

  // Channels that come last move to the front and back.
  bool expand(Graph& graph, Node& node) const override {
    if (!channels_last_) return false;
    const Expander e{graph, node};
    for (const int i : {kInput, kPast})
      if (node.input(i) && node.input(i)->type().shape && node.input(i)->type().shape->size() != 3)
        fail(ErrorKind::unsupported, "channels of several axes are not supported");
    NodeSpec spec{.op_type = node.op_type(),
                  .inputs = node.inputs(),
                  .attrs = node.attrs(),
                  .domain = node.domain(),
                  .opset = node.opset()};
    spec.attrs.erase("channels_last");
    for (const int i : {kInput, kPast})
      if (node.input(i)) spec.inputs[i] = e.channels_first(node.input(i));
    const Node* conv = e.add_node(std::move(spec), 2);
    for (const int i : {0, 1})
      if (node.output(i)) e.finish(i, e.channels_last(conv->output(i)));
    return true;
  }

  void infer(InferContext& ctx) const override {
    check_all_floats(ctx);
    const DType dtype = ctx.dtype(kInput);
    check_dtypes(ctx, dtype);
    if (dtype == DType::float64)
      fail(ErrorKind::unsupported, "causal convolution of float64 is not supported");
    for (const int i : {kInput, kWeight, kPast}) check_rank(ctx, i, 3);
    const Dims x = ctx.has_rank(kInput) ? ctx.dims(kInput) : Dims(3, Dim::unknown());
    if (channels_last_) {
      for (int i = 0; i < 2; ++i)
        if (ctx.wants_output(i)) ctx.set_output(i, dtype);
      return;
    }
    const Dims w = ctx.has_rank(kWeight) ? ctx.dims(kWeight) : Dims(3, Dim::unknown());
    check(may_equal(w[0], x[1]) && may_equal(w[1], Dim(1)) && w[2].value_or(1) >= 1,
          "weights of shape ", w, " for ", x[1], " channels");
    check_vector(ctx, kBias, x[1]);
    const Dims state{x[0], x[1], (w[2] - 1) * Dim(dilation_)};
    if (ctx.has_input(kPast) && ctx.has_rank(kPast))
      check(may_equal(ctx.dims(kPast), state), "past_state has shape ", ctx.dims(kPast),
            ", expected ", state);
    ctx.set_output(0, dtype, x);
    if (ctx.wants_output(1)) ctx.set_output(1, dtype, state);
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape &x = ctx.shape(kInput), &w = ctx.shape(kWeight);
    const int64_t channels = x[1], length = x[2], taps = w[2];
    const int64_t step = dilation_, kept = checked_mul(taps - 1, step);
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
              for (int64_t j = 0; j < taps; ++j) sum += weight[j] * input[t - kept + j * step];
            else
              for (int64_t j = 0; j < taps; ++j) sum += weight[j] * at(t + j * step);
            y[t] = silu ? sum / (1 + std::exp(-sum)) : sum;
          }
          if (float* state = f.out<float>(1))
            for (int64_t i = 0; i < kept; ++i) state[plane * kept + i] = at(length + i);
        }
      });
    });
  }

 private:
  bool silu_, channels_last_ = false;
  int64_t dilation_ = 1;
};

}  // namespace

[[gnu::cold]] void register_causal_conv(OpRegistry& ops) {
  ops.add<CausalConvWithState>("CausalConvWithState", {.since = 27});
  ops.add<CausalConvWithState>("CausalConvWithState", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
