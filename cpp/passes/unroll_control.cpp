#include <unordered_map>

#include "passes/passes.h"

namespace sdx::passes {
namespace {

// Longer loops stay loops, and so do all in a large graph: it may not outgrow its file by much.
constexpr int64_t kMaxTrips = 64;
constexpr std::size_t kMaxNodes = 512, kLargeGraph = 16384;

// What the values of an inner graph are in the graph around it.
using Values = std::unordered_map<const Value*, Value*>;

class Unrolling {
 public:
  // Copies `inner` in front of `node`, which has it as its subgraph.
  Unrolling(Graph& graph, Node* node, const Graph& inner)
      : graph_(graph), node_(node), inner_(inner) {
    const std::size_t captures = static_cast<std::size_t>(node->capture_count());
    const std::size_t formal = inner.inputs().size() - captures;
    for (std::size_t i = 0; i < captures; ++i)
      values_[inner.inputs()[formal + i]] = node->input(node->inputs().size() - captures + i);
  }

  void give(std::size_t input, Value* value) { values_[inner_.inputs()[input]] = value; }

  void copy() {
    for (const Node* node : inner_.nodes()) {
      NodeSpec spec{.op_type = node->op_type(),
                    .inputs = {},
                    .attrs = node->attrs(),
                    .domain = node->domain(),
                    .name = node->name(),
                    .outputs = {},
                    .opset = node->opset(),
                    .capture_count = node->capture_count()};
      for (Value* input : node->inputs()) spec.inputs.push_back(input ? outer(input) : nullptr);
      const bool single = node->outputs().size() == 1;
      for (const Value* output : node->outputs())
        spec.outputs.push_back(!output || single ? "" : output->name());
      const Node* copied = graph_.insert_before(node_, std::move(spec));
      for (std::size_t i = 0; i < node->outputs().size(); ++i)
        if (node->outputs()[i]) values_[node->outputs()[i]] = copied->output(i);
    }
  }

  Value* result(std::size_t output) { return outer(inner_.outputs()[output]); }

 private:
  Value* outer(const Value* value) {
    Value*& known = values_[value];
    if (!known && value->is_constant()) known = graph_.add_constant("", *value->constant());
    return known;
  }

  Graph& graph_;
  Node* node_;
  const Graph& inner_;
  Values values_;
};

Graph* subgraph(const Node& node, std::string_view name) {
  for (const auto& [attribute, graph] : node.subgraphs())
    if (attribute == name) return graph;
  return nullptr;
}

bool is_true(const Value* value) {
  return value->is_constant() && value->constant()->dtype() == DType::boolean &&
         value->constant()->count() == 1 && *value->constant()->data<bool>();
}

// Whether a loop whose condition is true to begin with goes on after every iteration.
bool always_goes_on(const Graph& body) {
  const Value* condition = body.outputs()[0];
  while (condition->producer() &&
         (condition->producer()->is("Identity") || condition->producer()->is("Cast")))
    condition = condition->producer()->input(0);
  return condition && (condition == body.inputs()[1] || is_true(condition));
}

// How often a loop runs that may be unrolled; 0 for others.
int64_t trips_of(const Graph& graph, const Node& node, const Graph& body) {
  const Value *count = node.input(0), *condition = node.input(1);
  const auto given = static_cast<int>(node.inputs().size()) - node.capture_count();
  if (given < 1 || !count || !count->is_constant() || count->constant()->count() != 1) return 0;
  if (given > 1 && condition && !is_true(condition)) return 0;
  if (!always_goes_on(body) || graph.node_count() > kLargeGraph) return 0;
  const int64_t trips = *count->constant()->data<int64_t>();
  if (trips < 1 || trips > kMaxTrips ||
      body.node_count() * static_cast<std::size_t>(trips) > kMaxNodes)
    return 0;
  // Copies of a graph inside would be one graph, and what is not pure may count its runs.
  for (const Node* inner : body.nodes())
    if (!inner->traits().pure || !inner->subgraphs().empty()) return 0;
  return trips;
}

Value* stack(Graph& graph, Node* node, const std::vector<Value*>& items) {
  Value* front = graph.add_constant("", Tensor::of(std::vector<int64_t>{0}));
  std::vector<Value*> rows;
  for (Value* item : items)
    rows.push_back(
        graph.insert_before(node, {.op_type = "Unsqueeze", .inputs = {item, front}, .opset = 13})
            ->output(0));
  Attributes attrs;
  attrs.set("axis", int64_t{0});
  return graph
      .insert_before(
          node,
          {.op_type = "Concat", .inputs = std::move(rows), .attrs = std::move(attrs), .opset = 13})
      ->output(0);
}

bool unroll(Graph& graph, Node* node) {
  const Graph* body = subgraph(*node, "body");
  if (!body) return false;
  const int64_t trips = trips_of(graph, *node, *body);
  if (trips == 0) return false;
  const std::size_t carried =
      body->inputs().size() - static_cast<std::size_t>(node->capture_count()) - 2;
  const Type& number = body->inputs()[0]->type();
  const bool is_vector = number.shape && number.shape->size() == 1;
  const Shape single = is_vector ? Shape{1} : Shape{};
  Value* on = graph.add_constant("", Tensor::filled<bool>(single, true));
  std::vector<Value*> state;
  for (std::size_t i = 0; i < carried; ++i) state.push_back(node->input(2 + i));
  std::vector<std::vector<Value*>> scans(body->outputs().size() - 1 - carried);
  Unrolling unrolling(graph, node, *body);
  for (int64_t trip = 0; trip < trips; ++trip) {
    unrolling.give(0, graph.add_constant("", Tensor::filled<int64_t>(single, trip)));
    unrolling.give(1, on);
    for (std::size_t i = 0; i < carried; ++i) unrolling.give(2 + i, state[i]);
    unrolling.copy();
    for (std::size_t i = 0; i < carried; ++i) state[i] = unrolling.result(1 + i);
    for (std::size_t i = 0; i < scans.size(); ++i)
      scans[i].push_back(unrolling.result(1 + carried + i));
  }
  for (std::size_t i = 0; i < node->outputs().size(); ++i) {
    if (!node->output(i)) continue;
    graph.replace_uses(node->output(i),
                       i < carried ? state[i] : stack(graph, node, scans[i - carried]));
  }
  graph.erase(node);
  return true;
}

bool take_branch(Graph& graph, Node* node) {
  const Value* condition = node->input(0);
  if (!condition->is_constant() || condition->constant()->count() != 1) return false;
  const Graph* branch = subgraph(*node, is_true(condition) ? "then_branch" : "else_branch");
  if (!branch) return false;
  Unrolling unrolling(graph, node, *branch);
  unrolling.copy();
  for (std::size_t i = 0; i < node->outputs().size(); ++i)
    if (node->output(i)) graph.replace_uses(node->output(i), unrolling.result(i));
  graph.erase(node);
  return true;
}

}  // namespace

// If(c) with a constant c becomes the nodes of the branch it takes, a Loop of few iterations, known
// in number, the nodes of its body over and over: shapes and constants then are known in each.
bool unroll_control(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (node->is("If"))
      changed |= take_branch(graph, node);
    else if (node->is("Loop"))
      changed |= unroll(graph, node);
  }
  return changed;
}

}  // namespace sdx::passes
