// The passes: named rewrites of a graph, in one table.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace sdx::passes {

// Rewrites the graph, not its subgraphs; true if it changed something.
struct FoldingBudget;
using PassFunction = bool(Graph&);

struct Pass {
  const char* name;
  PassFunction* run;
  int level;  // runs at this optimisation level and above; level 0 passes are needed to run at all
  // Runs instead of `run` where given.
  bool (*fold)(Graph&, FoldingBudget&) = nullptr;
};

// In order of execution.
std::span<const Pass> all_passes();

struct PipelineOptions {
  int level = 2;
  std::string skip;     // "-fuse_activation,-fold_constants"; level 0 passes cannot be skipped
  bool strict = false;  // forbid_winograd first: its rounding is larger
  bool verify = false;  // check the graph after every pass
  // Called after every pass that changed the graph.
  std::function<void(std::string_view pass, const Graph& graph)> observe;
};

// Runs the pipeline on the graph and every subgraph in it, outer ones first. Errors name the pass.
void run_pipeline(Graph& graph, const PipelineOptions& options);

}  // namespace sdx::passes
