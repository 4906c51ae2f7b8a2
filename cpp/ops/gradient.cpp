// Gradient (ai.onnx.preview.training): derivatives by reverse accumulation (Griewank and Walther,
// "Evaluating Derivatives", chapter 3), expanded into ordinary nodes at load.
#include "ops/gradient.h"

#include <set>

#include "base/checked.h"
#include "ops/axes.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

// The part of a graph that leads from some values to one, recomputed for other values in their
// place.
class Forward {
 public:
  // `places` are replaced by `values`.
  Forward(Graph& graph, Node& before, const std::vector<Value*>& places,
          const std::vector<Value*>& values)
      : graph_(graph), before_(before) {
    for (std::size_t i = 0; i < places.size(); ++i) copies_[places[i]] = values[i];
  }

  // `value` in terms of the new values; itself where it does not depend on them.
  Value* copy(Value* value) {
    order(value);
    for (Node* node : order_) copy_node(*node);
    const auto found = copies_.find(value);
    return found == copies_.end() ? value : found->second;
  }

  // The nodes on the way, in order of execution.
  const std::vector<Node*>& nodes() const { return copied_; }
  bool depends(const Value* value) const { return results_.contains(value); }
  void add_source(const Value* value) { results_.insert(value); }

 private:
  // Depth first without recursion: graphs may be deep.
  void order(Value* root) {
    std::vector<std::pair<Node*, std::size_t>> path;
    std::set<const Node*> seen;
    const auto enter = [&](Value* value) {
      if (!value || copies_.contains(value) || !value->producer()) return;
      check(value->producer() != &before_, "'y' is computed from the gradient itself");
      if (seen.insert(value->producer()).second) path.emplace_back(value->producer(), 0);
    };
    enter(root);
    while (!path.empty()) {
      auto& [node, next] = path.back();
      if (next < node->inputs().size()) {
        enter(node->input(next++));
        continue;
      }
      order_.push_back(node);
      path.pop_back();
    }
  }

  void copy_node(Node& node) {
    bool moved = false, reached = false;
    NodeSpec spec{.op_type = node.op_type(),
                  .inputs = {},
                  .attrs = node.attrs(),
                  .domain = node.domain(),
                  .name = node.name(),
                  .opset = node.opset(),
                  .capture_count = node.capture_count()};
    for (Value* input : node.inputs()) {
      const auto found = copies_.find(input);
      spec.inputs.push_back(found == copies_.end() ? input : found->second);
      moved |= spec.inputs.back() != input;
      reached |= input && results_.contains(spec.inputs.back());
    }
    Node* copy = &node;
    if (moved) {
      spec.outputs.clear();
      for (const Value* output : node.outputs()) spec.outputs.push_back(output ? "copy" : "");
      if (spec.outputs.size() == 1) spec.outputs[0].clear();
      copy = graph_.insert_before(&before_, std::move(spec));
      for (std::size_t i = 0; i < node.outputs().size(); ++i)
        if (node.output(i)) copies_[node.output(i)] = copy->output(i);
    }
    if (!reached) return;
    for (const Value* output : copy->outputs()) results_.insert(output);
    copied_.push_back(copy);
  }

  Graph& graph_;
  Node& before_;
  std::map<Value*, Value*> copies_;
  std::set<const Value*> results_;  // what depends on the sources
  std::vector<Node*> order_, copied_;
};

class Gradient final : public Composition {
 public:
  explicit Gradient(const OpInit& init)
      : xs_(init.attrs.strings("xs")),
        zs_(init.attrs.strings("zs")),
        y_(init.attrs.require<std::string>("y")) {
    check(!xs_.empty(), "attribute 'xs' is missing");
    const std::size_t expected = xs_.size() + zs_.size();
    check(static_cast<std::size_t>(init.input_count) == expected, "expected ", expected,
          " inputs, one for each name in 'xs' and 'zs', got ", init.input_count);
    check(static_cast<std::size_t>(init.output_count) <= xs_.size(), "expected ", xs_.size(),
          " outputs, one for each name in 'xs', got ", init.output_count);
  }

  bool expand(Graph& graph, Node& node) const override {
    std::vector<Value*> places;
    for (const auto* names : {&xs_, &zs_})
      for (const std::string& name : *names) places.push_back(named(graph, name));
    Forward forward(graph, node, places, node.inputs());
    for (std::size_t i = 0; i < xs_.size(); ++i) {
      check(node.input(i) != nullptr, "input ", i, " is left out");
      forward.add_source(node.input(i));
    }
    Value* y = forward.copy(named(graph, y_));
    const NodeMaker make{{graph, node}};
    std::map<const Value*, Value*> gradients;
    if (forward.depends(y)) gradients[y] = make.filled(y, 1);
    const auto& nodes = forward.nodes();
    for (auto step = nodes.rbegin(); step != nodes.rend(); ++step) {
      const auto found = gradients.find((*step)->output(0));
      if (found == gradients.end()) continue;
      const std::vector<Value*> parts = input_gradients(make, **step, found->second);
      for (std::size_t i = 0; i < parts.size(); ++i) {
        const Value* input = (*step)->input(i);
        if (!parts[i] || !forward.depends(input)) continue;
        Value*& sum = gradients[input];
        sum = sum ? make("Add", {sum, parts[i]}) : parts[i];
      }
    }
    for (std::size_t i = 0; i < node.outputs().size(); ++i) {
      if (!node.output(i)) continue;
      const auto found = gradients.find(node.input(i));
      Value* result = found == gradients.end() ? make.filled(node.input(i), 0) : found->second;
      // Under the name it had, by which another Gradient may ask for it.
      const std::string name = node.output(i)->name();
      node.output(i)->set_name("");
      Node* named = graph.insert_before(
          &node, {.op_type = "Identity", .inputs = {result}, .outputs = {name}, .opset = 16});
      graph.replace_uses(node.output(i), named->output(0));
    }
    return true;
  }

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < ctx.output_count(); ++i)
      if (ctx.wants_output(i)) {
        check(is_float(ctx.dtype(i)), "input ", i, " is ", ctx.dtype(i), ", not differentiable");
        ctx.set_output(i, ctx.input(i));
      }
  }

 private:
  static Value* named(const Graph& graph, const std::string& name) {
    Value* value = graph.find_value(name);
    check(value != nullptr, "the graph has no value '", name, "'");
    return value;
  }

  std::vector<std::string> xs_, zs_;
  std::string y_;
};

// Adds up input 0 along what broadcasting to its shape from that of input 1 repeated.
class SumToShape final : public Op {
 public:
  explicit SumToShape(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    check(is_float(ctx.dtype(0)), "expected floats, got ", ctx.dtype(0));
    Type type = ctx.input(1);
    type.dtype = ctx.dtype(0);
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape from = ctx.shape(0), to = ctx.output_shape(0);
    check(to.size() <= from.size(), "shape ", from, " does not come from broadcasting ", to);
    const std::size_t extra = from.size() - to.size();
    Shape strides(from.size(), 0);
    int64_t stride = 1;
    for (std::size_t i = to.size(); i-- > 0;) {
      check(to[i] == from[extra + i] || to[i] == 1, "shape ", from,
            " does not come from broadcasting ", to);
      if (to[i] != 1) strides[extra + i] = stride;
      stride *= to[i];
    }
    const int64_t count = element_count(to);
    ctx.request_scratch(checked_mul(count, sizeof(double)));
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return [from, strides, count, total = ctx.count(0)](Frame& f) {
        auto* sums = f.scratch<double>();
        std::fill_n(sums, count, 0.0);
        const T* x = f.in<T>(0);
        Shape at(from.size(), 0);
        int64_t place = 0;
        for (int64_t i = 0; i < total; ++i) {
          sums[place] += static_cast<double>(x[i]);
          for (std::size_t d = from.size(); d-- > 0;) {
            place += strides[d];
            if (++at[d] < from[d]) break;
            place -= strides[d] * from[d];
            at[d] = 0;
          }
        }
        for (int64_t i = 0; i < count; ++i)
          f.out<T>(0)[i] = static_cast<T>(static_cast<ComputeType<T>>(sums[i]));
      };
    });
  }
};

}  // namespace

[[gnu::cold]] void register_gradient(OpRegistry& ops) {
  ops.add<Gradient>("Gradient", {}, "ai.onnx.preview.training");
  ops.add<SumToShape>("SumToShape", {}, "sardonyx");
}

}  // namespace sdx::ops
