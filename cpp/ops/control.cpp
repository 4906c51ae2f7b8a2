// If, Loop: graphs chosen and repeated by data.
#include <array>
#include <limits>
#include <span>

#include "base/error.h"
#include "ir/graph.h"
#include "ops/subgraph.h"

namespace sdx::ops {
namespace {

// Refuses what is no single flag or integer; unknown shapes pass.
void check_single(InferContext& ctx, int i, DType dtype, std::string_view what) {
  check(ctx.dtype(i) == dtype, what, " has element type ", ctx.dtype(i), " instead of ", dtype);
  const auto shape = ctx.input(i).known_shape();
  check(!shape || element_count(*shape) == 1, what, " has shape ", shape.value_or(Shape{}),
        ", which is not one element");
}

class If final : public Op {
 public:
  explicit If(const OpInit& init) {
    init.attrs.require<std::shared_ptr<Graph>>("then_branch");
    init.attrs.require<std::shared_ptr<Graph>>("else_branch");
    check_nesting(init.attrs);
  }

  void infer(InferContext& ctx) const override {
    check_single(ctx, 0, DType::boolean, "the condition");
    std::vector<Facts> captures;
    for (int i = 1; i < ctx.input_count(); ++i) captures.push_back(ctx.facts(i));
    const auto wanted = static_cast<std::size_t>(ctx.output_count());
    const auto infer_branch = [&](const char* branch) {
      std::vector<Type> types = ctx.infer_subgraph(branch, captures);
      check(types.size() >= wanted, branch, " has ", types.size(), " outputs, the node ", wanted);
      return types;
    };
    // A branch that is never taken may be one that these shapes do not fit.
    const Tensor* condition = ctx.constant(0);
    std::vector<Type> types =
        infer_branch(condition && !*condition->data<bool>() ? "else_branch" : "then_branch");
    if (!condition) {
      const std::vector<Type> others = infer_branch("else_branch");
      for (std::size_t i = 0; i < wanted; ++i) types[i] = join(types[i], others[i]);
    }
    for (std::size_t i = 0; i < wanted; ++i) ctx.set_output(static_cast<int>(i), types[i]);
  }

  Step prepare(PrepareContext& ctx) const override {
    return [then_branch = &ctx.program("then_branch"), else_branch = &ctx.program("else_branch"),
            captures = ctx.capture_count()](Frame& f) {
      Program* branch = single_integer(f.input(0), "the condition") ? then_branch : else_branch;
      std::vector<Datum> inputs;
      append_captures(f, captures, inputs);
      std::vector<Datum> results = branch->run(inputs, f.state());
      for (int i = 0; i < f.output_count(); ++i) f.set_output(i, std::move(results[i]));
    };
  }
};

class Loop final : public Op {
 public:
  explicit Loop(const OpInit& init) {
    const Graph& body = *init.attrs.require<std::shared_ptr<Graph>>("body");
    check_nesting(init.attrs);
    check(body.inputs().size() >= 2 && !body.outputs().empty(), "the body has ",
          body.inputs().size(), " inputs and ", body.outputs().size(),
          " outputs; it needs at least 2 and 1");
    for (int i = 0; i < 2; ++i) {
      const auto declared = body.inputs()[i]->type().known_shape();
      if (declared && element_count(*declared) == 1) formal_shapes_[i] = *declared;
    }
    outputs_ = static_cast<int>(body.outputs().size()) - 1;
  }

  void infer(InferContext& ctx) const override {
    const int carried = carried_count(ctx);
    if (has_limit(ctx, 0)) check_single(ctx, 0, DType::int64, "the trip count");
    if (has_limit(ctx, 1)) check_single(ctx, 1, DType::boolean, "the condition");
    std::vector<Facts> inputs;
    inputs.push_back(Facts::of(Type::tensor(DType::int64, to_dims(formal_shapes_[0]))));
    inputs.push_back(Facts::of(Type::tensor(DType::boolean, to_dims(formal_shapes_[1]))));
    for (int i = 0; i < carried; ++i) inputs.push_back(Facts::of(ctx.input(2 + i)));
    const std::vector<Type> types =
        infer_iterations(ctx, "body", std::move(inputs), {2, 1, static_cast<std::size_t>(carried)});
    check(ctx.output_count() < static_cast<int>(types.size()), "the node has ", ctx.output_count(),
          " outputs, its body provides ", types.size() - 1);
    for (int i = 0; i < ctx.output_count(); ++i) {
      Type type = types[1 + i];
      if (i >= carried) {
        check(type.kind == Type::Kind::tensor || !type.is_known(), "scan output ", i - carried,
              " is no tensor but ", type);
        if (type.shape) type.shape->insert(type.shape->begin(), Dim::unknown());
      }
      ctx.set_output(i, std::move(type));
    }
  }

  Step prepare(PrepareContext& ctx) const override {
    const int carried = carried_count(ctx);
    std::vector<std::pair<DType, Shape>> slices;  // what a scan output collects if nothing runs
    for (int i = carried; i < outputs_; ++i) slices.push_back(declared_slice(ctx, i));
    return [body = &ctx.program("body"), captures = ctx.capture_count(), carried,
            has_count = has_limit(ctx, 0), has_condition = has_limit(ctx, 1), outputs = outputs_,
            formal_shapes = formal_shapes_, slices = std::move(slices)](Frame& f) {
      const int64_t trips = has_count ? single_integer(f.input(0), "the trip count")
                                      : std::numeric_limits<int64_t>::max();
      bool go_on = !has_condition || single_integer(f.input(1), "the condition");
      std::vector<Datum> inputs(2 + carried);
      for (int i = 0; i < carried; ++i) inputs[2 + i] = f.input(2 + i);
      append_captures(f, captures, inputs);
      std::vector<Stack> stacks;
      for (const auto& [dtype, shape] : slices) {
        stacks.emplace_back(dtype, shape);
        stacks.back().reserve(std::min<int64_t>(trips, 16));
      }
      for (int64_t trip = 0; trip < trips && go_on; ++trip) {
        stop_if_cancelled(f);
        inputs[0] = Tensor::filled<int64_t>(formal_shapes[0], trip);
        inputs[1] = Tensor::filled<bool>(formal_shapes[1], true);
        std::vector<Datum> results = body->run(inputs, f.state());
        go_on = single_integer(results[0], "the body's condition");
        for (int i = 0; i < carried; ++i) inputs[2 + i] = std::move(results[1 + i]);
        for (int i = carried; i < outputs; ++i)
          if (f.wants_output(i)) stacks[i - carried].add(results[1 + i].tensor());
      }
      for (int i = 0; i < f.output_count(); ++i) {
        if (!f.wants_output(i)) continue;
        f.set_output(i, i < carried ? inputs[2 + i].owned() : Datum(stacks[i - carried].finish()));
      }
    };
  }

 private:
  // Whether trip count (0) or condition (1) is given: captures may follow where they would stand.
  template <class Context>
  static bool has_limit(const Context& ctx, int i) {
    return i < ctx.input_count() - ctx.capture_count() && ctx.has_input(i);
  }

  template <class Context>
  int carried_count(const Context& ctx) const {
    const int carried = std::max(ctx.input_count() - ctx.capture_count() - 2, 0);
    check(carried <= outputs_, "the node carries ", carried, " values, its body returns ",
          outputs_);
    return carried;
  }

  // Element type and shape of one slice of scan output i.
  static std::pair<DType, Shape> declared_slice(const PrepareContext& ctx, int i) {
    const Value* output = ctx.node().output(i);
    if (!output) return {DType::float32, Shape{}};
    const Type& type = output->type();
    if (!type.shape || type.shape->empty()) return {type.dtype, Shape{}};
    return {type.dtype, resolve_dims(ctx, std::span(*type.shape).subspan(1))};
  }

  int outputs_ = 0;                     // of the body, without the condition
  std::array<Shape, 2> formal_shapes_;  // of iteration number and condition
};

}  // namespace

[[gnu::cold]] void register_control(OpRegistry& ops) {
  ops.add<If>("If", {.since = 1});
  ops.add<Loop>("Loop", {.since = 1});
}

}  // namespace sdx::ops
