#include "onnx/graph_builder.h"

#include "onnx/attribute_values.h"
#include "onnx/types.h"

namespace sdx::onnx {
namespace {

// Subgraphs and calls in one another.
constexpr int kMaxDepth = 2 * kMaxCallDepth;

bool is_constant_node(const NodeMessage& node) {
  return node.op_type == "Constant" && node.domain.empty() && node.outputs.size() == 1 &&
         !node.outputs[0].empty();
}

// The list without what is left out at its end.
std::vector<Value*> trimmed(std::vector<Value*> values) {
  while (!values.empty() && !values.back()) values.pop_back();
  return values;
}

}  // namespace

void GraphBuilder::bind(Scope& scope, std::string_view name, Value* value) {
  check(scope.values.emplace(name, value).second, "value '", name, "' is defined twice");
}

Value* GraphBuilder::find(const Scope& scope, std::string_view name) const {
  const auto found = scope.values.find(name);
  check(found != scope.values.end(), "'", name,
        "' is neither an input, an initializer nor the output of a node");
  return found->second;
}

void GraphBuilder::declare(Scope& scope, const std::vector<ValueMessage>& infos, bool is_main) {
  for (const ValueMessage& info : infos) {
    Type type = parse_type_of(info.name, info.type);
    type = is_main ? without_dims(std::move(type)) : without_shapes(std::move(type));
    if (type.is_known()) scope.declared.insert_or_assign(info.name, std::move(type));
  }
}

std::unique_ptr<Graph> GraphBuilder::build() {
  auto graph = std::make_unique<Graph>(registry_);
  graph->name = message_.graph.name;
  graph->opsets = operators_.imports();
  Scope scope{*graph, operators_.imports()};
  declare(scope, message_.graph.value_info, true);
  declare(scope, message_.graph.outputs, true);
  add_initializers(scope, message_.graph);
  add_inputs(scope, message_.graph);
  add_values(scope, message_.graph.nodes, {});
  add_nodes(scope, message_.graph.nodes);
  make_sparse_outputs(scope);
  add_outputs(scope, message_.graph);
  return graph;
}

void GraphBuilder::make_sparse_outputs(Scope& scope) {
  for (const ValueMessage& output : message_.graph.outputs) {
    const auto found = scope.values.find(output.name);
    if (found == scope.values.end() || !found->second || !found->second->is_constant()) continue;
    if (parse_type_of(output.name, output.type).kind != Type::Kind::sparse_tensor) continue;
    const std::string name(output.name);
    NodeSpec spec{.op_type = "ToSparse", .inputs = {found->second}, .domain = "sardonyx"};
    spec.name = name;
    found->second = scope.graph.add(std::move(spec))->output(0);
  }
}

void GraphBuilder::add_initializers(Scope& scope, const GraphMessage& message) {
  const auto add = [&](const TensorMessage& initializer, bool sparse) {
    const std::string name(initializer.name);
    try {
      check(!name.empty(), "no name");
      const auto given = options_.initializers.find(name);
      Tensor tensor;
      if (given != options_.initializers.end())
        tensor = given->second;
      else
        tensor = sparse ? tensors_.read_sparse(initializer.body) : tensors_.read(initializer.body);
      model_.parameters += tensor.count();
      model_.parameter_bytes += (tensor.count() * file_bits(tensor.dtype()) + 7) / 8;
      bind(scope, initializer.name, scope.graph.add_constant(name, std::move(tensor)));
    } catch (...) {
      rethrow_at("initializer '" + name + "'");
    }
  };
  for (const TensorMessage& initializer : message.initializers) add(initializer, false);
  for (const TensorMessage& initializer : message.sparse_initializers) add(initializer, true);
}

namespace {

// No name in a file is in parentheses: they are read as an expression.
constexpr std::string_view kOpenDim = "(open_dim_";

// A dimension that the file leaves open is one number in a run: a symbol of its own says so.
Type with_open_dims_named(Type type, std::size_t input) {
  if (!type.is_tensor() || !type.shape) return type;
  for (std::size_t axis = 0; axis < type.shape->size(); ++axis)
    if (Dim& dim = (*type.shape)[axis]; dim.is_unknown())
      dim = Dim::symbol(std::string(kOpenDim) + std::to_string(axis) + "_of_input_" +
                        std::to_string(input) + ")");
  return type;
}

}  // namespace

Type with_open_dims_unnamed(Type type) {
  if (type.element) type.element = std::make_shared<Type>(with_open_dims_unnamed(*type.element));
  if (!type.shape) return type;
  for (Dim& dim : *type.shape)
    if (dim.to_string().find(kOpenDim) != std::string::npos) dim = Dim::unknown();
  return type;
}

void GraphBuilder::add_inputs(Scope& scope, const GraphMessage& message) {
  for (const ValueMessage& input : message.inputs) {
    const std::string name(input.name);
    check(!name.empty(), "an input of the graph has no name");
    Type type = parse_type_of(input.name, input.type, options_.dims);
    const auto initializer = scope.values.find(input.name);
    if (initializer == scope.values.end()) {
      check(type.is_known(), "input '", name, "' has no type");
      bind(scope, input.name,
           scope.graph.add_input(name, with_open_dims_named(type, model_.inputs.size())));
      model_.inputs.push_back({name, std::move(type), false, parse_dim_names(input.type)});
      continue;
    }
    Value* value = initializer->second;
    check(value->is_constant() && !model_.defaults.contains(name), "input '", name,
          "' is defined twice");
    if (message_.ir_version < 4) continue;  // see ReadOptions
    const Tensor tensor = *value->constant();
    type = merge(type, value->type());
    model_.defaults.emplace(name, tensor);
    model_.inputs.push_back({name, type, true, parse_dim_names(input.type)});
    if (options_.freeze_defaults) continue;
    // The constant has no users yet and vanishes with the first clean-up.
    value->set_name(name + ".default");
    initializer->second = scope.graph.add_input(name, std::move(type));
  }
}

void GraphBuilder::add_outputs(Scope& scope, const GraphMessage& message) {
  for (const ValueMessage& output : message.outputs) {
    const auto found = scope.values.find(output.name);
    check(found != scope.values.end() && found->second, "output '", output.name,
          "' of the graph is not defined");
    scope.graph.add_output(found->second, std::string(output.name));
  }
  if (scope.unsorted) scope.graph.sort();
}

void GraphBuilder::add_values(Scope& scope, const std::vector<NodeMessage>& nodes,
                              const Values& results) {
  for (const NodeMessage& node : nodes) {
    for (const std::string_view name : node.outputs) {
      if (name.empty()) continue;
      const auto result = results.find(name);
      Value* value = result != results.end() ? result->second : nullptr;
      if (!value) {
        const auto declared = scope.declared.find(name);
        value = scope.graph.add_value(scope.prefix + std::string(name),
                                      declared != scope.declared.end() ? declared->second : Type());
      }
      bind(scope, name, value);
    }
    // At once, so that subgraphs see constants as what they are, in whatever order nodes come.
    if (is_constant_node(node)) make_constant(scope, node);
  }
}

void GraphBuilder::add_nodes(Scope& scope, const std::vector<NodeMessage>& nodes) {
  check(++depth_ <= kMaxDepth, "subgraphs and function calls are nested more than ", kMaxDepth,
        " deep");
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const NodeMessage& node = nodes[i];
    if (is_constant_node(node)) continue;
    std::string name = scope.prefix + std::string(node.name);
    if (node.name.empty()) name += std::string(node.op_type) + "_" + std::to_string(i);
    if (const FunctionMessage* function = operators_.function(node, scope.imports))
      inline_call(scope, node, name, *function);
    else
      add_operator(scope, node, name);
  }
  --depth_;
}

std::string GraphBuilder::place(const Scope& scope, const NodeMessage& node,
                                const std::string& name) const {
  return "node '" + name + "' (" + operator_name(node) + ", opset " +
         std::to_string(operators_.opset(node, scope.imports)) + ")";
}

void GraphBuilder::make_constant(Scope& scope, const NodeMessage& node) {
  try {
    Tensor tensor = constant_tensor(attributes(scope, node));
    if (scope.prefix.empty()) {
      model_.parameters += tensor.count();
      model_.parameter_bytes += (tensor.count() * file_bits(tensor.dtype()) + 7) / 8;
    }
    scope.graph.make_constant(scope.values.at(node.outputs[0]), std::move(tensor));
  } catch (...) {
    rethrow_at(place(scope, node, scope.prefix + std::string(node.name)));
  }
}

void GraphBuilder::add_operator(Scope& scope, const NodeMessage& node, const std::string& name) {
  NodeSpec spec;
  std::vector<Value*> outputs;
  try {
    for (const std::string_view output : node.outputs)
      outputs.push_back(output.empty() ? nullptr : scope.values.at(output));
    outputs = trimmed(std::move(outputs));
    if (outputs.empty()) return;  // nobody can see what it computes
    // The first output is there, wanted or not: of most operators it must be.
    if (!outputs[0]) outputs[0] = scope.graph.add_value(name + ".unused", Type());

    spec.op_type = node.op_type;
    spec.domain = node.domain;
    spec.name = name;
    spec.opset = operators_.opset(node, scope.imports);
    for (const std::string_view input : node.inputs)
      spec.inputs.push_back(input.empty() ? nullptr : find(scope, input));
    spec.inputs = trimmed(std::move(spec.inputs));
    spec.attrs = attributes(scope, node);

    const std::vector<Capture> captured = captures(scope, node);
    for (const Capture& capture : captured) {
      if (!capture.value || capture.value->is_constant()) continue;
      spec.inputs.push_back(capture.value);
      ++spec.capture_count;
    }
    // Iteration number and condition come to a loop's body as scalars or vectors, as it says.
    const std::size_t single_inputs = spec.op_type == "Loop" && spec.domain.empty() ? 2 : 0;
    for (const AttributeMessage& attribute : node.attributes) {
      std::vector<std::shared_ptr<Graph>> graphs;
      for (const auto& graph : attribute.graphs)
        graphs.push_back(subgraph(scope, *graph, captured, single_inputs));
      constexpr int64_t kGraphs = 10;
      if (attribute.type == kGraphs || graphs.size() > 1)
        spec.attrs.set(std::string(attribute.name), std::move(graphs));
      else if (!graphs.empty())
        spec.attrs.set(std::string(attribute.name), std::move(graphs[0]));
    }
    for (const Value* input : spec.inputs)
      if (input && !input->producer() && !input->is_constant() && !input->is_graph_input())
        scope.unsorted = true;
  } catch (...) {
    rethrow_at(place(scope, node, name));
  }
  scope.graph.add_with_outputs(std::move(spec), std::move(outputs));
}

Attributes GraphBuilder::attributes(const Scope& scope, const NodeMessage& node) {
  Attributes attributes;
  for (const AttributeMessage& attribute : node.attributes) {
    const std::string name(attribute.name);
    check(!name.empty(), "an attribute has no name");
    check(!attributes.has(name), "attribute '", name, "' is given twice");
    if (!attribute.reference.empty()) {
      check(scope.call_attributes != nullptr, "attribute '", name, "' refers to '",
            attribute.reference, "' of a function, but is in none");
      // One that the caller leaves out is left out here too.
      const auto& given = scope.call_attributes->all();
      if (const auto found = given.find(attribute.reference); found != given.end())
        attributes.set(name, found->second);
    } else if (attribute.graphs.empty()) {
      attributes.set(name, parse_attribute_value(attribute, tensors_));
    }
  }
  return attributes;
}

}  // namespace sdx::onnx
