#include "ir/verify.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace sdx {
namespace {

template <class... Parts>
void require(bool ok, const Parts&... parts) {
  if (!ok) fail(ErrorKind::internal, parts...);
}

void verify_types(const Node& node) {
  std::vector<const Facts*> inputs;
  for (const Value* input : node.inputs()) inputs.push_back(input ? &input->facts() : nullptr);
  std::vector<Facts> outputs(node.outputs().size());
  InferContext ctx(node, inputs, outputs, /*at_load=*/false);
  node.op().infer(ctx);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!node.output(i)) continue;
    const Type &inferred = outputs[i].type, &held = node.output(i)->type();
    if (!inferred.is_known()) continue;
    bool agree = inferred.kind == held.kind && inferred.dtype == held.dtype;
    if (agree && inferred.shape && held.shape) {
      agree = inferred.shape->size() == held.shape->size();
      for (std::size_t d = 0; agree && d < held.shape->size(); ++d)
        agree = !(*inferred.shape)[d].is_known() || !(*held.shape)[d].is_known() ||
                (*inferred.shape)[d] == (*held.shape)[d];
    }
    require(agree, node.place(), ": output ", i, " is ", held, " where inference says ", inferred);
  }
}

}  // namespace

void verify(const Graph& graph) {
  std::unordered_set<const Value*> owned;
  std::unordered_set<std::string> names;
  std::unordered_map<const Value*, std::vector<const Node*>> uses;
  for (const Value* value : graph.values()) {
    owned.insert(value);
    require(names.insert(value->name()).second, "two values are named '", value->name(), "'");
  }
  std::unordered_set<const Value*> made;
  for (const Value* value : graph.values())
    if (!value->producer()) made.insert(value);
  for (const Node* node : graph.nodes()) {
    for (const Value* input : node->inputs()) {
      if (!input) continue;
      require(owned.contains(input), node->place(), ": an input is not of this graph");
      require(made.contains(input), node->place(), ": value '", input->name(),
              "' is used before it is made");
      uses[input].push_back(node);
    }
    for (std::size_t i = 0; i < node->outputs().size(); ++i) {
      const Value* output = node->output(i);
      if (!output) continue;
      require(owned.contains(output) && output->producer() == node &&
                  output->output_index() == static_cast<int>(i),
              node->place(), ": output ", i, " does not point back");
      require(!output->is_constant(), node->place(), ": output ", i, " is a constant");
      made.insert(output);
    }
    for (const auto& [name, subgraph] : node->subgraphs()) {
      require(subgraph->inputs().size() >= static_cast<std::size_t>(node->capture_count()),
              node->place(), ": subgraph '", name, "' does not take the captures");
      verify(*subgraph);
    }
    try {
      verify_types(*node);
    } catch (...) {
      rethrow_at(node->place());
    }
  }
  for (const Value* value : graph.values()) {
    std::vector<const Node*> listed(value->users().begin(), value->users().end());
    std::vector<const Node*> found = uses[value];
    std::sort(listed.begin(), listed.end());
    std::sort(found.begin(), found.end());
    require(listed == found, "the uses of value '", value->name(), "' are not those listed");
  }
  for (const Value* output : graph.outputs())
    require(owned.contains(output) && output->is_graph_output(), "a graph output is not of the graph");
}

}  // namespace sdx
