#include "base/error.h"
#include "base/memory_budget.h"
#include "ir/evaluate.h"
#include "ir/infer.h"
#include "ir/pack.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

// Folding may not make a small file into a large model: results beyond this are left to the run,
// unless they are no larger than what they are made from.
constexpr std::size_t kMaxFoldedBytes = 64u << 20;
// The same for all results together, and for what making them takes: so much for any model, and so
// much for each byte of constants in its file.
constexpr std::size_t kMaxTotalBytes = 512u << 20, kTotalBytesPerByte = 16;
constexpr double kMaxWork = 16e9, kWorkPerByte = 256;

bool foldable(const Node& node) {
  if (!node.traits().pure || !node.subgraphs().empty()) return false;
  std::size_t input_bytes = 0;
  for (const Value* input : node.inputs()) {
    if (!input) continue;
    if (!input->is_constant()) return false;
    input_bytes += input->constant()->bytes();
  }
  for (const Value* output : node.outputs()) {
    if (!output) continue;
    if (output->type().kind != Type::Kind::tensor) return false;
    const auto shape = output->type().known_shape();
    if (!shape) continue;
    const double bytes = static_cast<double>(element_count(*shape)) *
                         static_cast<double>(item_size(output->type().dtype));
    if (bytes > static_cast<double>(kMaxFoldedBytes) && bytes > static_cast<double>(input_bytes))
      return false;
  }
  return true;
}

bool fold(Graph& graph, FoldingBudget& budget, bool sources_only) {
  const MemoryBudget::Scope scope(budget.memory);
  bool changed = false;
  for (Node* node : graph.nodes()) {
    if (sources_only && !node->inputs().empty()) continue;
    if (changed) infer_node(*node);  // constants made above may fix shapes here
    const std::vector<Value*> outputs = node->outputs();
    bool all = !outputs.empty();
    for (Value* output : outputs) all &= !output || output->facts().contents_are_numbers();
    std::vector<Datum> results;
    try {
      if (all) {
        for (Value* output : outputs)
          results.push_back(output ? Datum(output->facts().contents_as_tensor()) : Datum());
      } else if (foldable(*node)) {
        std::vector<Datum> inputs;
        for (const Value* input : node->inputs())
          inputs.push_back(input ? Datum(*input->constant()) : Datum());
        results = evaluate(*node, inputs, RunState{}, budget.work);
      } else {
        continue;
      }
    } catch (const Error& error) {
      // Perhaps it never runs: branches not taken and loops without a round are allowed to fail.
      if (error.kind() != ErrorKind::internal) continue;
      rethrow_at(node->place());
    }
    for (const Datum& result : results)
      if (result.is_tensor()) budget.work -= static_cast<double>(result.tensor().bytes());
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i] && results[i].is_tensor())
        graph.make_constant(outputs[i], results[i].tensor());
    graph.erase(node);
    changed = true;
  }
  return changed;
}

}  // namespace

FoldingBudget::FoldingBudget(const Graph& graph) {
  const std::size_t given = constant_bytes(graph);
  memory = std::make_shared<MemoryBudget>(kMaxTotalBytes + kTotalBytesPerByte * given, "folding",
                                          MemoryBudget::current());
  work = kMaxWork + kWorkPerByte * static_cast<double>(given);
}

// y = Constant() {value = 2} becomes y = 2.
bool make_constants(Graph& graph, FoldingBudget& budget) {
  return fold(graph, budget, /*sources_only=*/true);
}

// y = Add(1, 2) becomes y = 3; Shape(x) of a known shape becomes its numbers.
bool fold_constants(Graph& graph, FoldingBudget& budget) {
  return fold(graph, budget, /*sources_only=*/false);
}

bool make_constants(Graph& graph) {
  FoldingBudget budget(graph);
  return make_constants(graph, budget);
}
bool fold_constants(Graph& graph) {
  FoldingBudget budget(graph);
  return fold_constants(graph, budget);
}

}  // namespace sdx::passes
