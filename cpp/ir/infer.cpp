#include "ir/infer.h"

#include <algorithm>

namespace sdx {

void infer_node(Node& node) {
  std::vector<const Facts*> inputs;
  for (const Value* input : node.inputs()) inputs.push_back(input ? &input->facts() : nullptr);
  std::vector<Facts> outputs(node.outputs().size());
  InferContext ctx(node, inputs, outputs, /*at_load=*/true);
  try {
    node.op().infer(ctx);
    // An operator tells of all its outputs or, where it knows nothing, of none.
    const auto is_told = [](const Facts& facts) { return facts.type.kind != Type::Kind::none; };
    const bool tells =
        node.subgraphs().empty() && std::any_of(outputs.begin(), outputs.end(), is_told);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      Value* value = node.output(i);
      if (!value) continue;
      check(!tells || is_told(outputs[i]), "the operator has no output ", i);
      Facts& facts = outputs[i];
      // A declared shape that contradicts inference is wrong more often than not: inference wins.
      facts.type = merge(facts.type, value->type());
      value->set_facts(std::move(facts));
    }
  } catch (...) {
    rethrow_at(node.place());
  }
}

void infer_graph(Graph& graph) {
  for (Node* node : graph.nodes()) infer_node(*node);
}

}  // namespace sdx
