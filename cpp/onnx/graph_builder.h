// Messages -> Graph: names become values, functions are inlined, subgraphs get what they use from
// outside as further inputs.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/graph.h"
#include "onnx/messages.h"
#include "onnx/operators.h"
#include "onnx/reader.h"
#include "onnx/tensors.h"

namespace sdx::onnx {

class GraphBuilder {
 public:
  // Reads what `message` says into `model`: its graph, inputs, outputs, defaults and parameters.
  GraphBuilder(const ModelMessage& message, const Operators& operators, const OpRegistry& registry,
               TensorReader& tensors, const ReadOptions& options, Model& model)
      : message_(message),
        operators_(operators),
        registry_(registry),
        tensors_(tensors),
        options_(options),
        model_(model) {}

  // The graph of the model, with types not yet inferred.
  std::unique_ptr<Graph> build();

 private:
  using Values = std::unordered_map<std::string_view, Value*>;
  // Where names are looked up: a graph, or a function's body put into one.
  struct Scope {
    Graph& graph;
    const OpsetImports& imports;
    const Attributes* call_attributes = nullptr;  // null outside functions
    std::string prefix = {};                      // of names; empty outside functions
    Values values = {};                           // null: left out by the caller
    std::unordered_map<std::string_view, Type> declared = {};
    bool unsorted = false;  // a node came before one whose output it takes
  };
  // A name that subgraphs of a node use, and the value it has outside.
  struct Capture {
    std::string_view name;
    Value* value;
  };

  void bind(Scope& scope, std::string_view name, Value* value);
  Value* find(const Scope& scope, std::string_view name) const;
  // Notes what the file says of inner values. Tools that edit models leave old dimensions behind,
  // and exporters write those of the first iteration into loops: what a wrong one would break, an
  // absent one does not. So only ranks are taken, and inside subgraphs and functions not even
  // those.
  void declare(Scope& scope, const std::vector<ValueMessage>& infos, bool is_main);

  void add_initializers(Scope& scope, const GraphMessage& message);
  void add_inputs(Scope& scope, const GraphMessage& message);
  // Constants are dense; where the model puts one out as a sparse tensor, a node makes it one.
  void make_sparse_outputs(Scope& scope);
  void add_outputs(Scope& scope, const GraphMessage& message);
  // Makes the values that nodes compute. Those named in `results` exist already: they are the
  // outputs of the call that is inlined.
  void add_values(Scope& scope, const std::vector<NodeMessage>& nodes, const Values& results);
  void add_nodes(Scope& scope, const std::vector<NodeMessage>& nodes);
  void add_operator(Scope& scope, const NodeMessage& node, const std::string& name);
  void make_constant(Scope& scope, const NodeMessage& node);

  void inline_call(Scope& scope, const NodeMessage& node, const std::string& name,
                   const FunctionMessage& function);
  Attributes call_attributes(const Scope& scope, const NodeMessage& node,
                             const FunctionMessage& function);
  Values bind_call(const Scope& scope, const NodeMessage& node, const FunctionMessage& function,
                   Scope& body);
  // Gives the value that the body calls `name` to the caller as `result`.
  void return_value(Scope& body, std::string_view name, Value* result);
  std::string unique_prefix(const std::string& name);

  Attributes attributes(const Scope& scope, const NodeMessage& node);
  std::vector<Capture> captures(const Scope& scope, const NodeMessage& node) const;
  // Declared shapes of inputs are not believed, but that of one element for the first
  // `single_inputs`.
  std::shared_ptr<Graph> subgraph(const Scope& outer, const GraphMessage& message,
                                  const std::vector<Capture>& captures, std::size_t single_inputs);
  std::string place(const Scope& scope, const NodeMessage& node, const std::string& name) const;

  const ModelMessage& message_;
  const Operators& operators_;
  const OpRegistry& registry_;
  TensorReader& tensors_;
  const ReadOptions& options_;
  Model& model_;
  std::unordered_map<std::string, int> prefixes_;  // and how often each was asked for
  int depth_ = 0;
};

}  // namespace sdx::onnx
