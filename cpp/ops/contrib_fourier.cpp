// Rfft and Irfft of com.microsoft: onesided transforms of real signals of up to three axes.
#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

class RealTransform final : public Composition {
 public:
  explicit RealTransform(const OpInit& init)
      : inverse_(init.type == "Irfft"), axes_(init.attrs.get("signal_ndim", 1)) {
    check(axes_ >= 1 && axes_ <= 3, "signal_ndim is ", axes_);
    check(init.attrs.get("normalized", 0) == 0, "normalized is not 0");
    check(init.attrs.get("onesided", 1) == 1, "onesided is not 1");
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.dtype(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    Value* x = e.input(0);
    // Real values have no axis of their own for the parts of a number.
    if (!inverse_) x = transform(e, e.add("Unsqueeze", {x, e.integers({-1})}), 0);
    for (int64_t i = 1; i < axes_; ++i) x = transform(e, x, i);
    if (inverse_) x = e.add("Squeeze", {transform(e, x, 0), e.integers({-1})});
    e.finish(0, x);
    return true;
  }

 private:
  // Along the i-th axis from the last of the signal.
  Value* transform(const Expander& e, Value* x, int64_t i) const {
    return e.add(
        "DFT", {x, nullptr, e.constant(Tensor::scalar<int64_t>(-2 - i))},
        {{"inverse", static_cast<int64_t>(inverse_)}, {"onesided", static_cast<int64_t>(i == 0)}},
        20);
  }

  bool inverse_;
  int64_t axes_;
};

}  // namespace

[[gnu::cold]] void register_contrib_fourier(OpRegistry& ops) {
  for (const char* name : {"Rfft", "Irfft"})
    ops.add<RealTransform>(name, {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
