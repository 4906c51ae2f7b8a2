// Operators that early versions of the standard had as experiments, made of those that stayed.
#include <limits>

#include "base/checked.h"
#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

// A constant of the element type of `like`.
Value* constant_like(const Expander& e, const Value* like, Tensor tensor) {
  Value* value = e.constant(std::move(tensor));
  const DType dtype = like->type().dtype;
  check(is_float(dtype), "expected a float input, got ", dtype);
  return e.cast(value, dtype);
}

// alpha x + beta, alpha tanh(beta x), alpha softplus(beta x), scale x.
class ScaledFunction final : public Composition {
 public:
  explicit ScaledFunction(const OpInit& init) : type_(init.type) {
    const bool scale = type_ == "Scale";
    const std::string first = scale ? "scale" : "alpha";
    if (type_ == "ScaledTanh" || type_ == "ParametricSoftplus")
      check(init.attrs.has("alpha") && init.attrs.has("beta"), "alpha and beta go together");
    alpha_ = init.attrs.get(first, 1.0);
    if (!scale) beta_ = init.attrs.get("beta", 0.0);
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    Value* x = e.input(0);
    const auto number = [&](float value) { return constant_like(e, x, Tensor::scalar(value)); };
    Value* y = x;
    if (type_ == "ScaledTanh" || type_ == "ParametricSoftplus") {
      y = e.add("Mul", {y, number(beta_)}, {}, 14);
      y = e.add(type_ == "ScaledTanh" ? "Tanh" : "Softplus", {y}, {}, 13);
    }
    y = e.add("Mul", {y, number(alpha_)}, {}, 14);
    if (type_ == "Affine") y = e.add("Add", {y, number(beta_)}, {}, 14);
    e.finish(0, y);
    return true;
  }

 private:
  std::string type_;
  float alpha_ = 1, beta_ = 0;
};

// scale x + bias of the channel.
class ImageScaler final : public Composition {
 public:
  explicit ImageScaler(const OpInit& init)
      : scale_(init.attrs.get("scale", 1.0)), bias_(init.attrs.floats("bias")) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    Value* x = e.input(0);
    const auto& shape = x->type().shape;
    check(!shape || shape->size() == 4, "expected an image of rank 4");
    check(!shape || (*shape)[1].value_or(static_cast<int64_t>(bias_.size())) ==
                        static_cast<int64_t>(bias_.size()),
          "bias has ", bias_.size(), " entries");
    Value* y = e.add("Mul", {x, constant_like(e, x, Tensor::scalar(scale_))}, {}, 14);
    const Shape channels{1, static_cast<int64_t>(bias_.size()), 1, 1};
    e.finish(0,
             e.add("Add", {y, constant_like(e, x, Tensor::of(bias_).reshaped(channels))}, {}, 14));
    return true;
  }

 private:
  float scale_;
  std::vector<float> bias_;
};

// border: left, top, right, bottom. With scale, the size that remains, the last two do not count.
class Crop final : public Composition {
 public:
  explicit Crop(const OpInit& init)
      : border_(init.attrs.ints("border")), scale_(init.attrs.ints("scale")) {
    check(border_.size() == 4, "border has ", border_.size(), " entries, expected 4");
    check(scale_.empty() || scale_.size() == 2, "scale has ", scale_.size(),
          " entries, expected 2");
    for (const int64_t width : border_) check(width >= 0, "border holds ", width);
    for (const int64_t size : scale_) check(size >= 0, "scale holds ", size);
  }

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.dtype(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const auto& shape = e.input(0)->type().shape;
    check(!shape || shape->size() == 4, "expected an image of rank 4");
    int64_t ends[2];
    for (std::size_t axis = 0; axis < 2; ++axis) {  // height, width
      const int64_t begin = border_[1 - axis], end = border_[3 - axis];
      const int64_t size = shape ? (*shape)[2 + axis].value_or(-1) : -1;
      if (!scale_.empty())
        ends[axis] = checked_add(begin, scale_[axis]);
      else
        ends[axis] = end > 0 ? -end : std::numeric_limits<int64_t>::max();
      if (size < 0) continue;
      const int64_t wanted = scale_.empty() ? checked_add(begin, end) : ends[axis];
      check(wanted <= size, "a border of ", begin, " leaves too little of ", size);
    }
    e.finish(0, e.add("Slice", {e.input(0), e.integers({border_[1], border_[0]}),
                                e.integers({ends[0], ends[1]}), e.integers({2, 3})}));
    return true;
  }

 private:
  std::vector<int64_t> border_, scale_;
};

// A constant, or one number in the shape that the input spells.
class GivenTensorFill final : public Composition {
 public:
  explicit GivenTensorFill(const OpInit& init)
      : values_(init.attrs.floats("values")),
        shape_(init.attrs.ints("shape")),
        extra_(init.attrs.ints("extra_shape")),
        spelled_(init.attrs.get("input_as_shape", 0) != 0) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, DType::float32); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    Value* input = node.input(0);
    if (!input) {
      Shape shape(shape_.begin(), shape_.end());
      for (const int64_t size : extra_) shape.push_back(size);
      e.finish(0, e.constant(Tensor::of(values_).reshaped(shape)));
      return true;
    }
    Value* shape = spelled_ ? input : e.add("Shape", {input});
    if (!extra_.empty())
      shape = e.add("Concat", {shape, e.constant(Tensor::of(extra_))}, {{"axis", int64_t{0}}});
    e.finish(0, e.add("Reshape", {e.constant(Tensor::of(values_)), shape}));
    return true;
  }

 private:
  std::vector<float> values_;
  std::vector<int64_t> shape_, extra_;
  bool spelled_;
};

}  // namespace

[[gnu::cold]] void register_experimental(OpRegistry& ops) {
  for (const char* name : {"Affine", "ScaledTanh", "ParametricSoftplus", "Scale"})
    ops.add<ScaledFunction>(name, {});
  ops.add<ImageScaler>("ImageScaler", {});
  ops.add<Crop>("Crop", {});
  ops.add<GivenTensorFill>("GivenTensorFill", {});
}

}  // namespace sdx::ops
