// A graph of nodes and the values between them. Subgraphs are graphs; what they use from outside is
// passed to them as further inputs, so that no graph ever looks beyond itself.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/lineage.h"
#include "ir/op.h"

namespace sdx {

class Value {
 public:
  const std::string& name() const { return name_; }
  const Facts& facts() const { return facts_; }
  const Type& type() const { return facts_.type; }
  // Null unless the value is a constant.
  const Tensor* constant() const { return facts_.constant.get(); }
  bool is_constant() const { return facts_.constant != nullptr; }
  // The node that computes it; null for graph inputs and constants.
  Node* producer() const { return producer_; }
  int output_index() const { return output_index_; }
  // One entry per use, a node twice if it uses the value twice. Graph outputs are no uses.
  const std::vector<Node*>& users() const { return users_; }
  bool is_graph_input() const { return is_graph_input_; }
  bool is_graph_output() const { return graph_output_count_ > 0; }
  // Used by one node once and not a graph output.
  bool has_single_use() const { return users_.size() == 1 && graph_output_count_ == 0; }
  // Position in Graph::values() after compact().
  uint32_t index() const { return index_; }

  void set_name(std::string name) { name_ = std::move(name); }
  void set_facts(Facts facts) { facts_ = std::move(facts); }
  void set_type(Type type) { facts_.type = std::move(type); }

 private:
  friend class Graph;
  std::string name_;
  Facts facts_;
  Node* producer_ = nullptr;
  int output_index_ = 0;
  std::vector<Node*> users_;
  bool is_graph_input_ = false;
  int graph_output_count_ = 0;
  uint32_t index_ = 0;
};

class Node {
 public:
  const std::string& name() const { return name_; }
  const std::string& op_type() const { return op_type_; }
  const std::string& domain() const { return domain_; }
  int opset() const { return opset_; }
  const Attributes& attrs() const { return attrs_; }
  const Op& op() const { return *op_; }
  const OpTraits& traits() const { return entry_->traits; }
  // Whether this is operator `op_type` of `domain`.
  bool is(std::string_view op_type, std::string_view domain = "") const {
    return op_type_ == op_type && domain_ == domain;
  }
  // Null where an optional one is left out; input(i) is null beyond the list too.
  const std::vector<Value*>& inputs() const { return inputs_; }
  const std::vector<Value*>& outputs() const { return outputs_; }
  Value* input(std::size_t i) const { return i < inputs_.size() ? inputs_[i] : nullptr; }
  Value* output(std::size_t i) const { return i < outputs_.size() ? outputs_[i] : nullptr; }
  // How many inputs, last in the list, are there for subgraphs only.
  int capture_count() const { return capture_count_; }
  // Its number in the graph's lineage.
  uint32_t serial() const { return serial_; }
  // The graphs among the attributes, by attribute name.
  std::vector<std::pair<std::string, Graph*>> subgraphs() const;
  // "node 'enc/0/scores' (MatMul, opset 13)": the place that errors name.
  std::string place() const;

  // Made at load, after the passes.
  std::vector<Packed> packed;
  std::vector<int> released_inputs;
  int64_t packed_bytes = 0;
  std::map<std::string, std::unique_ptr<Program>, std::less<>> programs;

 private:
  friend class Graph;
  std::string name_, op_type_, domain_;
  int opset_ = 0;
  Attributes attrs_;
  const OpEntry* entry_ = nullptr;
  std::unique_ptr<Op> op_;
  std::vector<Value*> inputs_, outputs_;
  int capture_count_ = 0;
  uint32_t serial_ = 0;
  std::list<std::unique_ptr<Node>>::iterator position_;
};

// What a new node is made from. Outputs are new values, one for each name; "" leaves one out.
struct NodeSpec {
  std::string op_type;
  std::vector<Value*> inputs;
  Attributes attrs = {};
  std::string domain = "";
  std::string name = "";
  std::vector<std::string> outputs = {""};  // names; an only "" gives one value with a made-up name
  int opset = 0;                            // 0: what the graph imports for the domain
  int capture_count = 0;
};

class Graph {
 public:
  // `registry` must outlive the graph.
  explicit Graph(const OpRegistry& registry) : registry_(&registry) {}
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  const OpRegistry& registry() const { return *registry_; }
  std::string name;
  // Versions by domain ("" for ai.onnx). Domains of our own ("sardonyx") need no entry.
  std::map<std::string, int, std::less<>> opsets;

  // --- reading
  const std::vector<Value*>& inputs() const { return inputs_; }
  const std::vector<Value*>& outputs() const { return outputs_; }
  // The names users know the outputs by, whatever value now holds them.
  const std::vector<std::string>& output_names() const { return output_names_; }
  // In order of execution; a snapshot, so a pass may edit while it walks.
  std::vector<Node*> nodes() const;
  std::size_t node_count() const { return nodes_.size(); }
  // All values, by index after compact().
  std::vector<Value*> values() const;
  const Lineage& lineage() const { return lineage_; }
  // Null where no value has that name.
  Value* find_value(std::string_view name) const;

  // --- building
  Value* add_input(std::string name, Type type);
  Value* add_constant(std::string name, Tensor tensor);
  // A value no node makes yet; give it to add_node_with_outputs. For readers.
  Value* add_value(std::string name, Type type = {});
  void add_output(Value* value, std::string name = "");
  // Makes a node at the end, constructs its operator and infers its outputs' types.
  // Throws `unsupported` where the registry has no such operator or version.
  Node* add(NodeSpec spec) { return insert(nodes_.end(), std::move(spec), nullptr); }
  // The same in front of `position`.
  Node* insert_before(Node* position, NodeSpec spec) {
    return insert(position->position_, std::move(spec), nullptr);
  }
  // For readers: outputs are existing values (null: left out), types are not inferred.
  Node* add_with_outputs(NodeSpec spec, std::vector<Value*> outputs) {
    return insert(nodes_.end(), std::move(spec), &outputs);
  }

  // --- editing
  // Every user and graph output of `from` takes `to` instead. Refuses types that differ in kind or
  // element type, or in known dimensions.
  void replace_uses(Value* from, Value* to);
  void set_input(Node* node, std::size_t i, Value* value);
  // Appends an input captured for the node's subgraphs.
  void add_capture(Node* node, Value* value);
  // Takes input i, a capture, off the node.
  void erase_capture(Node* node, std::size_t i);
  // Takes nodes that nothing uses, and values without users, out; true if there were any.
  // Graph inputs stay.
  bool erase_dead();
  // Takes one node out; its outputs must have no uses.
  void erase(Node* node);
  // Turns a node's output (or an input) into a constant, dropping the producer's claim to it.
  void make_constant(Value* value, Tensor tensor);
  // Drops graph input i, which must have no users: for captured constants pushed inside.
  void erase_input(std::size_t i);
  // Orders nodes so that producers come before users; throws `invalid_model` on a cycle.
  void sort();
  // Numbers values 0..n-1 (inputs first, then constants, then node outputs in order).
  void compact();

 private:
  using Position = std::list<std::unique_ptr<Node>>::iterator;
  Node* insert(Position where, NodeSpec spec, const std::vector<Value*>* outputs);
  void unlink_use(Value* value, Node* user);
  std::string fresh_name(std::string_view stem);

  const OpRegistry* registry_;
  std::vector<std::unique_ptr<Value>> values_;
  std::list<std::unique_ptr<Node>> nodes_;
  std::vector<Value*> inputs_, outputs_;
  std::vector<std::string> output_names_;
  Lineage lineage_;
  int64_t names_made_ = 0;
};

}  // namespace sdx
