#include "passes/match.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

const Value* behind_identities(const Value* value) {
  while (const Node* node = producer(value, "Identity")) value = node->input(0);
  return value;
}

// Whether the body of a loop leaves its first input alone and gives, for each row of it, the sum of
// squared differences from the second one.
bool sums_squared_differences(const Graph& body) {
  if (body.inputs().size() != 2 || body.outputs().size() != 2) return false;
  const Value *rows = body.inputs()[0], *row = body.inputs()[1];
  if (behind_identities(body.outputs()[0]) != rows) return false;
  const Node* sum = producer(behind_identities(body.outputs()[1]), "ReduceSumSquare");
  if (!sum || sum->attrs().get("keepdims", 1) != 0) return false;
  const auto axes = attribute_or_input(*sum, "axes", 1);
  if (!axes || *axes != std::vector<int64_t>{1}) return false;
  const Node* difference = producer(behind_identities(sum->input(0)), "Sub");
  if (!difference) return false;
  const Value *a = behind_identities(difference->input(0)),
              *b = behind_identities(difference->input(1));
  return (a == rows && b == row) || (a == row && b == rows);
}

// Whether one tensor is scanned along its first axis, forwards, and what comes out is stacked so.
bool scans_plainly(const Node& node) {
  if (!node.is("Scan") || node.opset() < 9 || node.inputs().size() != 2 ||
      node.capture_count() != 0 || node.outputs().size() != 2 ||
      node.attrs().get("num_scan_inputs", 0) != 1)
    return false;
  for (const char* name :
       {"scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions"})
    for (const int64_t entry : node.attrs().ints(name))
      if (entry != 0) return false;
  const Value* state = node.output(0);
  return node.output(1) && (!state || (state->users().empty() && !state->is_graph_output()));
}

bool are_rows_of_one_width(const Value* a, const Value* b) {
  const Type &x = a->type(), &y = b->type();
  return x.is_tensor() && y.is_tensor() && x.dtype == y.dtype &&
         (x.dtype == DType::float32 || x.dtype == DType::float64) && x.shape && y.shape &&
         x.shape->size() == 2 && y.shape->size() == 2 && (*x.shape)[1] == (*y.shape)[1];
}

}  // namespace

// A Scan that compares all rows of one matrix with one row of another at a time becomes one
// operator: z = Transpose(com.microsoft::CDist(x, y)).
bool fuse_distance(Graph& graph) {
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (!scans_plainly(*node) || !are_rows_of_one_width(node->input(0), node->input(1))) continue;
    const auto bodies = node->subgraphs();
    if (bodies.size() != 1 || !sums_squared_differences(*bodies[0].second)) continue;
    Attributes metric, turn;
    metric.set("metric", std::string("sqeuclidean"));
    turn.set("perm", std::vector<int64_t>{1, 0});
    Node* distances = graph.insert_before(node, {.op_type = "CDist",
                                                 .inputs = {node->input(0), node->input(1)},
                                                 .attrs = std::move(metric),
                                                 .domain = "com.microsoft",
                                                 .name = node->name(),
                                                 .opset = 1});
    const Node* turned = graph.insert_before(node, {.op_type = "Transpose",
                                                    .inputs = {distances->output(0)},
                                                    .attrs = std::move(turn),
                                                    .opset = 13});
    graph.replace_uses(node->output(1), turned->output(0));
    changed = true;
  }
  if (changed) graph.erase_dead();
  return changed;
}

}  // namespace sdx::passes
