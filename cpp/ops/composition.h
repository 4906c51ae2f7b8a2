// What operators share that are made of others: nodes put in their place at load.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace sdx::ops {

// An operator that `expand` always replaces.
class Composition : public Op {
 public:
  Step prepare(PrepareContext& ctx) const final;
};

using AttributeList = std::initializer_list<std::pair<const char*, AttributeValue>>;

Attributes attributes(AttributeList list);

// Adds what a node is made of in front of it.
struct Expander {
  Graph& graph;
  Node& node;

  // The first output of a new node.
  Value* add(NodeSpec spec) const;
  // A new node of so many outputs.
  Node* add_node(NodeSpec spec, std::size_t outputs) const;
  // The first output of an operator of the standard in the form of opset 13, unless another
  // is named.
  Value* add(std::string type, std::vector<Value*> inputs, AttributeList attrs = {},
             int opset = 13) const;
  Value* constant(Tensor tensor) const { return graph.add_constant("", std::move(tensor)); }
  Value* integers(std::span<const int64_t> items) const;
  Value* integers(std::initializer_list<int64_t> items) const {
    return integers(std::span(items.begin(), items.size()));
  }
  // The value itself where it has the type.
  Value* cast(Value* value, DType to) const;
  // A constant of rank 0 and a float type.
  Value* scalar(DType dtype, double value) const;
  // The size of axis `axis`, as a vector of one element or as a number.
  Value* size(Value* value, int64_t axis) const;
  Value* number_of(Value* value, int64_t axis) const { return add("Squeeze", {size(value, axis)}); }
  // The channels, axis 1, moved to the last place, or back. The rank has to be known.
  Value* channels_last(Value* value) const;
  Value* channels_first(Value* value) const;

  // Input i, which the node cannot do without.
  Value* input(std::size_t i) const;
  // What takes the place of output i; nothing where the output is left out.
  void finish(std::size_t i, Value* value) const;
};

}  // namespace sdx::ops
