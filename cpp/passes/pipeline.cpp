#include "passes/pipeline.h"

#include <string>

#include "ir/verify.h"
#include "passes/passes.h"

namespace sdx::passes {
namespace {

constexpr Pass kPasses[] = {
    {"expand_ops", expand_ops, 0},
    {"make_constants", make_constants, 1, make_constants},
    {"bypass_identities", bypass_identities, 1},
    {"fuse_quantized", fuse_quantized, 2},  // before its weights are folded to floats
    {"fold_constants", fold_constants, 1, fold_constants},
    {"push_constants", push_constants, 1},
    {"unroll_control", unroll_control, 2},
    {"fold_constants", fold_constants, 1, fold_constants},  // what a known iteration computes
    {"bypass_identities", bypass_identities, 1},
    {"merge_duplicates", merge_duplicates, 1},
    {"fuse_distance", fuse_distance, 2},
    {"fold_batch_norm", fold_batch_norm, 2},
    {"expand_batch_norm", expand_batch_norm, 2},
    {"fuse_gelu", fuse_gelu, 2},
    {"fuse_silu", fuse_silu, 2},
    {"fuse_hard_swish", fuse_hard_swish, 2},
    {"fuse_group_norm", fuse_group_norm, 2},
    {"fuse_layer_norm", fuse_layer_norm, 2},
    {"fuse_attention", fuse_attention, 2},
    {"join_past", join_past, 2},
    {"flatten_heads", flatten_heads, 2},
    {"unflatten_products", unflatten_products, 2},
    {"fuse_bias", fuse_bias, 2},
    {"fold_scale", fold_scale, 2},
    {"fuse_residual", fuse_residual, 2},
    {"fuse_activation", fuse_activation, 2},
    {"expand_group_norm", expand_group_norm, 2},
    {"expand_fused", expand_ops, 2},  // what fusions made and no kernel took up
    {"cut_before_joining", cut_before_joining, 2},
    {"fuse_activation", fuse_activation, 2},  // where joins stood between
    {"sum_carefully", sum_carefully, 2},
    {"channels_last", channels_last, 2},
    {"merge_transposes", merge_transposes, 2},
    {"fold_constants", fold_constants, 1, fold_constants},  // weights that a layout moved
    {"fuse_layer_norm", fuse_layer_norm, 2},                // over channels, now the last axis
    {"fuse_bias", fuse_bias, 2},                            // where transpositions stood between
    {"fold_scale", fold_scale, 2},
    {"fuse_residual", fuse_residual, 2},
    {"fuse_activation", fuse_activation, 2},
    {"fuse_expand_depthwise", fuse_expand_depthwise, 2},
    {"fuse_transpose", fuse_transpose, 2},
    {"fuse_elementwise", fuse_elementwise, 2},
    {"erase_dead", erase_dead, 1},
};

// Whether `name` stands in a list such as "-fold_constants,-erase_dead".
bool listed(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    while (!item.empty() && (item[0] == ' ' || item[0] == '-')) item.remove_prefix(1);
    if (item == name) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

void check_names(std::string_view list) {
  for (std::string_view rest = list; !rest.empty();) {
    const std::size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    while (!item.empty() && item[0] == ' ') item.remove_prefix(1);
    check_argument(item.starts_with('-'), "passes: expected '-name', got '", item, "'");
    item.remove_prefix(1);
    bool known = false;
    for (const Pass& pass : kPasses) known |= item == pass.name;
    check_argument(known, "passes: there is no pass '", item, "'");
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
}

// Levels [from, to]. Inner graphs come last: the constants that the graph around them makes are
// pushed into them.
void run_all(Graph& graph, const PipelineOptions& options, FoldingBudget& budget, int from,
             int to) {
  for (const Pass& pass : kPasses) {
    if (pass.level < from || pass.level > to || (pass.level > 0 && listed(options.skip, pass.name)))
      continue;
    try {
      const bool changed = pass.fold ? pass.fold(graph, budget) : pass.run(graph);
      if (options.verify) verify(graph);
      if (changed && options.observe) options.observe(pass.name, graph);
    } catch (...) {
      rethrow_at(std::string("pass ") + pass.name);
    }
  }
  for (Node* node : graph.nodes())
    for (const auto& [name, subgraph] : node->subgraphs())
      run_all(*subgraph, options, budget, from, to);
}

void make_strict(Graph& graph) {
  forbid_winograd(graph);
  for (const Node* node : graph.nodes())
    for (const auto& [name, subgraph] : node->subgraphs()) make_strict(*subgraph);
}

}  // namespace

std::span<const Pass> all_passes() { return kPasses; }

void run_pipeline(Graph& graph, const PipelineOptions& options) {
  check_names(options.skip);
  FoldingBudget budget(graph);
  run_all(graph, options, budget, 0, 0);
  if (options.strict) make_strict(graph);
  run_all(graph, options, budget, 1, options.level);
}

}  // namespace sdx::passes
