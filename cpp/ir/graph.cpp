#include "ir/graph.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "ir/infer.h"

namespace sdx {

std::vector<std::pair<std::string, Graph*>> Node::subgraphs() const {
  std::vector<std::pair<std::string, Graph*>> found;
  for (const auto& [name, value] : attrs_.all())
    if (const auto* graph = std::get_if<std::shared_ptr<Graph>>(&value))
      found.emplace_back(name, graph->get());
  return found;
}

std::string Node::place() const {
  std::ostringstream out;
  out << "node '" << name_ << "' (";
  if (!domain_.empty()) out << domain_ << "::";
  out << op_type_;
  if (opset_ > 0) out << ", opset " << opset_;
  out << ')';
  return out.str();
}

std::vector<Node*> Graph::nodes() const {
  std::vector<Node*> result;
  result.reserve(nodes_.size());
  for (const auto& node : nodes_) result.push_back(node.get());
  return result;
}

std::vector<Value*> Graph::values() const {
  std::vector<Value*> result;
  result.reserve(values_.size());
  for (const auto& value : values_) result.push_back(value.get());
  return result;
}

Value* Graph::find_value(std::string_view name) const {
  for (const auto& value : values_)
    if (value->name_ == name) return value.get();
  return nullptr;
}

std::string Graph::fresh_name(std::string_view stem) {
  return std::string(stem) + "_" + std::to_string(++names_made_);
}

Value* Graph::add_value(std::string name, Type type) {
  auto& value = values_.emplace_back(std::make_unique<Value>());
  value->name_ = std::move(name);
  value->facts_.type = std::move(type);
  value->index_ = static_cast<uint32_t>(values_.size() - 1);
  return value.get();
}

Value* Graph::add_input(std::string name, Type type) {
  Value* value = add_value(std::move(name), std::move(type));
  value->is_graph_input_ = true;
  inputs_.push_back(value);
  return value;
}

Value* Graph::add_constant(std::string name, Tensor tensor) {
  Value* value = add_value(name.empty() ? fresh_name("constant") : std::move(name));
  value->facts_ = Facts::of(std::move(tensor));
  return value;
}

void Graph::add_output(Value* value, std::string name) {
  outputs_.push_back(value);
  output_names_.push_back(name.empty() ? value->name_ : std::move(name));
  ++value->graph_output_count_;
}

Node* Graph::insert(Position where, NodeSpec spec, const std::vector<Value*>* outputs) {
  auto node = std::make_unique<Node>();
  node->op_type_ = std::move(spec.op_type);
  node->domain_ = spec.domain == "ai.onnx" ? "" : std::move(spec.domain);
  node->opset_ = spec.opset;
  if (node->opset_ == 0) {
    const auto imported = opsets.find(node->domain_);
    if (imported != opsets.end()) node->opset_ = imported->second;
  }
  node->name_ = spec.name.empty() ? fresh_name(node->op_type_) : std::move(spec.name);
  const Node* reason = where == nodes_.end() ? nullptr : where->get();
  node->serial_ = outputs ? lineage_.add_original(node->name_)
                          : lineage_.add_made(reason ? reason->serial_ : Lineage::kNone);
  // A rewrite names a node after the one it makes anew.
  if (!outputs && reason && reason->name_ == node->name_)
    lineage_.succeed(reason->serial_, node->serial_);
  node->attrs_ = std::move(spec.attrs);
  node->inputs_ = std::move(spec.inputs);
  node->capture_count_ = spec.capture_count;

  node->entry_ = registry_->find(node->domain_, node->op_type_);
  const std::string full = node->domain_.empty() ? node->op_type_ : node->domain_ + "::" + node->op_type_;
  if (!node->entry_) {
    const std::string nearest = registry_->nearest(node->domain_, node->op_type_);
    fail(ErrorKind::unsupported, node->place(), ": operator ", full, " is not supported",
         nearest.empty() ? "" : "; the nearest known one is ", nearest);
  }
  if (node->opset_ > 0 && node->opset_ < node->entry_->traits.since)
    fail(ErrorKind::unsupported, node->place(), ": ", full, " is supported from opset ",
         node->entry_->traits.since);
  const int output_count =
      static_cast<int>(outputs ? outputs->size() : spec.outputs.size());
  try {
    node->op_ = node->entry_->make(OpInit{node->attrs_, node->opset_, node->domain_, node->op_type_,
                                          static_cast<int>(node->inputs_.size()) - node->capture_count_,
                                          output_count});
  } catch (...) {
    rethrow_at(node->place());
  }

  Node* raw = node.get();
  for (Value* input : raw->inputs_)
    if (input) input->users_.push_back(raw);
  if (outputs) {
    raw->outputs_ = *outputs;
  } else {
    for (std::string& name : spec.outputs) {
      const bool left_out = name.empty() && spec.outputs.size() > 1;
      if (name.empty()) name = fresh_name(raw->op_type_);
      raw->outputs_.push_back(left_out ? nullptr : add_value(std::move(name)));
    }
  }
  for (std::size_t i = 0; i < raw->outputs_.size(); ++i) {
    Value* output = raw->outputs_[i];
    if (!output) continue;
    check(output->producer_ == nullptr, raw->place(), ": value '", output->name_,
          "' is computed twice");
    output->producer_ = raw;
    output->output_index_ = static_cast<int>(i);
  }
  raw->position_ = nodes_.insert(where, std::move(node));
  if (!outputs) infer_node(*raw);
  return raw;
}

void Graph::unlink_use(Value* value, Node* user) {
  auto& users = value->users_;
  const auto found = std::find(users.begin(), users.end(), user);
  if (found != users.end()) users.erase(found);
}

void Graph::replace_uses(Value* from, Value* to) {
  if (from == to) return;
  const Type &a = from->type(), &b = to->type();
  check(!a.is_known() || !b.is_known() || (a.kind == b.kind && a.dtype == b.dtype), "value '",
        from->name_, "' of type ", a, " cannot be replaced by '", to->name_, "' of type ", b);
  if (a.shape && b.shape) {
    bool fits = a.shape->size() == b.shape->size();
    for (std::size_t i = 0; fits && i < a.shape->size(); ++i)
      fits = !(*a.shape)[i].is_known() || !(*b.shape)[i].is_known() || (*a.shape)[i] == (*b.shape)[i];
    check(fits, "value '", from->name_, "' of type ", a, " cannot be replaced by '", to->name_,
          "' of type ", b);
  }
  if (from->producer_ && to->producer_)
    lineage_.succeed(from->producer_->serial_, to->producer_->serial_);
  for (Node* user : from->users_) {
    for (Value*& input : user->inputs_) {
      if (input != from) continue;
      input = to;
      to->users_.push_back(user);
    }
  }
  from->users_.clear();
  for (Value*& output : outputs_) {
    if (output != from) continue;
    output = to;
    --from->graph_output_count_;
    ++to->graph_output_count_;
  }
}

void Graph::set_input(Node* node, std::size_t i, Value* value) {
  if (i >= node->inputs_.size()) node->inputs_.resize(i + 1);
  Value* old = node->inputs_[i];
  node->inputs_[i] = value;
  if (old) unlink_use(old, node);
  if (value) value->users_.push_back(node);
}

void Graph::add_capture(Node* node, Value* value) {
  node->inputs_.push_back(value);
  ++node->capture_count_;
  value->users_.push_back(node);
}

void Graph::erase_capture(Node* node, std::size_t i) {
  unlink_use(node->inputs_[i], node);
  node->inputs_.erase(node->inputs_.begin() + static_cast<std::ptrdiff_t>(i));
  --node->capture_count_;
}

void Graph::erase(Node* node) {
  for (Value* output : node->outputs_) {
    if (!output) continue;
    check(output->users_.empty() && output->graph_output_count_ == 0, "value '", output->name_,
          "' is still used");
    output->producer_ = nullptr;
  }
  for (Value* input : node->inputs_) {
    if (!input) continue;
    unlink_use(input, node);
    // What computed for this node alone goes the way of this node.
    if (input->producer_ && input->users_.empty() && input->graph_output_count_ == 0)
      lineage_.succeed(input->producer_->serial_, node->serial_);
  }
  nodes_.erase(node->position_);
}

bool Graph::erase_dead() {
  const auto dead = [](const Value* value) {
    return !value || (value->users_.empty() && value->graph_output_count_ == 0);
  };
  bool changed = false;
  for (auto it = nodes_.end(); it != nodes_.begin();) {
    --it;
    Node* node = it->get();
    if (!std::all_of(node->outputs_.begin(), node->outputs_.end(), dead)) continue;
    ++it;
    erase(node);
    changed = true;
  }
  const std::size_t before = values_.size();
  // Outputs nobody uses of nodes that stay keep their value: the node still writes it.
  std::erase_if(values_, [&](const auto& value) {
    return dead(value.get()) && !value->is_graph_input_ && !value->producer_;
  });
  return changed || values_.size() != before;
}

void Graph::make_constant(Value* value, Tensor tensor) {
  if (value->producer_) {
    for (Value*& output : value->producer_->outputs_)
      if (output == value) output = nullptr;
    value->producer_ = nullptr;
  }
  if (value->is_graph_input_) {
    std::erase(inputs_, value);
    value->is_graph_input_ = false;
  }
  value->facts_ = Facts::of(std::move(tensor));
}

void Graph::erase_input(std::size_t i) {
  Value* value = inputs_[i];
  check(value->users_.empty() && value->graph_output_count_ == 0, "input '", value->name_,
        "' is still used");
  value->is_graph_input_ = false;
  inputs_.erase(inputs_.begin() + static_cast<std::ptrdiff_t>(i));
}

void Graph::sort() {
  // Kahn's algorithm, keeping the given order among nodes that are ready.
  std::unordered_map<const Node*, std::size_t> waiting;
  std::vector<Node*> ready;
  for (const auto& node : nodes_) {
    std::size_t count = 0;
    for (const Value* input : node->inputs_) count += input && input->producer_;
    waiting[node.get()] = count;
  }
  std::unordered_map<const Node*, std::size_t> rank;
  for (const auto& node : nodes_) rank.emplace(node.get(), rank.size());
  const auto later = [&](const Node* a, const Node* b) { return rank[a] > rank[b]; };
  for (const auto& node : nodes_)
    if (waiting[node.get()] == 0) ready.push_back(node.get());
  std::make_heap(ready.begin(), ready.end(), later);
  std::list<std::unique_ptr<Node>> sorted;
  while (!ready.empty()) {
    std::pop_heap(ready.begin(), ready.end(), later);
    Node* node = ready.back();
    ready.pop_back();
    sorted.splice(sorted.end(), nodes_, node->position_);
    for (const Value* output : node->outputs_) {
      if (!output) continue;
      for (Node* user : output->users_) {
        if (--waiting[user] > 0) continue;
        ready.push_back(user);
        std::push_heap(ready.begin(), ready.end(), later);
      }
    }
  }
  const std::string stuck = nodes_.empty() ? "" : nodes_.front()->place();
  sorted.splice(sorted.end(), nodes_);
  nodes_ = std::move(sorted);
  check(stuck.empty(), stuck, ": the graph has a cycle through this node");
}

void Graph::compact() {
  std::unordered_map<const Value*, std::size_t> order;
  for (const Value* input : inputs_) order.emplace(input, order.size());
  for (const auto& value : values_)
    if (!value->producer_) order.emplace(value.get(), order.size());
  for (const auto& node : nodes_)
    for (const Value* output : node->outputs_)
      if (output) order.emplace(output, order.size());
  std::erase_if(values_, [&](const auto& value) { return !order.contains(value.get()); });
  std::sort(values_.begin(), values_.end(), [&](const auto& a, const auto& b) {
    return order[a.get()] < order[b.get()];
  });
  for (std::size_t i = 0; i < values_.size(); ++i)
    values_[i]->index_ = static_cast<uint32_t>(i);
}

}  // namespace sdx
