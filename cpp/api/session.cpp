#include "api/session.h"

#include <algorithm>
#include <functional>
#include <set>

#include "api/program.h"
#include "base/fork.h"
#include "base/interrupt.h"
#include "base/memory_budget.h"
#include "codecs/decode.h"
#include "ir/cache.h"
#include "ir/pack.h"
#include "ir/text.h"
#include "onnx/reader.h"
#include "ops/image_decoder.h"
#include "ops/registry.h"
#include "passes/pipeline.h"
#include "runtime/idle_trim.h"

namespace sdx {
namespace {

ValueInfo describe(const onnx::Declared& declared) {
  constexpr const char* kKinds[] = {"unknown",  "tensor", "sparse_tensor",
                                    "sequence", "map",    "optional"};
  const Type type = onnx::with_open_dims_unnamed(declared.type);
  ValueInfo info;
  info.name = declared.name;
  info.kind = kKinds[static_cast<int>(type.kind)];
  info.type = type.to_string();
  info.dtype = type.dtype;
  info.optional = declared.has_default || type.kind == Type::Kind::optional;
  if (type.shape) {
    info.has_shape = true;
    info.dim_names = declared.dim_names;
    info.dim_names.resize(type.shape->size());
    for (std::size_t i = 0; i < type.shape->size(); ++i) {
      const Dim& dim = (*type.shape)[i];
      std::string& name = info.dim_names[i];
      if (dim.is_known() || dim.is_unknown()) name.clear();
      info.shape.push_back(name.empty() ? dim.to_string() : name);
    }
  }
  return info;
}

std::size_t limit_of(int64_t bytes) {
  return bytes > 0 ? static_cast<std::size_t>(bytes) : MemoryBudget::kNoLimit;
}

std::shared_ptr<MemoryBudget> budget_of(const Options& options) {
  if (options.memory_limit <= 0) return nullptr;
  return std::make_shared<MemoryBudget>(limit_of(options.memory_limit), "session");
}

onnx::ReadOptions read_options(const Options& options, bool freeze_defaults) {
  return {.freeze_defaults = freeze_defaults,
          .dims = {options.dims, {options.denoted_dims.begin(), options.denoted_dims.end()}},
          .initializers = options.initializers,
          .functions = options.functions};
}

// The host's, or what the library has itself.
ops::ImageCodec codec_of(const Options& options) {
  if (options.image_codec) return options.image_codec;
  if (codecs::formats().empty()) return nullptr;
  return [](std::span<const std::byte> encoded, std::string_view pixel_format) -> Tensor {
    try {
      return codecs::decode(encoded, pixel_format);
    } catch (const codecs::Undecodable&) {
      return {};
    }
  };
}

// A graph made ready: rewritten, packed, with programs.
struct Engine {
  onnx::Model model;
  std::unique_ptr<GraphProgram> program;
  std::vector<std::string> caches;  // by output: the input it continues, or ""

  Engine(onnx::Model read, const Options& options) : model(std::move(read)) {
    Graph& graph = *model.graph;
    if (const ops::ImageCodec codec = codec_of(options)) ops::set_image_codec(graph, codec);
    passes::PipelineOptions pipeline;
    pipeline.level = options.level;
    pipeline.skip = options.passes;
    pipeline.strict = options.precision == Precision::strict;
    passes::run_pipeline(graph, pipeline);
    model.forget_files();
    pack_graph(graph);
    model.forget_files();
    program = std::make_unique<GraphProgram>(graph);
    for (const int input : cache_inputs(graph))
      caches.push_back(input < 0 ? "" : graph.inputs()[static_cast<std::size_t>(input)]->name());
  }
};

// Adds the constants of a graph and its subgraphs; weights that several values share count once.
void add_weights(const Graph& graph, const std::vector<std::shared_ptr<onnx::MappedFile>>& files,
                 std::set<const void*>& counted, MemoryUse& use) {
  const auto is_mapped = [&](const Tensor& tensor) {
    const auto* const data = static_cast<const char*>(tensor.raw());
    return std::any_of(files.begin(), files.end(), [&](const auto& file) {
      const std::string_view bytes = file->bytes();
      return !std::less<>{}(data, bytes.data()) && std::less<>{}(data, bytes.data() + bytes.size());
    });
  };
  for (const Node* node : graph.nodes()) {
    use.packed_weights += node->packed_bytes;
    for (const Value* input : node->inputs()) {
      const Tensor* constant = input ? input->constant() : nullptr;
      if (!constant || !constant->raw() || !counted.insert(constant->raw()).second) continue;
      (is_mapped(*constant) ? use.mapped_weights : use.own_weights) +=
          static_cast<int64_t>(constant->bytes());
    }
    for (const auto& [name, subgraph] : node->subgraphs())
      add_weights(*subgraph, files, counted, use);
  }
}

std::string list_names(const std::vector<ValueInfo>& infos) {
  std::string text;
  for (const ValueInfo& info : infos) text += (text.empty() ? "'" : ", '") + info.name + "'";
  return text.empty() ? "none" : text;
}

void check_feed(const Type& type, const std::string& name, const Datum& datum) {
  if (type.kind == Type::Kind::optional && datum.empty()) return;
  const Type& wanted = type.kind == Type::Kind::optional && type.element ? *type.element : type;
  switch (wanted.kind) {
    case Type::Kind::tensor: {
      check_argument(datum.is_tensor(), "input '", name, "': expected ", wanted, ", got a ",
                     datum.kind());
      const Tensor& tensor = datum.tensor();
      check_argument(wanted.dtype == DType::undefined || tensor.dtype() == wanted.dtype, "input '",
                     name, "': expected element type ", wanted.dtype, ", got ", tensor.dtype());
      if (!wanted.shape) return;
      bool fits = wanted.shape->size() == tensor.shape().size();
      for (std::size_t i = 0; fits && i < tensor.shape().size(); ++i)
        fits = !(*wanted.shape)[i].is_known() || (*wanted.shape)[i].value() == tensor.shape()[i];
      check_argument(fits, "input '", name, "': expected shape ", *wanted.shape, ", got ",
                     tensor.shape());
      return;
    }
    case Type::Kind::sequence:
      check_argument(datum.is_sequence(), "input '", name, "': expected ", wanted, ", got a ",
                     datum.kind());
      return;
    case Type::Kind::map:
      check_argument(datum.is_map(), "input '", name, "': expected ", wanted, ", got a ",
                     datum.kind());
      return;
    default:
      return;
  }
}

// What stands for a pool of the parent's in a forked process, which has none of its threads. The
// old one is kept as it is: nobody can join threads that are not there.
std::shared_ptr<ThreadPool> pool_after_fork(const std::shared_ptr<ThreadPool>& old) {
  struct Heirs {
    ForkMutex mutex;
    std::map<std::shared_ptr<ThreadPool>, std::shared_ptr<ThreadPool>> by_old;
  };
  static Heirs& heirs = *new Heirs;
  const std::lock_guard lock(heirs.mutex);
  std::shared_ptr<ThreadPool>& heir = heirs.by_old[old];
  if (!heir) heir = std::make_shared<ThreadPool>(old->threads());
  return heir;
}

// Steps may write a result before they have read every feed.
void check_apart(const Engine& engine, std::span<const Feed> feeds, std::span<const Tensor> into) {
  for (std::size_t i = 0; i < into.size(); ++i) {
    if (!into[i].raw()) continue;
    for (const Feed& feed : feeds) {
      if (!feed.value.is_tensor() || !overlap(into[i], feed.value.tensor())) continue;
      check_argument(feed.name == engine.caches[i] && feed.value.tensor().raw() == into[i].raw(),
                     "output '", engine.model.outputs[i].name, "' cannot be written over input '",
                     feed.name, "'");
    }
  }
}

}  // namespace

struct Session::Impl {
  Options options;
  std::shared_ptr<ThreadPool> pool;
  std::atomic<uint32_t> generation{fork_generation()};  // of the process that `pool` belongs to
  ForkMutex pool_mutex;
  std::shared_ptr<const OpRegistry> registry;  // what the nodes are made of
  std::unique_ptr<Engine> engine;
  std::vector<ValueInfo> inputs, outputs;
  // Inputs with defaults are constants of `engine`; a caller who feeds one gets a second engine.
  std::function<onnx::Model()> read_unfrozen;
  std::unique_ptr<Engine> unfrozen;
  std::mutex unfrozen_mutex;
  std::shared_ptr<MemoryBudget> budget;  // null without a limit
  std::optional<runtime::IdleTrim> idle_trim;

  Impl(onnx::Model model, const Options& given) : options(given) {
    if (options.log)
      for (const std::string& warning : model.warnings) options.log(warning);
    for (const onnx::Declared& declared : model.inputs) inputs.push_back(describe(declared));
    engine = std::make_unique<Engine>(std::move(model), options);
    for (const onnx::Declared& declared : engine->model.outputs) {
      outputs.push_back(describe(declared));
    }
    // What the file leaves open, inference may know.
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const Type& type = engine->model.graph->outputs()[i]->type();
      if (outputs[i].kind == "unknown" || (outputs[i].kind == "tensor" && !outputs[i].has_shape))
        outputs[i] = describe({outputs[i].name, type, false});
    }
    pool = options.pool;
    if (!pool)
      pool = ThreadPool::shared(options.threads > 0 ? options.threads : available_processors());
    check_argument(options.trim_after >= 0, "trim_after: expected seconds, got ",
                   options.trim_after);
    if (options.trim_after > 0) idle_trim.emplace(options.trim_after, [this] { trim(); });
  }

  void trim() {
    engine->program->trim();
    const std::lock_guard lock(unfrozen_mutex);
    if (unfrozen) unfrozen->program->trim();
  }

  RunState state(const Interrupt* interrupt) {
    if (generation.load(std::memory_order_acquire) != fork_generation()) {
      const std::shared_ptr<ThreadPool> heir = pool_after_fork(pool);
      const std::lock_guard lock(pool_mutex);
      if (generation.load() != fork_generation()) pool = heir;
      generation.store(fork_generation(), std::memory_order_release);
    }
    return {pool.get(), interrupt ? interrupt->flag() : nullptr};
  }

  std::vector<Datum> run(std::span<const Feed> feeds, std::span<const std::string> wanted,
                         std::span<Tensor> into, std::span<const int64_t> rooms,
                         const RunState& state, std::vector<StepProfile>* profile);

  Engine& engine_for(std::span<const Feed> feeds) {
    if (engine->model.defaults.empty()) return *engine;
    bool overridden = false;
    for (const Feed& feed : feeds) overridden |= engine->model.defaults.contains(feed.name);
    if (!overridden) return *engine;
    const std::lock_guard lock(unfrozen_mutex);
    const HostOperatorScope scope(options.operators);
    const MemoryBudget::Scope memory_scope(budget);
    if (!unfrozen) unfrozen = std::make_unique<Engine>(read_unfrozen(), options);
    return *unfrozen;
  }

  // Feeds in the order of the engine's graph inputs, checked.
  std::vector<Datum> arrange(const Engine& used, std::span<const Feed> feeds) const {
    const auto& wanted = used.model.graph->inputs();
    std::vector<Datum> arranged(wanted.size());
    std::vector<bool> given(wanted.size());
    for (std::size_t f = 0; f < feeds.size(); ++f) {
      std::size_t i = f;
      if (i >= wanted.size() || wanted[i]->name() != feeds[f].name)
        for (i = 0; i < wanted.size() && wanted[i]->name() != feeds[f].name; ++i) {
        }
      check_argument(i < wanted.size(), "there is no input '", feeds[f].name, "'; the inputs are ",
                     list_names(inputs));
      check_argument(!given[i], "input '", feeds[f].name, "' is given twice");
      check_feed(wanted[i]->type(), wanted[i]->name(), feeds[f].value);
      arranged[i] = feeds[f].value;
      given[i] = true;
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (given[i]) continue;
      const auto found = used.model.defaults.find(wanted[i]->name());
      if (found != used.model.defaults.end())
        arranged[i] = found->second;
      else
        check_argument(wanted[i]->type().kind == Type::Kind::optional, "input '", wanted[i]->name(),
                       "' is missing; the inputs are ", list_names(inputs));
    }
    return arranged;
  }
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Session Session::load_file(const std::string& path, const Options& options) {
  const std::shared_ptr<const OpRegistry> registry = registry_with(options.operators);
  const HostOperatorScope scope(options.operators);
  const std::shared_ptr<MemoryBudget> budget = budget_of(options);
  const MemoryBudget::Scope memory_scope(budget);
  std::unique_ptr<Impl> impl;
  try {
    impl = std::make_unique<Impl>(
        onnx::read_model_file(path, *registry, read_options(options, true)), options);
  } catch (...) {
    rethrow_at("model '" + path + "'");
  }
  impl->registry = registry;
  impl->budget = budget;
  impl->read_unfrozen = [path, options, registry] {
    return onnx::read_model_file(path, *registry, read_options(options, false));
  };
  return Session(std::move(impl));
}

Session Session::load_bytes(std::span<const std::byte> bytes, const Options& options,
                            const std::string& directory) {
  const std::shared_ptr<const OpRegistry> registry = registry_with(options.operators);
  const HostOperatorScope scope(options.operators);
  const std::shared_ptr<MemoryBudget> budget = budget_of(options);
  const MemoryBudget::Scope memory_scope(budget);
  auto impl = std::make_unique<Impl>(
      onnx::read_model(bytes, directory, *registry, read_options(options, true)), options);
  impl->registry = registry;
  impl->budget = budget;
  if (!impl->engine->model.defaults.empty())
    impl->read_unfrozen = [copy = std::vector<std::byte>(bytes.begin(), bytes.end()), directory,
                           options, registry] {
      return onnx::read_model(copy, directory, *registry, read_options(options, false));
    };
  return Session(std::move(impl));
}

const std::vector<ValueInfo>& Session::inputs() const { return impl_->inputs; }
const std::vector<ValueInfo>& Session::outputs() const { return impl_->outputs; }
const std::vector<std::string>& Session::caches() const { return impl_->engine->caches; }
const std::map<std::string, std::string>& Session::metadata() const {
  return impl_->engine->model.metadata;
}

const std::map<std::string, std::string>& Session::custom_metadata() const {
  return impl_->engine->model.custom_metadata;
}

std::vector<Datum> Session::run(std::span<const Feed> feeds, std::span<const std::string> outputs,
                                std::span<Tensor> into, const RunControl& control,
                                std::span<const int64_t> rooms) {
  std::optional<Interrupt> interrupt;
  if (control.cancel || control.timeout || control.poll)
    interrupt.emplace(control.cancel, control.timeout, control.poll, control.elapsed);
  std::shared_ptr<MemoryBudget> budget;
  if (control.memory_limit > 0 || impl_->budget)
    budget = std::make_shared<MemoryBudget>(limit_of(control.memory_limit), "run", impl_->budget);
  const MemoryBudget::Scope scope(budget);
  const runtime::IdleTrim::Use use(impl_->idle_trim);
  std::vector<Datum> results =
      impl_->run(feeds, outputs, into, rooms, impl_->state(interrupt ? &*interrupt : nullptr),
                 control.profile);
  if (budget) budget->leave_whole();  // what is left are results, which are the caller's
  if (interrupt) interrupt->finish();
  return results;
}

namespace {

std::string describe_shapes(const plan::Plan& plan, const plan::PlannedStep& step) {
  std::ostringstream text;
  const auto list = [&](std::span<const uint32_t> values) {
    bool first = true;
    for (const uint32_t id : values) {
      if (id == Frame::kNoValue) continue;
      text << (first ? "" : ", ");
      first = false;
      if (plan.layouts[id].known)
        text << plan.layouts[id].shape;
      else
        text << '?';
    }
  };
  list(step.inputs);
  text << " -> ";
  list(step.outputs);
  return text.str();
}

std::vector<StepProfile> profiles(const Graph& graph, const GraphProgram::Timing& timing) {
  std::vector<uint32_t> alive;
  for (const Node* node : graph.nodes()) alive.push_back(node->serial());
  const std::vector<std::vector<std::string>> names = graph.lineage().names(alive);
  const plan::Plan& plan = *timing.plan;
  std::vector<StepProfile> profiles;
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const plan::PlannedStep& step = plan.steps[s];
    if (!step.run) continue;
    const plan::StepCost cost = plan.cost(step);
    profiles.push_back({.node = step.name(),
                        .nodes = names[step.node->serial()],
                        .op = step.op(),
                        .shapes = describe_shapes(plan, step),
                        .calls = 1,
                        .begin = timing.times.begin[s],
                        .seconds = timing.times.seconds[s],
                        .flops = cost.flops,
                        .value_bytes = cost.value_bytes,
                        .constant_bytes = cost.constant_bytes});
  }
  return profiles;
}

}  // namespace

std::vector<Datum> Session::Impl::run(std::span<const Feed> feeds,
                                      std::span<const std::string> wanted, std::span<Tensor> into,
                                      std::span<const int64_t> rooms, const RunState& state,
                                      std::vector<StepProfile>* profile) {
  Engine& engine = engine_for(feeds);
  const std::vector<Datum> arranged = arrange(engine, feeds);
  const auto run_into = [&](std::span<const Tensor> all_into, std::span<const int64_t> all_rooms) {
    check_apart(engine, feeds, all_into);
    GraphProgram::Timing timing;
    std::vector<Datum> results =
        engine.program->run_into(arranged, all_into, state, all_rooms, profile ? &timing : nullptr);
    if (profile) *profile = profiles(*engine.model.graph, timing);
    return results;
  };
  if (wanted.empty()) return run_into(into, rooms);

  std::vector<std::size_t> chosen;
  for (const std::string& name : wanted) {
    std::size_t i = 0;
    while (i < outputs.size() && outputs[i].name != name) ++i;
    check_argument(i < outputs.size(), "there is no output '", name, "'; the outputs are ",
                   list_names(outputs));
    chosen.push_back(i);
  }
  std::vector<Tensor> all_into(into.empty() ? 0 : outputs.size());
  std::vector<int64_t> all_rooms(all_into.size());
  for (std::size_t i = 0; i < into.size() && i < chosen.size(); ++i) {
    all_into[chosen[i]] = into[i];
    if (i < rooms.size()) all_rooms[chosen[i]] = rooms[i];
  }
  const std::vector<Datum> results = run_into(all_into, all_rooms);
  std::vector<Datum> selected;
  for (const std::size_t i : chosen) selected.push_back(results[i]);
  return selected;
}

std::vector<StepProfile> Session::profile(std::span<const Feed> feeds) {
  std::vector<StepProfile> profile;
  RunControl control;
  control.profile = &profile;
  run(feeds, {}, {}, control);
  return profile;
}

namespace {

std::vector<NodeCount> by_frequency(const std::map<std::string, int64_t>& counts) {
  std::vector<NodeCount> result;
  for (const auto& [op, count] : counts) result.push_back({op, count});
  std::stable_sort(result.begin(), result.end(),
                   [](const NodeCount& a, const NodeCount& b) { return a.count > b.count; });
  return result;
}

void count_operators(const Graph& graph, std::map<std::string, int64_t>& counts) {
  for (const Node* node : graph.nodes()) {
    ++counts[node->domain().empty() ? node->op_type() : node->domain() + "::" + node->op_type()];
    for (const auto& [name, subgraph] : node->subgraphs()) count_operators(*subgraph, counts);
  }
}

}  // namespace

void Session::trim() { impl_->trim(); }

MemoryUse Session::memory() {
  MemoryUse use;
  std::set<const void*> counted;
  const auto add = [&](Engine& engine) {
    add_weights(*engine.model.graph, engine.model.files, counted, use);
    engine.program->add_memory(use);
  };
  add(*impl_->engine);
  const std::lock_guard lock(impl_->unfrozen_mutex);
  if (impl_->unfrozen) add(*impl_->unfrozen);
  return use;
}

ModelSummary Session::summary() const {
  ModelSummary summary;
  const onnx::Model& model = impl_->engine->model;
  summary.operators = by_frequency(model.operators);
  std::map<std::string, int64_t> optimized;
  count_operators(*model.graph, optimized);
  summary.optimized_operators = by_frequency(optimized);
  summary.parameters = model.parameters;
  summary.parameter_bytes = model.parameter_bytes;
  return summary;
}

PlanSummary Session::plan_summary(const std::map<std::string, std::vector<int64_t>>& shapes) const {
  std::vector<Layout> layouts;
  for (const Value* input : impl_->engine->model.graph->inputs()) {
    Layout layout;
    if (input->type().kind == Type::Kind::tensor) {
      const auto given = shapes.find(input->name());
      layout.dtype = input->type().dtype;
      layout.known = given != shapes.end() || input->type().shape.has_value();
      if (given != shapes.end()) {
        layout.shape = Shape(given->second.begin(), given->second.end());
        check_feed(input->type(), input->name(), Tensor::view(layout.dtype, layout.shape, nullptr));
      } else if (layout.known) {
        for (const Dim& dim : *input->type().shape) layout.shape.push_back(dim.value_or(1));
      }
    }
    layouts.push_back(layout);
  }
  const auto plan = impl_->engine->program->plan_for(std::span<const Layout>(layouts));
  PlanSummary summary;
  summary.arena_bytes = plan->arena_bytes;
  summary.value_bytes = plan->value_bytes;
  for (const plan::PlannedStep& step : plan->steps) {
    summary.flops += plan->cost(step).flops;
    summary.steps += step.run ? 1 : 0;
    summary.dynamic_steps += step.dynamic;
  }
  summary.text = plan->to_string(*impl_->engine->model.graph);
  return summary;
}

std::string Session::graph_text() const { return to_text(*impl_->engine->model.graph); }
int Session::threads() const { return impl_->pool->threads(); }

std::shared_ptr<ThreadPool> make_pool(int threads) { return std::make_shared<ThreadPool>(threads); }

std::string image_formats() { return codecs::formats(); }
Tensor decode_image(std::span<const std::byte> encoded, std::string_view pixel_format) {
  return codecs::decode(encoded, pixel_format);
}

bool overlap(const Tensor& a, const Tensor& b) {
  const auto* a_begin = static_cast<const std::byte*>(a.raw());
  const auto* b_begin = static_cast<const std::byte*>(b.raw());
  return std::less<>{}(a_begin, b_begin + b.bytes()) && std::less<>{}(b_begin, a_begin + a.bytes());
}

const char* version() { return SDX_VERSION; }
const char* instruction_set() { return ops::instruction_set(); }

}  // namespace sdx
