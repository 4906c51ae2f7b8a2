// GatedRMSNorm, GatedAdd, ScaledSiLU and MatMulInteger16 of com.microsoft, made of what the
// standard has.
#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

const char* const kContrib = "com.microsoft";

// (X, scale, gate): rows of as many elements as scale has, normalised, times what becomes of the
// gate, all in float32.
class GatedRmsNorm final : public Composition {
 public:
  explicit GatedRmsNorm(const OpInit& init) : epsilon_(init.attrs.get("epsilon", 1e-5)) {
    const std::string activation = init.attrs.get("activation", "silu");
    swish_ = activation == "silu" || activation == "swish";
    check(swish_ || activation == "sigmoid", "activation '", activation,
          "' is none of silu, swish, sigmoid");
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const DType dtype = e.input(0)->type().dtype;
    check(is_float(dtype), "expected a float input, got ", dtype);
    Value* x = e.cast(e.input(0), DType::float32);
    Value* scale = e.cast(e.input(1), DType::float32);
    const auto &shape = x->type().shape, &row = scale->type().shape;
    const bool whole = shape && row && row->size() == 1 && !shape->empty() &&
                       (*row)[0].is_known() && shape->back() == (*row)[0];
    if (!whole) {
      Value* rows =
          e.add("Concat", {e.integers({-1}), e.add("Shape", {scale})}, {{"axis", int64_t{0}}});
      x = e.add("Reshape", {x, rows}, {}, 14);
    }
    Value* y =
        e.add("RMSNormalization", {x, scale}, {{"axis", int64_t{-1}}, {"epsilon", epsilon_}}, 23);
    if (!whole)
      y = e.add("Reshape", {y, e.add("Shape", {e.input(0)})}, {{"allowzero", int64_t{1}}}, 14);
    Value* gate = e.cast(e.input(2), DType::float32);
    gate = swish_ ? e.add("Swish", {gate}, {}, 24) : e.add("Sigmoid", {gate});
    e.finish(0, e.cast(e.add("Mul", {y, gate}, {}, 14), dtype));
    return true;
  }

 private:
  float epsilon_;
  bool swish_;
};

// X + Y gate.
class GatedAdd final : public Composition {
 public:
  explicit GatedAdd(const OpInit&) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    Value* product = e.add("Mul", {e.input(1), e.input(2)}, {}, 14);
    e.finish(0, e.add("Add", {e.input(0), product}, {}, 14));
    return true;
  }
};

// z sigmoid(z) of z = scale X, the scale an input or alpha.
class ScaledSilu final : public Composition {
 public:
  explicit ScaledSilu(const OpInit& init) : alpha_(init.attrs.get("alpha", 1.0)) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const DType dtype = e.input(0)->type().dtype;
    check(is_float(dtype), "expected a float input, got ", dtype);
    Value* scale = node.input(1) ? e.add("Reshape", {node.input(1), e.integers({1})}, {}, 14)
                                 : e.constant(Tensor::of<float>({alpha_}));
    Value* z =
        e.add("Mul", {e.cast(e.input(0), DType::float32), e.cast(scale, DType::float32)}, {}, 14);
    z = e.cast(z, dtype);
    e.finish(0, e.add("Mul", {z, e.add("Sigmoid", {z})}, {}, 14));
    return true;
  }

 private:
  float alpha_;
};

// A product of int16 matrices in int32, which wraps.
class MatMulInteger16 final : public Composition {
 public:
  explicit MatMulInteger16(const OpInit&) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, DType::int32); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    for (const std::size_t i : {0, 1})
      check(e.input(i)->type().dtype == DType::int16, "input ", i, " is ", e.input(i)->type().dtype,
            ", not int16");
    e.finish(0,
             e.add("MatMul", {e.cast(e.input(0), DType::int32), e.cast(e.input(1), DType::int32)}));
    return true;
  }
};

}  // namespace

[[gnu::cold]] void register_contrib_gated(OpRegistry& ops) {
  ops.add<GatedRmsNorm>("GatedRMSNorm", {.since = 1}, kContrib);
  ops.add<GatedAdd>("GatedAdd", {.since = 1}, kContrib);
  ops.add<ScaledSilu>("ScaledSiLU", {.since = 1}, kContrib);
  ops.add<MatMulInteger16>("MatMulInteger16", {.since = 1}, kContrib);
}

}  // namespace sdx::ops
