#include "runtime/executor.h"

#include <chrono>

#include "base/checked.h"
#include "base/interrupt.h"
#include "base/large_memory.h"
#include "base/memory_budget.h"

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
      // Sizes that grow once will go on growing: room for them costs nothing until it is touched.
      int64_t wanted = plan.arena_bytes;
      if (arena && wanted < INT64_MAX / 2) wanted += wanted / 4;
      arena.reset();
      arena_bytes = 0;
      arena = allocate_large(static_cast<std::size_t>(wanted));
      arena_bytes = wanted;
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

// One run's context, given back empty when the run ends in whatever way.
class Executor::Lease {
 public:
  Lease(Executor& executor, const Plan& plan) : executor_(executor) {
    {
      const std::lock_guard lock(executor_.mutex_);
      auto& idle = executor_.idle_;
      for (auto& context : idle) {
        if (context->plan_id != plan.id) continue;
        std::swap(context, idle.back());
        break;
      }
      if (!idle.empty()) {
        context_ = std::move(idle.back());
        idle.pop_back();
      } else {
        idle.reserve(executor_.contexts_ + 1);
        context_ = std::make_unique<Context>();
        ++executor_.contexts_;
      }
    }
    if (context_->plan_id == plan.id) return;
    const int64_t before = context_->arena_bytes;
    try {
      context_->bind(plan);
    } catch (...) {
      const std::lock_guard lock(executor_.mutex_);
      --executor_.contexts_;
      executor_.arena_bytes_ -= before;
      throw;
    }
    if (context_->arena_bytes == before) return;
    const std::lock_guard lock(executor_.mutex_);
    executor_.arena_bytes_ += context_->arena_bytes - before;
  }
  ~Lease() {
    for (std::size_t i = 0; i < context_->datums.size(); ++i) {
      if (context_->datums[i].empty()) continue;
      context_->datums[i] = Datum();
      context_->data[i] = nullptr;
    }
    const std::lock_guard lock(executor_.mutex_);
    executor_.idle_.push_back(std::move(context_));  // there is room
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Context* operator->() const { return context_.get(); }

 private:
  Executor& executor_;
  std::unique_ptr<Context> context_;
};

Tensor Executor::new_result(const Layout& layout) {
  if (layout.dtype == DType::string) return Tensor::allocate(layout.dtype, layout.shape);
  const int64_t bytes =
      checked_mul(element_count(layout.shape), static_cast<int64_t>(item_size(layout.dtype)));
  auto owner = outputs_->allocate(static_cast<std::size_t>(bytes));
  void* const data = owner.get();
  return Tensor::own(layout.dtype, layout.shape, std::move(owner), data);
}

void Executor::keep_results(std::size_t bytes) {
  std::size_t contexts;
  {
    const std::lock_guard lock(mutex_);
    contexts = contexts_;
  }
  outputs_->keep_at_most(bytes * contexts);
}

void Executor::release_memory() {
  outputs_->keep_at_most(0);
  const std::lock_guard lock(mutex_);
  contexts_ -= idle_.size();
  for (const auto& context : idle_) arena_bytes_ -= context->arena_bytes;
  idle_.clear();
}

RunMemory Executor::memory() {
  RunMemory memory{.kept_results = static_cast<int64_t>(outputs_->kept())};
  const std::lock_guard lock(mutex_);
  for (const auto& context : idle_) memory.idle += context->arena_bytes;
  memory.running = arena_bytes_ - memory.idle;
  return memory;
}

namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

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

// The buffer of a cache whose heads are `room` rows apart.
Tensor whole_buffer(const Tensor& rows, int64_t room) {
  Shape shape = rows.shape();
  if (room > 0) shape[shape.size() - 2] = room;
  return Tensor::view(rows.dtype(), shape, rows.raw());
}

void check_cancel(const RunState& state) {
  if (Interrupt* const interrupt = Interrupt::current()) interrupt->raise_if_stopped();
  if (state.cancel && state.cancel->load(std::memory_order_relaxed))
    throw Interrupted::by_wish();
}

// What a plan needs before its first step, counted while it runs.
class Planned {
 public:
  explicit Planned(const Plan& plan) : budget_(MemoryBudget::current()) {
    if (!budget_) return;
    bytes_ = static_cast<std::size_t>(plan.arena_bytes);
    const PlannedValue* largest = nullptr;
    for (const PlannedValue& value : plan.values) {
      if (value.place != Place::arena && value.place != Place::output) continue;
      if (value.place == Place::output) bytes_ += static_cast<std::size_t>(value.bytes);
      if (!largest || value.bytes > largest->bytes) largest = &value;
    }
    for (const plan::OutputCopy& copy : plan.copies)
      if (const Layout& layout = plan.layouts[copy.value]; layout.known)
        bytes_ += static_cast<std::size_t>(element_count(layout.shape)) * item_size(layout.dtype);
    if (budget_->take(bytes_)) return;
    const std::string refusal = budget_->refusal(bytes_);
    if (!largest || plan.steps.empty())
      fail(ErrorKind::out_of_memory, "the run needs ", refusal);
    const PlannedStep& step =
        plan.steps[std::min<std::size_t>(largest->first_step, plan.steps.size() - 1)];
    fail(ErrorKind::out_of_memory, "the run needs ", refusal, "; the largest value, of ",
         largest->bytes, " bytes, is made by node '", step.name(), "' (", step.op(), ")");
  }
  ~Planned() {
    if (budget_) budget_->give_back(bytes_);
  }
  Planned(const Planned&) = delete;
  Planned& operator=(const Planned&) = delete;

 private:
  const std::shared_ptr<MemoryBudget> budget_;
  std::size_t bytes_ = 0;
};

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
                                 std::span<const int64_t> rooms, StepTimes* times) {
  const Planned planned(plan);
  const Lease context(*this, plan);
  auto& data = context->data;
  auto& datums = context->datums;
  bind_inputs(plan, inputs, data, datums);

  std::vector<Datum> results(plan.outputs.size());
  std::size_t result_bytes = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const uint32_t id = plan.outputs[i];
    const Layout& layout = plan.layouts[id];
    if (i < into.size() && into[i].raw()) {
      results[i] = into[i];
      if (plan.takes_over(i, into[i], inputs))
        datums[plan.inputs[static_cast<std::size_t>(plan.caches[i])]] =
            whole_buffer(into[i], i < rooms.size() ? rooms[i] : 0);
    } else if (layout.known && plan.values[id].place != Place::owned) {
      results[i] = new_result(layout);
      result_bytes += OutputPool::capacity_for(results[i].tensor().bytes());
    }
  }
  for (const uint32_t id : plan.result_values)
    data[id] = results[plan.values[id].output].tensor().raw();
  for (const uint32_t id : plan.bound_aliases)
    data[id] = static_cast<std::byte*>(data[plan.values[id].alias_of]) + plan.values[id].offset;

  void* scratch = context->base() ? context->base() + plan.scratch_offset : nullptr;
  {
    const ThreadPool::Session session(state.pool);
    const auto run_start = times ? Clock::now() : Clock::time_point();
    for (std::size_t s = 0; s < plan.steps.size(); ++s) {
      check_cancel(state);
      const PlannedStep& step = plan.steps[s];
      const auto start = times ? Clock::now() : Clock::time_point();
      try {
        run_step(step, plan, data, datums, scratch, state);
      } catch (...) {
        rethrow_at("node '" + step.name() + "' (" + step.op() + ")");
      }
      if (!times) continue;
      times->begin[s] = seconds_between(run_start, start);
      times->seconds[s] += seconds_between(start, Clock::now());
    }
  }

  check_cancel(state);  // the last step may have stopped half way
  for (const plan::OutputCopy& copy : plan.copies) {
    const Layout& layout = plan.layouts[copy.value];
    if (!layout.known) {  // an input that is no tensor, or has no layout, handed through
      results[copy.output] = datums[copy.value].owned();
      continue;
    }
    if (!results[copy.output].is_tensor()) {
      results[copy.output] = new_result(layout);
      result_bytes += OutputPool::capacity_for(results[copy.output].tensor().bytes());
    }
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
  keep_results(result_bytes);
  return results;
}

}  // namespace sdx::runtime
