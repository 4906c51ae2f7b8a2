// Split.
#include "ir/graph.h"
#include "ops/axes.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

class Split final : public Op {
 public:
  explicit Split(const OpInit& init)
      : axis_(init.attrs.get("axis", 0)),
        parts_(init.attrs.get("num_outputs", init.output_count)),
        sizes_(init, "split", init.opset < 2 || init.opset >= 13 ? 1 : -1) {
    check(parts_ == init.output_count, "num_outputs is ", parts_, " but there are ",
          init.output_count, " outputs");
    check(parts_ >= 1, "at least one output is needed");
    uneven_ = init.opset >= 18;
    if (init.opset < 2 && init.attrs.has("split")) sizes_ = IntegerList(init, "split", -1);
  }

  // The lengths of the first version have the type of the input: floats are made integers.
  bool expand(Graph& graph, Node& node) const override {
    Value* sizes = node.input(1);
    if (node.opset() >= 2 || !sizes || !is_float(sizes->type().dtype)) return false;
    Attributes to, attrs;
    to.set("to", static_cast<int64_t>(DType::int64));
    attrs.set("axis", axis_);
    Node* cast = graph.insert_before(
        &node, {.op_type = "Cast", .inputs = {sizes}, .attrs = std::move(to), .opset = 13});
    Node* split = graph.insert_before(&node, {.op_type = "Split",
                                              .inputs = {node.input(0), cast->output(0)},
                                              .attrs = std::move(attrs),
                                              .name = node.name(),
                                              .outputs = part_names(node),
                                              .opset = 13});
    for (std::size_t i = 0; i < node.outputs().size(); ++i)
      if (node.output(i)) graph.replace_uses(node.output(i), split->output(i));
    return true;
  }

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) {
      for (int i = 0; i < parts_; ++i)
        if (ctx.wants_output(i)) ctx.set_output(i, ctx.dtype(0));
      return;
    }
    const int64_t axis = normalize_axis(axis_, ctx.rank(0));
    const Dims sizes = part_sizes(ctx, ctx.dims(0)[axis]);
    const auto contents = ctx.rank(0) == 1 ? ctx.contents(0) : std::nullopt;
    std::size_t begin = 0;
    bool known = true;
    for (int i = 0; i < parts_; ++i) {
      Dims dims = ctx.dims(0);
      dims[axis] = sizes[i];
      if (ctx.wants_output(i)) ctx.set_output(i, ctx.dtype(0), std::move(dims));
      known = known && sizes[i].is_known();
      if (!contents || !known || begin + sizes[i].value() > contents->size()) continue;
      const auto first = contents->begin() + static_cast<std::ptrdiff_t>(begin);
      begin += static_cast<std::size_t>(sizes[i].value());
      if (ctx.wants_output(i)) ctx.set_contents(i, {first, first + sizes[i].value()});
    }
  }

  Step prepare(PrepareContext& ctx) const override {
    struct Part {
      int output;
      int64_t bytes_in;  // where it begins in a row of the input
      StridedCopy copy;
    };
    std::vector<Part> parts;
    const AxisSplit whole = split_at(ctx.shape(0), axis_);
    const int64_t row = whole.size * whole.inner;
    const std::vector<int64_t> sizes = part_sizes(ctx);
    int64_t begin = 0;
    for (int i = 0; i < parts_; ++i) {
      const int64_t run = sizes[i] * whole.inner;
      if (ctx.wants_output(i) && whole.outer * run > 0)
        parts.push_back({i, begin * static_cast<int64_t>(item_size(ctx.dtype(0))),
                         simplify({{whole.outer, run}, {row, 1}, {run, 1}})});
      begin += run;
    }
    return [parts = std::move(parts), run = strided_mover(ctx.dtype(0))](Frame& f) {
      const std::byte* x = f.in<std::byte>(0);
      for (const Part& part : parts)
        run(f, part.copy, x + part.bytes_in, f.out<std::byte>(part.output));
    };
  }

  std::optional<View> view(const PrepareContext& ctx, int output) const override {
    if (sizes_.given(ctx) && ctx.has_input(1) && !ctx.constant(1)) return std::nullopt;
    const AxisSplit whole = split_at(ctx.shape(0), axis_);
    const std::vector<int64_t> sizes = part_sizes(ctx);
    int64_t begin = 0;
    for (int i = 0; i < output; ++i) begin += sizes[i] * whole.inner;
    const int64_t run = sizes[output] * whole.inner;
    return strided_view(ctx, {{whole.outer, run}, {whole.size * whole.inner, 1}, {run, 1}}, begin);
  }

 private:
  static std::vector<std::string> part_names(const Node& node) {
    std::vector<std::string> names;
    for (const Value* output : node.outputs()) names.push_back(output ? output->name() : "");
    return names;
  }

  // Of equal parts the last may be smaller since opset 18.
  int64_t equal_part(int64_t size, int64_t i) const {
    const int64_t part = size / parts_ + (size % parts_ != 0);
    return std::clamp<int64_t>(size - i * part, 0, part);
  }

  Dims part_sizes(InferContext& ctx, const Dim& size) const {
    if (sizes_.given(ctx)) {
      // Floats of the first version, before `expand` has made them integers.
      if (ctx.has_input(1) && ctx.node().opset() < 2 && is_float(ctx.dtype(1)))
        return unknown_dims(parts_);
      const auto sizes = sizes_.symbols(ctx);
      if (!sizes) return unknown_dims(parts_);
      check(static_cast<int64_t>(sizes->size()) == parts_, "split has ", sizes->size(),
            " sizes for ", parts_, " outputs");
      check_dims(*sizes);
      Dim sum = 0;
      for (const Dim& part : *sizes) sum = sum + part;
      check(!sum.is_known() || sum.value() == size.value_or(sum.value()), "sizes ", *sizes,
            " do not add up to ", size);
      if (!to_shape(*sizes) && !ctx.at_load()) ctx.defer();
      return *sizes;
    }
    Dims sizes;
    if (size.is_known()) {
      check(uneven_ || size.value() % parts_ == 0, "an axis of size ", size,
            " does not split into ", parts_, " equal parts");
      for (int64_t i = 0; i < parts_; ++i) sizes.push_back(equal_part(size.value(), i));
      return sizes;
    }
    if (!uneven_) return Dims(parts_, floor_div(size, Dim(parts_)));
    const Dim part = ceil_div(size, Dim(parts_));
    sizes = Dims(parts_ - 1, part);
    sizes.push_back(size - part * Dim(parts_ - 1));
    return sizes;
  }

  std::vector<int64_t> part_sizes(const PrepareContext& ctx) const {
    if (sizes_.given(ctx)) return sizes_.get(ctx);
    std::vector<int64_t> sizes;
    const int64_t size = split_at(ctx.shape(0), axis_).size;
    for (int64_t i = 0; i < parts_; ++i) sizes.push_back(equal_part(size, i));
    return sizes;
  }

  int64_t axis_, parts_;
  bool uneven_ = false;
  IntegerList sizes_;
};

}  // namespace

[[gnu::cold]] void register_split(OpRegistry& ops) { ops.add<Split>("Split", {}); }

}  // namespace sdx::ops
