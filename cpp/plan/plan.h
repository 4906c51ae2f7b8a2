// A plan: a graph made flat for one set of input shapes. Steps in order, a place for every value.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/frame.h"
#include "base/inline_vector.h"

namespace sdx {
class Graph;
class Node;
}  // namespace sdx

namespace sdx::plan {

// Where the elements of a value lie during a run.
enum class Place : uint8_t {
  nowhere,   // never touched: known before the run and read by no step
  constant,  // memory that outlives the plan
  input,     // the caller's memory
  arena,     // at an offset in the run's arena
  output,    // the result buffer of a graph output
  owned,  // a tensor made when its step starts (strings), or by the step (shapes known only then)
  alias,  // bytes of another value, bound when the run starts or by an aliasing step
};

struct PlannedValue {
  Place place = Place::nowhere;
  int64_t offset = 0;              // in the arena, or into the aliased value
  uint32_t alias_of = 0;           // for alias
  uint32_t output = 0;             // for output: which result
  const void* constant = nullptr;  // for constant
  int64_t bytes = 0;
  uint32_t first_step = 0, last_step = 0;
};

struct PlannedStep {
  Step run;  // empty: outputs[0] aliases inputs[0] at `offset` bytes
  InlineVector<uint32_t, 6> inputs;
  InlineVector<uint32_t, 2> outputs;
  std::vector<uint32_t> allocate;  // owned values of known layout that the executor makes first
  std::vector<uint32_t> release;   // owned values that nothing reads after this step
  int64_t offset = 0;
  bool dynamic = false;        // prepared anew in every run
  double counted_flops = 0;    // in preparing it
  const Node* node = nullptr;  // which it computes

  // Of the node: its name, its operator with the domain.
  const std::string& name() const;
  std::string op() const;
};

// Results that must be copied at the end: constants, inputs, values that are several outputs.
struct OutputCopy {
  uint32_t value = 0;
  uint32_t output = 0;
};

// What one run of a step computes and moves.
struct StepCost {
  double flops = 0;  // 0 where nobody counts them
  double value_bytes = 0, constant_bytes = 0;
};

struct Plan {
  uint64_t id = 0;                   // never the same for two plans of a process
  std::vector<Layout> layouts;       // by value
  std::vector<PlannedValue> values;  // by value
  std::vector<PlannedStep> steps;
  std::vector<uint32_t> inputs;         // values of the graph's inputs
  std::vector<uint32_t> outputs;        // values of the graph's outputs
  std::vector<int> caches;              // by output: the input whose memory it may take over, or -1
  std::vector<uint32_t> result_values;  // computed right in a result's memory
  std::vector<uint32_t> bound_aliases;  // of inputs and outputs: bound when a run starts
  std::vector<OutputCopy> copies;
  std::vector<Tensor> constants;  // made by shape arithmetic; kept alive here
  int64_t arena_bytes = 0;        // values, then scratch
  int64_t scratch_offset = 0;
  int64_t value_bytes = 0;  // what arena values would take without sharing

  // Whether result i, given as `into`, is written in the memory of the input it continues.
  bool takes_over(std::size_t i, const Tensor& into, std::span<const Datum> given) const;
  StepCost cost(const PlannedStep& step) const;
  // Which value, which bytes, which steps, by the names in `graph`, which was planned.
  std::string to_string(const Graph& graph) const;
};

struct Outline;

// Plans the outlined graph for inputs laid out like this; an input without known layout is no
// tensor. Errors name the node. The graph must outlive the plan.
std::unique_ptr<Plan> make_plan(const Outline& outline, std::span<const Layout> inputs);

}  // namespace sdx::plan
