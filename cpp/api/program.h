// A graph with its plans: what runs a model, and every subgraph in it.
#pragma once

#include <list>
#include <memory>

#include "api/memory_use.h"
#include "base/fork.h"
#include "ir/graph.h"
#include "plan/outline.h"
#include "runtime/executor.h"

namespace sdx {

class GraphProgram final : public Program {
 public:
  // `graph` (packed) must outlive the program. Makes programs for the subgraphs of its nodes.
  explicit GraphProgram(Graph& graph);

  std::vector<Datum> run(std::span<const Datum> inputs, const RunState& state) override {
    return run_into(inputs, {}, state);
  }
  // What the steps of a run took, and the plan they belong to.
  struct Timing {
    std::shared_ptr<const plan::Plan> plan;
    runtime::StepTimes times;
  };
  // As Executor::run; notes times where there is room for them.
  std::vector<Datum> run_into(std::span<const Datum> inputs, std::span<const Tensor> into,
                              const RunState& state, std::span<const int64_t> rooms = {},
                              Timing* timing = nullptr);
  std::shared_ptr<const plan::Plan> plan_for(std::span<const Layout> inputs);
  // Frees what is kept for later runs, in subgraphs too: plans and memory that no run is using.
  void trim();
  // Adds what it and the programs of its subgraphs hold.
  void add_memory(MemoryUse& use);

 private:
  // Plans are few and large: the most recently used ones stay.
  static constexpr std::size_t kMaxPlans = 16;

  struct CachedPlan {
    std::vector<Layout> inputs;
    std::shared_ptr<const plan::Plan> plan;
  };
  std::shared_ptr<const plan::Plan> plan_for(std::span<const Datum> inputs);
  template <class Matches>
  std::shared_ptr<const plan::Plan> cached(Matches&& matches);

  Graph& graph_;
  plan::Outline outline_;
  runtime::Executor executor_;
  ForkMutex mutex_;
  std::list<CachedPlan> plans_;  // most recently used first
};

}  // namespace sdx
