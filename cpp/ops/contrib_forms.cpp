// Operators of com.microsoft that the standard has too, in the same or another form.
#include <numeric>

#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

const char* const kContrib = "com.microsoft";

// The same inputs and attributes under another name.
class SameForm final : public Composition {
 public:
  explicit SameForm(const OpInit& init) : type_(init.type) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.input(0).dtype); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    NodeSpec spec{.op_type = type_, .inputs = node.inputs(), .attrs = node.attrs()};
    if (type_ == "TransposeMatMul" || type_ == "SparseToDenseMatMul") {
      spec.op_type = "FusedMatMul";
      spec.domain = kContrib;
    } else if (type_ == "SampleOp") {
      spec.op_type = "Identity";
    }
    spec.opset = type_ == "Trilu" ? 14 : spec.domain.empty() ? 13 : 1;
    if (type_ == "SparseToDenseMatMul" && e.input(0)->type().kind == Type::Kind::sparse_tensor)
      spec.inputs[0] = e.add({.op_type = "ToDense", .inputs = {e.input(0)}, .domain = "sardonyx"});
    e.finish(0, e.add(std::move(spec)));
    return true;
  }

 private:
  std::string type_;
};

// GridSample. As in ONNX Runtime, each neighbour that mode bicubic asks for lies in the image whose
// border is repeated without end, which the standard moves places to beforehand.
class BorderSample final : public Composition {
 public:
  explicit BorderSample(const OpInit&) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.dtype(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    NodeSpec spec{.op_type = "GridSample",
                  .inputs = {e.input(0), e.input(1)},
                  .attrs = node.attrs(),
                  .opset = 16};
    if (node.attrs().get("mode", "bilinear") == "bicubic" &&
        node.attrs().get("padding_mode", "zeros") == "border") {
      spec.inputs = {padded_image(e), padded_grid(e, node.attrs().get("align_corners", 0) != 0)};
      spec.attrs.set("align_corners", int64_t{0});
    }
    e.finish(0, e.add(std::move(spec)));
    return true;
  }

 private:
  // Beyond so many pixels outside of an image all neighbours are alike.
  static constexpr int64_t kReach = 2, kBorder = kReach + 1;

  static Value* padded_image(const Expander& e) {
    Value* pads = e.integers({0, 0, kBorder, kBorder, 0, 0, kBorder, kBorder});
    return e.add("Pad", {e.input(0), pads}, {{"mode", "edge"}});
  }

  static Value* padded_grid(const Expander& e, bool aligned) {
    const DType dtype = e.input(1)->type().dtype;
    const auto number = [&](double value) { return e.scalar(dtype, value); };
    const auto binary = [&](const char* type, Value* a, Value* b) {
      return e.add(type, {a, b}, {}, 14);
    };
    // [width, height], as the last axis of the grid is.
    Value* sizes = e.add("Shape", {e.input(0)}, {{"start", 2}}, 15);
    sizes = e.add("Gather", {sizes, e.integers({1, 0})});
    sizes = e.cast(sizes, dtype);
    Value* span = aligned ? binary("Sub", sizes, number(1)) : sizes;
    Value* at =
        binary("Mul", binary("Add", e.input(1), number(1)), binary("Mul", span, number(0.5)));
    if (!aligned) at = binary("Sub", at, number(0.5));
    at = e.add("Max", {at, number(-kReach)});
    at = e.add("Min", {at, binary("Add", sizes, number(kReach - 1))});
    at = binary("Mul", binary("Add", at, number(kBorder + 0.5)), number(2));
    at = binary("Div", at, binary("Add", sizes, number(2 * kBorder)));
    return binary("Sub", at, number(1));
  }
};

// Values in the order in which they come up, where each input went, and how many there are.
class PlainUnique final : public Composition {
 public:
  explicit PlainUnique(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    if (ctx.wants_output(0)) ctx.set_output(0, ctx.dtype(0));
    for (const int i : {1, 2})
      if (ctx.wants_output(i)) ctx.set_output(i, DType::int64);
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const Node* unique = e.add_node({.op_type = "Unique",
                                     .inputs = {e.input(0)},
                                     .attrs = attributes({{"sorted", int64_t{0}}}),
                                     .opset = 11},
                                    4);
    e.finish(0, unique->output(0));
    e.finish(1, unique->output(2));
    e.finish(2, unique->output(3));
    return true;
  }
};

// Pad whose list may have two axes, ExpandDims whose axis may have one or none, Range without a
// step.
class LooseForm final : public Composition {
 public:
  explicit LooseForm(const OpInit& init) : type_(init.type) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.dtype(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const auto as_list = [&](Value* value) { return e.add("Reshape", {value, e.integers({-1})}); };
    if (type_ == "ExpandDims") {
      Value* axis = e.cast(as_list(e.input(1)), DType::int64);
      e.finish(0, e.add("Unsqueeze", {e.input(0), axis}));
    } else if (type_ == "Range") {
      Value* step = node.input(2);
      if (!step) {
        Value* one = e.constant(Tensor::scalar<int64_t>(1));
        const auto dtype = static_cast<int64_t>(e.input(0)->type().dtype);
        step = e.add("Cast", {one}, {{"to", dtype}});
      }
      e.finish(0, e.add("Range", {e.input(0), e.input(1), step}, {}, 11));
    } else {
      NodeSpec spec{.op_type = "Pad",
                    .inputs = {e.input(0), as_list(e.input(1))},
                    .attrs = node.attrs(),
                    .opset = 13};
      if (Value* value = node.input(2))
        spec.inputs.push_back(e.add("Reshape", {value, e.constant(Tensor::of<int64_t>({}))}));
      e.finish(0, e.add(std::move(spec)));
    }
    return true;
  }

 private:
  std::string type_;
};

// (X, W, pads?, bias?): pads that are a constant are the attribute of ConvTranspose; others are cut
// off what it gives without any.
class ConvTransposeWithPads final : public Composition {
 public:
  explicit ConvTransposeWithPads(const OpInit&) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.dtype(0)); }

  static Value* without_pads(const Expander& e, Value* y, Value* pads) {
    const auto& shape = y->type().shape;
    if (!shape)
      fail(ErrorKind::unsupported, "pads that are no constant, and inputs of unknown rank");
    const auto axes = static_cast<int64_t>(shape->size()) - 2;
    std::vector<int64_t> spatial(static_cast<std::size_t>(std::max<int64_t>(axes, 0)));
    std::iota(spatial.begin(), spatial.end(), 2);
    const auto slice = [&](Value* of, int64_t begin, int64_t end) {
      return e.add("Slice", {of, e.integers({begin}), e.integers({end})});
    };
    Value* sizes = e.add("Shape", {y}, {{"start", 2}}, 15);
    Value* end = e.add("Sub", {sizes, slice(pads, axes, 2 * axes)}, {}, 14);
    return e.add("Slice", {y, slice(pads, 0, axes), end, e.integers(spatial)});
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    NodeSpec spec{.op_type = "ConvTranspose",
                  .inputs = {e.input(0), e.input(1)},
                  .attrs = node.attrs(),
                  .opset = 11};
    Value* pads = node.input(2);
    if (pads && pads->constant()) spec.attrs.set("pads", pads->constant()->to_int64s());
    if (Value* bias = node.input(3)) spec.inputs.push_back(bias);
    Value* y = e.add(std::move(spec));
    if (pads && !pads->constant()) y = without_pads(e, y, pads);
    e.finish(0, y);
    return true;
  }
};

// MulInteger (A, zero?, B, zero?) and ReduceSumInteger, in 32 bits.
class WideIntegers final : public Composition {
 public:
  explicit WideIntegers(const OpInit& init) : multiplies_(init.type == "MulInteger") {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, DType::int32); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const auto wide = [&](Value* value) {
      const DType dtype = value->type().dtype;
      check(dtype == DType::int8 || dtype == DType::uint8, "expected 8-bit integers, got ", dtype);
      return e.cast(value, DType::int32);
    };
    const auto operand = [&](std::size_t i) {
      Value* value = wide(e.input(i));
      return node.input(i + 1) ? e.add("Sub", {value, wide(node.input(i + 1))}, {}, 14) : value;
    };
    if (multiplies_) {
      e.finish(0, e.add("Mul", {operand(0), operand(2)}, {}, 14));
    } else {
      e.finish(0, e.add({.op_type = "ReduceSum",
                         .inputs = {wide(e.input(0))},
                         .attrs = node.attrs(),
                         .opset = 11}));
    }
    return true;
  }

 private:
  bool multiplies_;
};

// BiasAdd (X, bias, skip), BiasSplitGelu (X, bias): one half times Gelu of the other, and
// BiasSoftmax (X, bias), over all axes from `axis` on at once, as it was before opset 13.
class Biased final : public Composition {
 public:
  explicit Biased(const OpInit& init) : type_(init.type), axis_(init.attrs.get("axis", 1)) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.dtype(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    Value* sum = e.add("Add", {e.input(0), e.input(1)}, {}, 14);
    if (type_ == "BiasAdd") {
      e.finish(0, e.add("Add", {sum, e.input(2)}, {}, 14));
    } else if (type_ == "BiasSoftmax") {
      e.finish(0, e.add("Softmax", {sum}, {{"axis", axis_}}, 11));
    } else {
      const Node* halves = e.add_node({.op_type = "Split",
                                       .inputs = {sum},
                                       .attrs = attributes({{"axis", int64_t{-1}}}),
                                       .opset = 13},
                                      2);
      Value* gelu = e.add("Gelu", {halves->output(1)}, {}, 20);
      e.finish(0, e.add("Mul", {halves->output(0), gelu}, {}, 14));
    }
    return true;
  }

 private:
  std::string type_;
  int64_t axis_;
};

}  // namespace

[[gnu::cold]] void register_contrib_forms(OpRegistry& ops) {
  for (const char* name :
       {"TransposeMatMul", "SparseToDenseMatMul", "SampleOp", "GatherND", "Trilu"})
    ops.add<SameForm>(name, {.since = 1}, kContrib);
  ops.add<BorderSample>("GridSample", {.since = 1}, kContrib);
  ops.add<PlainUnique>("Unique", {.since = 1}, kContrib);
  for (const char* name : {"Pad", "ExpandDims", "Range"})
    ops.add<LooseForm>(name, {.since = 1}, kContrib);
  ops.add<ConvTransposeWithPads>("ConvTransposeWithDynamicPads", {.since = 1}, kContrib);
  for (const char* name : {"MulInteger", "ReduceSumInteger"})
    ops.add<WideIntegers>(name, {.since = 1}, kContrib);
  for (const char* name : {"BiasAdd", "BiasSplitGelu", "BiasSoftmax"})
    ops.add<Biased>(name, {.since = 1}, kContrib);
}

}  // namespace sdx::ops
