// GroupNorm and SkipGroupNorm of com.microsoft: images whose channels mostly come last, normalised
// by groups of channels in float32, with an activation behind.
#include <string>

#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

class ContribGroupNorm final : public Composition {
 public:
  explicit ContribGroupNorm(const OpInit& init)
      : skips_(init.type == "SkipGroupNorm"),
        channels_last_(init.attrs.get("channels_last", 1) != 0),
        activates_(init.attrs.require<int64_t>("activation") != 0),
        groups_(init.attrs.require<int64_t>("groups")),
        epsilon_(init.attrs.get("epsilon", 1e-5)) {}

  void infer(InferContext& ctx) const override {
    ctx.set_output(0, ctx.input(0));
    if (ctx.wants_output(1)) ctx.set_output(1, ctx.input(0));
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const DType dtype = e.input(0)->type().dtype;
    check(is_float(dtype), "expected a float input, got ", dtype);
    Value* x = skips_ ? sum(e) : e.input(0);
    if (skips_) e.finish(1, x);
    if (channels_last_) x = e.channels_first(x);
    Value* y = e.add("GroupNormalization",
                     {e.cast(x, DType::float32), e.cast(e.input(1), DType::float32),
                      e.cast(e.input(2), DType::float32)},
                     {{"num_groups", groups_}, {"epsilon", epsilon_}}, 21);
    if (activates_) y = e.add("Swish", {y}, {}, 24);
    y = e.cast(y, dtype);
    e.finish(0, channels_last_ ? e.channels_last(y) : y);
    return true;
  }

 private:
  // X + skip + bias, whose skip may be one vector of channels an image.
  Value* sum(const Expander& e) const {
    Value *skip = e.input(3), *bias = e.node.input(4);
    const auto &x_shape = e.input(0)->type().shape, &skip_shape = skip->type().shape;
    if (!x_shape || !skip_shape) fail(ErrorKind::unsupported, "an image or a skip of unknown rank");
    // The spatial axes.
    std::vector<int64_t> axes;
    for (std::size_t i = 2; i < x_shape->size(); ++i)
      axes.push_back(static_cast<int64_t>(i) - (channels_last_ ? 1 : 0));
    if (skip_shape->size() == 2 && !axes.empty())
      skip = e.add("Unsqueeze", {skip, e.integers(axes)});
    Value* total = e.add("Add", {e.input(0), skip}, {}, 14);
    if (!bias) return total;
    if (!channels_last_) {
      for (int64_t& axis : axes) --axis;
      bias = e.add("Unsqueeze", {bias, e.integers(axes)});
    }
    return e.add("Add", {total, bias}, {}, 14);
  }

  bool skips_, channels_last_, activates_;
  int64_t groups_;
  float epsilon_;
};

}  // namespace

[[gnu::cold]] void register_contrib_group_norm(OpRegistry& ops) {
  for (const char* name : {"GroupNorm", "SkipGroupNorm"})
    ops.add<ContribGroupNorm>(name, {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
