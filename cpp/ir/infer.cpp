#include "ir/infer.h"

namespace sdx {

void infer_node(Node& node) {
  std::vector<const Facts*> inputs;
  for (const Value* input : node.inputs()) inputs.push_back(input ? &input->facts() : nullptr);
  std::vector<Facts> outputs(node.outputs().size());
  InferContext ctx(node, inputs, outputs, /*at_load=*/true);
  try {
    node.op().infer(ctx);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      Value* value = node.output(i);
      if (!value) continue;
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
