#include "plan/outline.h"

#include "ir/cache.h"
#include "ir/graph.h"

namespace sdx::plan {

Outline::Outline(const Graph& graph) : caches(cache_inputs(graph)) {
  const std::vector<Value*> all = graph.values();
  layouts.resize(all.size());
  values.resize(all.size());
  for (const Value* value : all) {
    const uint32_t id = value->index();
    facts.push_back(&value->facts());
    if (value->producer() || value->is_graph_input()) continue;
    const auto shape = value->type().known_shape();
    if (!shape) continue;
    layouts[id] = {value->type().dtype, *shape, true};
    values[id].place = Place::constant;
    values[id].constant = value->constant() ? value->constant()->raw() : nullptr;
  }
  for (const Value* input : graph.inputs()) inputs.push_back(input->index());
  for (const Value* output : graph.outputs()) outputs.push_back(output->index());
  const auto id_of = [](const Value* value) { return value ? value->index() : Frame::kNoValue; };
  for (const Node* node : graph.nodes()) {
    OutlinedNode& outlined = nodes.emplace_back();
    outlined.node = node;
    outlined.op = &node->op();
    outlined.traits = &node->traits();
    outlined.has_subgraphs = !node->subgraphs().empty();
    for (const Value* input : node->inputs()) outlined.inputs.push_back(id_of(input));
    for (const Value* output : node->outputs()) outlined.outputs.push_back(id_of(output));
  }
}

}  // namespace sdx::plan
