#include <algorithm>
#include <unordered_map>

#include "passes/attributes.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

// What rounds in front of so many convolutions, which all multiply it, is most of the error of
// their result, and a small part of the time.
constexpr int kDeep = 30, kDeepest = 40;

}  // namespace

// y = Conv(x, w) with 30 more convolutions behind it, one after the other, becomes
// y = Conv(x, w) {careful = 1}, and with 40 of them {careful = 2}.
bool sum_carefully(Graph& graph) {
  std::unordered_map<const Node*, int> behind;  // the most convolutions on a way to an output
  std::vector<Node*> nodes = graph.nodes();
  std::reverse(nodes.begin(), nodes.end());
  bool changed = false;
  for (Node* node : nodes) {
    int most = 0;
    for (const Value* output : node->outputs()) {
      if (!output) continue;
      for (const Node* user : output->users())
        most = std::max(most, behind[user] + (is_convolution(*user) ? 1 : 0));
    }
    behind[node] = most;
    if (most < kDeep || !is_convolution(*node) || node->attrs().has("careful")) continue;
    behind[replace_with(graph, node, "careful", most < kDeepest ? 1 : 2)] = most;
    changed = true;
  }
  return changed;
}

}  // namespace sdx::passes
