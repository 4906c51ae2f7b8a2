// Builds a plan: facts with numbers, then steps, then places.
#include <atomic>
#include <deque>
#include <sstream>

#include "base/checked.h"
#include "ir/evaluate.h"
#include "ir/graph.h"
#include "plan/arena.h"
#include "plan/outline.h"
#include "plan/parts.h"

namespace sdx::plan {
namespace {

constexpr uint32_t kNone = Frame::kNoValue;

// A run between two plans drives the operators out of the cache: they are fetched so many nodes
// ahead.
constexpr std::size_t kNodesAhead = 6;

void fetch(const OutlinedNode& node) {
  constexpr std::size_t kLine = 64;
  const auto* op = reinterpret_cast<const char*>(node.op);
  for (std::size_t i = 0; i < 4; ++i) __builtin_prefetch(op + i * kLine);
  const auto* packed = reinterpret_cast<const char*>(&node.node->packed);
  __builtin_prefetch(packed);
}

// A node that cannot be prepared before its data is there.
Step dynamic_step(const Node& node) {
  return [&node](Frame& frame) {
    std::vector<Datum> inputs(node.inputs().size());
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = frame.input(static_cast<int>(i));
    std::vector<Datum> outputs = evaluate(node, inputs, frame.state());
    for (std::size_t i = 0; i < outputs.size(); ++i)
      frame.set_output(static_cast<int>(i), std::move(outputs[i]));
  };
}

class Planner {
 public:
  Planner(const Outline& outline, std::span<const Layout> inputs)
      : outline_(outline), plan_(std::make_unique<Plan>()), facts_(outline.facts) {
    plan_->layouts = outline.layouts;
    plan_->values = outline.values;
    plan_->inputs = outline.inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) add_input(outline.inputs[i], inputs[i]);
  }

  std::unique_ptr<Plan> run() {
    const auto& nodes = outline_.nodes;
    plan_->steps.reserve(nodes.size());
    planned_nodes_.reserve(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (i + kNodesAhead < nodes.size()) fetch(nodes[i + kNodesAhead]);
      try {
        add_node(nodes[i]);
      } catch (...) {
        rethrow_at(nodes[i].node->place());
      }
    }
    place_outputs();
    if (joins_ || !cuts_.empty()) {
      const auto context_of = [this](uint32_t step) { return context(step); };
      place_parts(*plan_, planned_nodes_, cuts_, context_of);
    }
    for (uint32_t s = 0; s < plan_->steps.size(); ++s) {
      if (!planned_nodes_[s]) continue;
      try {
        prepare(s);
      } catch (...) {
        rethrow_at(planned_nodes_[s]->node->place());
      }
    }
    for (uint32_t id = 0; id < plan_->values.size(); ++id) {
      if (plan_->values[id].place == Place::output) plan_->result_values.push_back(id);
      if (plan_->values[id].place != Place::alias) continue;
      const Place root = plan_->values[plan_->values[id].alias_of].place;
      if (root == Place::input || root == Place::output) plan_->bound_aliases.push_back(id);
    }
    find_lifetimes();
    place_values();
    return std::move(plan_);
  }

 private:
  void add_input(uint32_t id, const Layout& layout) {
    plan_->layouts[id] = layout;
    plan_->values[id].place = Place::input;
    facts_[id] = &own_facts_.emplace_back(Facts::of(
        layout.known ? Type::tensor(layout.dtype, to_dims(layout.shape)) : facts_[id]->type));
  }

  void add_node(const OutlinedNode& node) {
    inputs_.clear();
    for (const uint32_t id : node.inputs) inputs_.push_back(id == kNone ? nullptr : facts_[id]);
    outputs_.clear();
    outputs_.resize(node.outputs.size());
    InferContext ctx(*node.node, inputs_, outputs_, /*at_load=*/false);
    node.op->infer(ctx);

    bool contents_known = true, dynamic = ctx.deferred() || node.has_subgraphs;
    for (const uint32_t id : node.inputs) dynamic |= id != kNone && !plan_->layouts[id].known;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const uint32_t id = node.outputs[i];
      if (id == kNone) continue;
      Facts& facts = own_facts_.emplace_back(std::move(outputs_[i]));
      facts_[id] = &facts;
      Layout& layout = plan_->layouts[id];
      layout.dtype = facts.type.dtype;
      if (facts.type.kind == Type::Kind::tensor) {
        if (auto shape = facts.type.known_shape()) {
          plan_->values[id].bytes =
              checked_mul(element_count(*shape), static_cast<int64_t>(item_size(layout.dtype)));
          layout.shape = std::move(*shape);
          layout.known = true;
        }
      }
      dynamic |= !layout.known;
      contents_known &= layout.known && facts.contents_are_numbers();
    }
    if (contents_known) return;  // shape arithmetic: nothing left to compute
    if (dynamic) {
      for (const uint32_t id : node.outputs)
        if (id != kNone) plan_->layouts[id].known = false;
      add_step(node, dynamic_step(*node.node), Place::owned).dynamic = true;
      return;
    }
    add_static(node);
  }

  void add_static(const OutlinedNode& node) {
    bool rows_apart = false;
    if (add_views(node, context(*node.node, node.inputs, node.outputs), rows_apart)) return;
    if (rows_apart) cuts_.push_back(static_cast<uint32_t>(plan_->steps.size()));
    joins_ |= node.traits->joins;
    add_step(node, {}, Place::arena);
    planned_nodes_.back() = &node;
  }

  void prepare(uint32_t s) {
    PlannedStep& step = plan_->steps[s];
    PrepareContext ctx = context(s);
    step.run = planned_nodes_[s]->op->prepare(ctx);
    step.counted_flops = ctx.counted_flops();
    scratch_ = std::max(scratch_, ctx.scratch());
  }

  // What a node is asked with; holds until the next one is made.
  PrepareContext context(const Node& node, std::span<const uint32_t> inputs,
                         std::span<const uint32_t> outputs) {
    input_layouts_.clear();
    output_layouts_.clear();
    constants_.clear();
    for (const uint32_t id : inputs) {
      input_layouts_.push_back(id == kNone ? nullptr : &plan_->layouts[id]);
      constants_.push_back(id == kNone ? nullptr : constant_of(id));
    }
    for (const uint32_t id : outputs)
      output_layouts_.push_back(id == kNone ? nullptr : &plan_->layouts[id]);
    return {node, input_layouts_, constants_, output_layouts_};
  }
  PrepareContext context(uint32_t s) {
    const PlannedStep& step = plan_->steps[s];
    return context(*step.node, step.inputs, step.outputs);
  }

  // Outputs that are bytes of inputs need no computation, if all are and lie together.
  bool add_views(const OutlinedNode& node, const PrepareContext& ctx, bool& rows_apart) {
    if (node.outputs.empty()) return false;
    views_.clear();
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNone) {
        views_.push_back({-1, 0});
        continue;
      }
      if (plan_->layouts[node.outputs[i]].dtype == DType::string) return false;
      if (i == 0 && (node.traits->view || node.op->is_identity())) {
        views_.push_back({0, 0});
      } else if (const auto view = node.op->view(ctx, static_cast<int>(i))) {
        views_.push_back(*view);
        rows_apart |= view->rows.apart();
      } else {
        return false;
      }
    }
    if (rows_apart) return false;
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const View& view = views_[i];
      if (view.input < 0) continue;
      const uint32_t from = made(node.inputs[static_cast<std::size_t>(view.input)]);
      const uint32_t to = node.outputs[i];
      PlannedValue& value = plan_->values[to];
      const PlannedValue& source = plan_->values[from];
      if (source.place == Place::constant) {
        value.place = Place::constant;
        value.constant = static_cast<const std::byte*>(source.constant) + view.offset;
        continue;
      }
      value.place = Place::alias;
      const bool through = source.place == Place::alias;
      value.alias_of = through ? source.alias_of : from;
      value.offset = view.offset + (through ? source.offset : 0);
      const Place root = plan_->values[value.alias_of].place;
      if (root == Place::owned) {
        PlannedStep& step = plan_->steps.emplace_back();
        step.inputs = {value.alias_of};
        step.outputs = {to};
        step.offset = value.offset;
        step.node = node.node;
        planned_nodes_.push_back(nullptr);
      }
    }
    return true;
  }

  PlannedStep& add_step(const OutlinedNode& node, Step run, Place place) {
    PlannedStep& step = plan_->steps.emplace_back();
    planned_nodes_.push_back(nullptr);
    step.run = std::move(run);
    step.node = node.node;
    step.inputs = node.inputs;
    for (const uint32_t id : node.inputs) made(id);
    step.outputs = node.outputs;
    for (const uint32_t id : node.outputs) {
      if (id == kNone) continue;
      const bool string = plan_->layouts[id].dtype == DType::string;
      plan_->values[id].place = string ? Place::owned : place;
      if (string && place != Place::owned) step.allocate.push_back(id);
    }
    return step;
  }

  // A value that is read: shape arithmetic that a step reads after all becomes a constant here.
  uint32_t made(uint32_t id) {
    if (id != kNone && plan_->values[id].place == Place::nowhere) constant_of(id);
    return id;
  }

  const Tensor* constant_of(uint32_t id) {
    const Facts& facts = *facts_[id];
    if (facts.constant) return facts.constant.get();
    if (plan_->values[id].place != Place::nowhere || !facts.contents_are_numbers()) return nullptr;
    Tensor tensor = facts.contents_as_tensor();
    plan_->values[id].place = Place::constant;
    plan_->values[id].constant = tensor.raw();
    Facts with_tensor = facts;
    with_tensor.constant = std::make_shared<const Tensor>(tensor);
    plan_->constants.push_back(std::move(tensor));
    facts_[id] = &own_facts_.emplace_back(std::move(with_tensor));
    return facts_[id]->constant.get();
  }

  void place_outputs() {
    plan_->caches = outline_.caches;
    for (std::size_t i = 0; i < outline_.outputs.size(); ++i) {
      const uint32_t id = made(outline_.outputs[i]);
      plan_->outputs.push_back(id);
      PlannedValue& value = plan_->values[id];
      const auto output = static_cast<uint32_t>(i);
      if (value.place == Place::arena) {
        value.place = Place::output;
        value.output = output;
        continue;
      }
      plan_->caches[i] = -1;
      if (value.place == Place::alias) {
        // The last Reshape of a model: let its source be computed right in the result.
        PlannedValue& root = plan_->values[value.alias_of];
        if (root.place == Place::arena && value.offset == 0 && root.bytes == value.bytes) {
          root.place = Place::output;
          root.output = output;
          continue;
        }
      }
      if (value.place == Place::owned) {
        owned_outputs_.push_back(id);
        if (plan_->layouts[id].dtype == DType::string || !plan_->layouts[id].known) continue;
      }
      plan_->copies.push_back({id, output});
    }
  }

  uint32_t root_of(uint32_t id) const {
    const PlannedValue& value = plan_->values[id];
    return value.place == Place::alias ? value.alias_of : id;
  }

  void find_lifetimes() {
    const auto end = static_cast<uint32_t>(plan_->steps.size());
    for (PlannedValue& value : plan_->values)
      if (value.place == Place::arena || value.place == Place::output ||
          value.place == Place::owned)
        value.first_step = kNone;
    for (uint32_t s = 0; s < end; ++s) {
      for (const uint32_t id : plan_->steps[s].outputs) {
        if (id == kNone) continue;
        PlannedValue& root = plan_->values[root_of(id)];
        if (root.first_step == kNone) root.first_step = s;
        root.last_step = s;
      }
      for (const uint32_t id : plan_->steps[s].inputs)
        if (id != kNone) plan_->values[root_of(id)].last_step = s;
    }
    for (const OutputCopy& copy : plan_->copies) plan_->values[root_of(copy.value)].last_step = end;
    for (const uint32_t id : owned_outputs_) plan_->values[id].last_step = end;
  }

  void place_values() {
    Arena arena;
    std::vector<bool> placed(plan_->values.size(), false);
    // The values that die with a step, as chains: the step's first, then each one's next.
    std::vector<uint32_t> dying(plan_->steps.size(), kNone), next(plan_->values.size(), kNone);
    for (auto id = static_cast<uint32_t>(plan_->values.size()); id-- > 0;) {
      const PlannedValue& value = plan_->values[id];
      if (value.last_step >= plan_->steps.size()) continue;
      if (value.place == Place::arena || value.place == Place::owned)
        next[id] = std::exchange(dying[value.last_step], id);
    }
    for (uint32_t s = 0; s < plan_->steps.size(); ++s) {
      PlannedStep& step = plan_->steps[s];
      const uint32_t taken = share_input(s);
      for (const uint32_t id : step.outputs) {
        // A value with parts is placed with the first of them.
        if (id == kNone) continue;
        const uint32_t root = root_of(id);
        PlannedValue& value = plan_->values[root];
        if (value.place != Place::arena || value.first_step != s || placed[root]) continue;
        placed[root] = true;
        plan_->value_bytes += value.bytes;
        if (taken != kNone && root == step.outputs[0])
          value.offset = plan_->values[taken].offset;
        else
          value.offset = arena.allocate(value.bytes);
      }
      for (uint32_t id = dying[s]; id != kNone; id = next[id]) {
        const PlannedValue& value = plan_->values[id];
        if (value.place == Place::owned)
          step.release.push_back(id);
        else if (id != taken)
          arena.release(value.offset, value.bytes);
      }
    }
    plan_->scratch_offset = arena.size();
    plan_->arena_bytes = checked_add(arena.size(), scratch_);
  }

  // The input whose memory output 0 of step `s` takes over, or kNone.
  uint32_t share_input(uint32_t s) const {
    const OutlinedNode* node = planned_nodes_[s];
    const PlannedStep& step = plan_->steps[s];
    if (!node || node->traits->in_place == 0 || step.outputs.empty() || step.outputs[0] == kNone)
      return kNone;
    const uint32_t out = step.outputs[0];
    const PlannedValue& value = plan_->values[out];
    if (value.place != Place::arena || value.bytes == 0 || value.first_step != s) return kNone;
    for (std::size_t i = 0; i < step.inputs.size() && i < 31; ++i) {
      if (!(node->traits->in_place >> i & 1) || step.inputs[i] == kNone) continue;
      const uint32_t in = step.inputs[i];
      const uint32_t root = root_of(in);
      const PlannedValue& source = plan_->values[root];
      if (source.place != Place::arena || source.last_step != s || source.bytes != value.bytes ||
          plan_->layouts[in].shape != plan_->layouts[out].shape)
        continue;
      bool alone = true;
      for (std::size_t j = 0; j < step.inputs.size(); ++j) {
        const uint32_t other = step.inputs[j];
        alone &= other == kNone || other == in || root_of(other) != root ||
                 plan_->layouts[other].shape == plan_->layouts[in].shape;
      }
      if (alone) return root;
    }
    return kNone;
  }

  const Outline& outline_;
  std::unique_ptr<Plan> plan_;
  std::vector<const Facts*> facts_;  // by value
  std::deque<Facts> own_facts_;
  // Of the node at hand, kept for their memory.
  std::vector<const Facts*> inputs_;
  std::vector<Facts> outputs_;
  std::vector<const Layout*> input_layouts_, output_layouts_;
  std::vector<const Tensor*> constants_;
  std::vector<View> views_;
  std::vector<const OutlinedNode*> planned_nodes_;  // by step; null where nothing may be shared
  std::vector<uint32_t> owned_outputs_;
  std::vector<uint32_t> cuts_;  // steps whose outputs might be rows of an input
  bool joins_ = false;          // some step puts its inputs side by side
  int64_t scratch_ = 0;
};

const char* place_name(Place place) {
  constexpr const char* kNames[] = {"nowhere", "constant", "input", "arena",
                                    "output",  "owned",    "alias"};
  return kNames[static_cast<int>(place)];
}

}  // namespace

std::unique_ptr<Plan> make_plan(const Outline& outline, std::span<const Layout> inputs) {
  static std::atomic<uint64_t> plans_made{0};
  std::unique_ptr<Plan> plan = Planner(outline, inputs).run();
  plan->id = ++plans_made;
  return plan;
}

const std::string& PlannedStep::name() const { return node->name(); }

std::string PlannedStep::op() const {
  return node->domain().empty() ? node->op_type() : node->domain() + "::" + node->op_type();
}

StepCost Plan::cost(const PlannedStep& step) const {
  if (step.dynamic || !step.run) return {};
  std::vector<const Layout*> from, to;
  std::vector<const Tensor*> known;
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    const uint32_t id = step.inputs[i];
    from.push_back(id == kNone ? nullptr : &layouts[id]);
    known.push_back(nullptr);
    if (id == kNone || values[id].place != Place::constant) continue;
    known.back() = step.node->input(i)->constant();
    for (const Tensor& made : constants)
      if (!known.back() && made.raw() == values[id].constant) known.back() = &made;
  }
  for (const uint32_t id : step.outputs) to.push_back(id == kNone ? nullptr : &layouts[id]);
  const PrepareContext ctx(*step.node, from, known, to);
  const Traffic traffic = step.node->op().traffic(ctx);
  return {step.node->op().flops(ctx) + step.counted_flops, traffic.values, traffic.constants};
}

bool Plan::takes_over(std::size_t i, const Tensor& into, std::span<const Datum> given) const {
  if (caches[i] < 0) return false;
  const Datum& past = given[static_cast<std::size_t>(caches[i])];
  return past.is_tensor() && into.raw() && past.tensor().raw() == into.raw();
}

std::string Plan::to_string(const Graph& graph) const {
  const std::vector<Value*> named = graph.values();
  std::ostringstream out;
  out << "arena " << arena_bytes << " bytes (" << value_bytes << " without sharing), "
      << steps.size() << " steps\n";
  for (std::size_t i = 0; i < values.size(); ++i) {
    const PlannedValue& value = values[i];
    if (value.place == Place::nowhere || value.place == Place::constant) continue;
    out << "  " << named[i]->name() << ": " << layouts[i].dtype;
    if (layouts[i].known) out << layouts[i].shape;
    out << ' ' << place_name(value.place);
    if (value.place == Place::arena)
      out << " [" << value.offset << ", " << value.offset + value.bytes << ") steps "
          << value.first_step << ".." << value.last_step;
    if (value.place == Place::alias)
      out << " of " << named[value.alias_of]->name() << " at byte " << value.offset;
    if (const Rows& rows = layouts[i].rows; rows.apart())
      out << " in rows of " << rows.length << " every " << rows.step;
    out << '\n';
  }
  for (std::size_t s = 0; s < steps.size(); ++s)
    out << "  step " << s << ": " << steps[s].op() << " '" << steps[s].name() << "'"
        << (steps[s].dynamic ? " (dynamic)" : "") << '\n';
  return out.str();
}

}  // namespace sdx::plan
