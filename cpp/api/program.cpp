#include "api/program.h"

namespace sdx {
namespace {

const Graph& compacted(Graph& graph) {
  graph.compact();
  return graph;
}

}  // namespace

GraphProgram::GraphProgram(Graph& graph) : graph_(graph), outline_(compacted(graph)) {
  for (Node* node : graph.nodes())
    for (const auto& [name, subgraph] : node->subgraphs())
      node->programs[name] = std::make_unique<GraphProgram>(*subgraph);
}

template <class Matches>
std::shared_ptr<const plan::Plan> GraphProgram::cached(Matches&& matches) {
  const std::lock_guard lock(mutex_);
  for (auto it = plans_.begin(); it != plans_.end(); ++it) {
    if (!matches(it->inputs)) continue;
    if (it != plans_.begin()) plans_.splice(plans_.begin(), plans_, it);
    return plans_.front().plan;
  }
  return nullptr;
}

std::shared_ptr<const plan::Plan> GraphProgram::plan_for(std::span<const Layout> inputs) {
  auto found = cached([&](const std::vector<Layout>& layouts) {
    for (std::size_t i = 0; i < layouts.size(); ++i)
      if (layouts[i].known != inputs[i].known || layouts[i].dtype != inputs[i].dtype ||
          layouts[i].shape != inputs[i].shape)
        return false;
    return true;
  });
  if (found) return found;
  std::shared_ptr<const plan::Plan> plan = plan::make_plan(outline_, inputs);
  std::list<CachedPlan> dropped;  // outside the lock
  const std::lock_guard lock(mutex_);
  plans_.push_front({{inputs.begin(), inputs.end()}, plan});
  if (plans_.size() > kMaxPlans) dropped.splice(dropped.begin(), plans_, std::prev(plans_.end()));
  return plan;
}

std::shared_ptr<const plan::Plan> GraphProgram::plan_for(std::span<const Datum> inputs) {
  auto found = cached([&](const std::vector<Layout>& layouts) {
    for (std::size_t i = 0; i < layouts.size(); ++i) {
      if (layouts[i].known != inputs[i].is_tensor()) return false;
      if (layouts[i].known && (layouts[i].dtype != inputs[i].tensor().dtype() ||
                               layouts[i].shape != inputs[i].tensor().shape()))
        return false;
    }
    return true;
  });
  if (found) return found;
  std::vector<Layout> layouts;
  for (const Datum& input : inputs)
    layouts.push_back(input.is_tensor()
                          ? Layout{input.tensor().dtype(), input.tensor().shape(), true}
                          : Layout{});
  return plan_for(std::span<const Layout>(layouts));
}

std::vector<Datum> GraphProgram::run_into(std::span<const Datum> inputs,
                                          std::span<const Tensor> into, const RunState& state,
                                          std::span<const int64_t> rooms, Timing* timing) {
  const auto plan = plan_for(inputs);
  for (std::size_t i = 0; i < into.size(); ++i) {
    const Layout& layout = plan->layouts[plan->outputs[i]];
    if (!into[i].raw() || !layout.known) continue;
    check_argument(into[i].dtype() == layout.dtype && into[i].shape() == layout.shape,
                   "the array given for output '", graph_.output_names()[i], "' is ",
                   into[i].dtype(), into[i].shape(), ", the result is ", layout.dtype,
                   layout.shape);
  }
  for (std::size_t i = 0; i < rooms.size(); ++i) {
    if (rooms[i] == 0 || !into[i].raw()) continue;
    const Shape& shape = into[i].shape();
    const int64_t rows = shape.size() < 2 ? 0 : shape[shape.size() - 2];
    check_argument(rooms[i] == rows || (rooms[i] > rows && plan->takes_over(i, into[i], inputs)),
                   "output '", graph_.output_names()[i], "' of ", rows, " rows cannot lie ",
                   rooms[i], " rows apart");
  }
  if (!timing) return executor_.run(*plan, inputs, into, state, rooms);
  timing->plan = plan;
  timing->times.begin.assign(plan->steps.size(), 0.0);
  timing->times.seconds.assign(plan->steps.size(), 0.0);
  return executor_.run(*plan, inputs, into, state, rooms, &timing->times);
}

void GraphProgram::add_memory(MemoryUse& use) {
  const runtime::RunMemory memory = executor_.memory();
  use.running += memory.running;
  use.idle += memory.idle;
  use.kept_results += memory.kept_results;
  {
    const std::lock_guard lock(mutex_);
    use.plans += static_cast<int64_t>(plans_.size());
  }
  for (const Node* node : graph_.nodes())
    for (const auto& [name, program] : node->programs)
      static_cast<GraphProgram&>(*program).add_memory(use);  // made by the constructor
}

void GraphProgram::trim() {
  std::list<CachedPlan> dropped;  // outside the lock
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(plans_);
  }
  executor_.release_memory();
  for (const Node* node : graph_.nodes())
    for (const auto& [name, program] : node->programs)
      static_cast<GraphProgram&>(*program).trim();  // made by the constructor
}

}  // namespace sdx
