#include <algorithm>
#include <set>

#include "ops/binary.h"
#include "ops/unary.h"
#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

// What the chain operator takes at most.
constexpr std::size_t kMaxInputs = 16;
constexpr std::size_t kMaxSteps = 32;

struct Member {
  std::string name;
  std::size_t operands = 1;
  float alpha = 0, beta = 0;
};

bool is_float32(const Value* value) {
  const Type& type = value->type();
  return type.kind == Type::Kind::tensor && type.dtype == DType::float32 && type.shape;
}

// The node as a step of a chain.
std::optional<Member> member(const Node& node) {
  if (node.outputs().size() != 1 || !node.domain().empty() || !is_float32(node.output(0)))
    return std::nullopt;
  if (node.is("Clip")) {
    const auto bounds = clip_bounds(node);
    if (!bounds) return std::nullopt;
    return Member{"Clip", 1, bounds->first, bounds->second};
  }
  if (const auto* unary = dynamic_cast<const ops::Unary*>(&node.op())) {
    std::string name = node.op_type();
    if (name == "Gelu" && node.attrs().get("approximate", "none") == "tanh") name = "FastGelu";
    return Member{std::move(name), 1, unary->alpha(), unary->beta()};
  }
  const auto* binary = dynamic_cast<const ops::Binary*>(&node.op());
  if (!binary || node.opset() < 7 || node.inputs().size() != 2 || node.is("Mod"))
    return std::nullopt;
  for (const Value* input : node.inputs())
    if (!is_float32(input)) return std::nullopt;
  // Other powers are slow enough to be on their own.
  if (node.is("Pow") && !is_scalar(node.input(1), 0.5) && !is_scalar(node.input(1), -1.0))
    return std::nullopt;
  return Member{node.op_type(), 2};
}

// The nodes that one pass computes, the last of them first; their inner values have its shape.
class Chain {
 public:
  explicit Chain(Node* last) { nodes_.push_back(last); }

  // Takes in producers whose results nobody else wants, nearest first.
  void grow() {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      for (const Value* input : operands(*nodes_[i])) {
        Node* node = input->producer();
        if (!node || holds(node) || !wanted_inside(*input) || !member(*node)) continue;
        nodes_.push_back(node);
        if (nodes_.size() > kMaxSteps || inputs().size() > kMaxInputs) nodes_.pop_back();
      }
  }

  const std::vector<Node*>& nodes() const { return nodes_; }

  NodeSpec spec(const Graph& graph) const {
    std::vector<Value*> places = inputs();
    NodeSpec spec{.op_type = "Elementwise", .inputs = places, .domain = "sardonyx"};
    std::vector<std::string> steps;
    std::vector<float> parameters;
    for (Node* node : graph.nodes()) {
      if (!holds(node)) continue;
      const Member step = *member(*node);
      std::string text = step.name;
      for (Value* operand : operands(*node))
        text +=
            " " + std::to_string(std::find(places.begin(), places.end(), operand) - places.begin());
      steps.push_back(std::move(text));
      parameters.push_back(step.alpha);
      parameters.push_back(step.beta);
      places.push_back(node->output(0));
    }
    spec.attrs.set("steps", std::move(steps));
    if (std::any_of(parameters.begin(), parameters.end(), [](float p) { return p != 0; }))
      spec.attrs.set("parameters", std::move(parameters));
    spec.name = nodes_[0]->name();
    return spec;
  }

 private:
  bool holds(const Node* node) const {
    return std::find(nodes_.begin(), nodes_.end(), node) != nodes_.end();
  }

  static std::vector<Value*> operands(const Node& node) {
    const std::size_t count = member(node)->operands;
    return {node.inputs().begin(), node.inputs().begin() + static_cast<std::ptrdiff_t>(count)};
  }

  bool wanted_inside(const Value& value) const {
    return !value.is_graph_output() && is_float32(&value) &&
           value.type() == nodes_[0]->output(0)->type() &&
           std::all_of(value.users().begin(), value.users().end(),
                       [&](const Node* user) { return holds(user); });
  }

  // What the nodes read and do not make, each once.
  std::vector<Value*> inputs() const {
    std::vector<Value*> found;
    for (const Node* node : nodes_)
      for (Value* operand : operands(*node))
        if ((!operand->producer() || !holds(operand->producer())) &&
            std::find(found.begin(), found.end(), operand) == found.end())
          found.push_back(operand);
    return found;
  }

  std::vector<Node*> nodes_;
};

}  // namespace

// y = Swish(Add(Mul(x, s), b)) becomes y = sardonyx::Elementwise(x, s, b)
// {steps = strings ["Mul 0 1", "Add 3 2", "Swish 4"]}: one pass over memory.
bool fuse_elementwise(Graph& graph) {
  std::set<const Node*> taken;
  const std::vector<Node*> nodes = graph.nodes();
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    if (taken.contains(*it) || !member(**it)) continue;
    Chain chain(*it);
    chain.grow();
    if (chain.nodes().size() < 2) continue;
    taken.insert(chain.nodes().begin(), chain.nodes().end());
    const Node* fused = graph.insert_before(*it, chain.spec(graph));
    graph.replace_uses((*it)->output(0), fused->output(0));
  }
  if (taken.empty()) return false;
  graph.erase_dead();
  return true;
}

}  // namespace sdx::passes
