#include "runtime/executor.h"

#include <chrono>

#include "base/large_memory.h"

namespace sdx::runtime {

using plan::Place;
using plan::Plan;
using plan::PlannedStep;
using plan::PlannedValue;

struct Executor::Context {
  std::shared_ptr<void> arena;
  int64_t arena_bytes = 0;
  uint64_t plan_id = 0;
  std::vector<void*> data;
  std::vector<Datum> datums;

  std::byte* base() const { return static_cast<std::byte*>(arena.get()); }

  // Points every value whose place does not change from run to run.
  void bind(const Plan& plan) {
    if (arena_bytes < plan.arena_bytes) {
      arena.reset();
      arena = allocate_large(static_cast<std::size_t>(plan.arena_bytes));
      arena_bytes = plan.arena_bytes;
    }
    data.assign(plan.values.size(), nullptr);
    datums.clear();
    datums.resize(plan.values.size());
    for (std::size_t i = 0; i < plan.values.size(); ++i) {
      const PlannedValue& value = plan.values[i];
      if (value.place == Place::constant) data[i] = const_cast<void*>(value.constant);
      if (value.place == Place::arena) data[i] = base() + value.offset;
      if (value.place == Place::alias && plan.values[value.alias_of].place == Place::arena)
        data[i] = base() + plan.values[value.alias_of].offset + value.offset;
    }
    plan_id = plan.id;
  }
};

Executor::Executor() = default;
Executor::~Executor() = default;

std::unique_ptr<Executor::Context> Executor::take(const Plan& plan) {
  std::unique_ptr<Context> context;
  {
    const std::lock_guard lock(mutex_);
    for (auto& idle : idle_) {
      if (idle->plan_id != plan.id) continue;
      std::swap(idle, idle_.back());
      break;
    }
    if (!idle_.empty()) {
      context = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!context) context = std::make_unique<Context>();
  if (context->plan_id != plan.id) context->bind(plan);
  return context;
}

void Executor::give_back(std::unique_ptr<Context> context) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(context));
}

void Executor::release_memory() {
  const std::lock_guard lock(mutex_);
  idle_.clear();
}

namespace {

void bind_inputs(const Plan& plan, std::span<const Datum> inputs, std::vector<void*>& data,
                 std::vector<Datum>& datums) {
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
    const uint32_t id = plan.inputs[i];
    if (inputs[i].is_tensor() && plan.layouts[id].known)
      data[id] = const_cast<void*>(inputs[i].tensor().raw());
    else
      datums[id] = inputs[i];
  }
}

void check_cancel(const RunState& state) {
  if (state.cancel && state.cancel->load(std::memory_order_relaxed))
    fail(ErrorKind::invalid_argument, "the run was cancelled");
}

void run_step(const PlannedStep& step, const Plan& plan, std::vector<void*>& data,
              std::vector<Datum>& datums, void* scratch, const RunState& state) {
  if (!step.run) {
    const uint32_t from = step.inputs[0], to = step.outputs[0];
    data[to] = static_cast<std::byte*>(data[from]) + step.offset;
    return;
  }
  for (const uint32_t id : step.allocate) {
    datums[id] = Tensor::allocate(plan.layouts[id].dtype, plan.layouts[id].shape);
    data[id] = datums[id].tensor().raw();
  }
  Frame frame(data.data(), datums.data(), plan.layouts.data(), step.inputs, step.outputs, scratch,
              state);
  step.run(frame);
  for (const uint32_t id : step.release) {
    datums[id] = Datum();
    data[id] = nullptr;
  }
}

}  // namespace

std::vector<Datum> Executor::run(const Plan& plan, std::span<const Datum> inputs,
                                 std::span<const Tensor> into, const RunState& state,
                                 StepTimes* times) {
  std::unique_ptr<Context> context = take(plan);
  auto& data = context->data;
  auto& datums = context->datums;
  bind_inputs(plan, inputs, data, datums);

  std::vector<Datum> results(plan.outputs.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const uint32_t id = plan.outputs[i];
    const Layout& layout = plan.layouts[id];
    if (i < into.size() && into[i].raw())
      results[i] = into[i];
    else if (layout.known && plan.values[id].place != Place::owned)
      results[i] = Tensor::allocate(layout.dtype, layout.shape);
  }
  for (const uint32_t id : plan.result_values)
    data[id] = results[plan.values[id].output].tensor().raw();
  for (const uint32_t id : plan.bound_aliases)
    data[id] = static_cast<std::byte*>(data[plan.values[id].alias_of]) + plan.values[id].offset;

  void* scratch = context->base() ? context->base() + plan.scratch_offset : nullptr;
  {
    const ThreadPool::Session session(state.pool);
    for (std::size_t s = 0; s < plan.steps.size(); ++s) {
      check_cancel(state);
      const PlannedStep& step = plan.steps[s];
      const auto start = times ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
      try {
        run_step(step, plan, data, datums, scratch, state);
      } catch (...) {
        rethrow_at("node '" + step.name + "' (" + step.op + ")");
      }
      if (times)
        times->seconds[s] +=
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
  }

  check_cancel(state);  // the last step may have stopped half way
  for (const plan::OutputCopy& copy : plan.copies) {
    const Layout& layout = plan.layouts[copy.value];
    if (!layout.known) {  // an input that is no tensor, or has no layout, handed through
      results[copy.output] = datums[copy.value].owned();
      continue;
    }
    if (!results[copy.output].is_tensor())
      results[copy.output] = Tensor::allocate(layout.dtype, layout.shape);
    copy_items(layout.dtype, data[copy.value], results[copy.output].tensor().raw(),
               element_count(layout.shape));
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    const uint32_t id = plan.outputs[i];
    if (plan.values[id].place != Place::owned) continue;
    if (i < into.size() && into[i].raw() && datums[id].is_tensor()) {
      const Tensor& made = datums[id].tensor();
      check_argument(made.dtype() == into[i].dtype() && made.shape() == into[i].shape(),
                     "the array given for output ", i, " is ", into[i].dtype(), into[i].shape(),
                     ", the result is ", made.dtype(), made.shape());
      copy_items(made.dtype(), made.raw(), results[i].tensor().raw(), made.count());
    } else {
      results[i] = datums[id].owned();
    }
  }
  for (std::size_t i = 0; i < datums.size(); ++i) {
    if (datums[i].empty()) continue;
    datums[i] = Datum();
    data[i] = nullptr;
  }
  give_back(std::move(context));
  return results;
}

}  // namespace sdx::runtime
