#include "ir/cache.h"

#include <algorithm>

namespace sdx {
namespace {

// Whether shape arithmetic follows all that the node puts out: of a float it reads the shape alone.
bool reads_shape_alone(const Node& node) {
  return std::all_of(node.outputs().begin(), node.outputs().end(), [](const Value* output) {
    return !output || output->facts().contents.has_value();
  });
}

int cache_input(const Graph& graph, const Value* present) {
  const Node* node = present->producer();
  if (!node || !present->users().empty() || present->type().dtype != DType::float32 ||
      std::count(graph.outputs().begin(), graph.outputs().end(), present) != 1)
    return -1;
  const auto* keeper = dynamic_cast<const KeepsCache*>(&node->op());
  if (!keeper) return -1;
  const int input = keeper->past_of(present->output_index());
  const Value* past = input < 0 ? nullptr : node->input(static_cast<std::size_t>(input));
  if (!past || past->is_graph_output()) return -1;
  const auto readers = std::count_if(past->users().begin(), past->users().end(),
                                     [](const Node* user) { return !reads_shape_alone(*user); });
  if (readers != 1) return -1;
  const auto found = std::find(graph.inputs().begin(), graph.inputs().end(), past);
  return found == graph.inputs().end() ? -1 : static_cast<int>(found - graph.inputs().begin());
}

}  // namespace

std::vector<int> cache_inputs(const Graph& graph) {
  std::vector<int> inputs;
  for (const Value* output : graph.outputs()) inputs.push_back(cache_input(graph, output));
  return inputs;
}

}  // namespace sdx
