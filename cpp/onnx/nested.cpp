// GraphBuilder's part on what nests: subgraphs, and functions that are inlined.
#include "onnx/attribute_values.h"
#include "onnx/graph_builder.h"
#include "onnx/types.h"

namespace sdx::onnx {
namespace {

// The first version of Identity that takes values of every type.
constexpr int kIdentityOpset = 16;

}  // namespace

std::vector<GraphBuilder::Capture> GraphBuilder::captures(const Scope& scope,
                                                          const NodeMessage& node) const {
  std::vector<Capture> captured;
  std::unordered_set<std::string_view> seen;
  for (const AttributeMessage& attribute : node.attributes)
    for (const auto& graph : attribute.graphs)
      for (const std::string_view name : graph->free_names) {
        // A name defined nowhere is left to the node inside that uses it.
        const auto found = scope.values.find(name);
        if (found != scope.values.end() && seen.insert(name).second)
          captured.push_back({name, found->second});
      }
  return captured;
}

std::shared_ptr<Graph> GraphBuilder::subgraph(const Scope& outer, const GraphMessage& message,
                                              const std::vector<Capture>& captures,
                                              std::size_t single_inputs) {
  auto graph = std::make_shared<Graph>(registry_);
  graph->name = message.name;
  graph->opsets = outer.imports;
  graph->opsets.insert(operators_.imports().begin(), operators_.imports().end());
  Scope scope{*graph, outer.imports, outer.call_attributes};
  declare(scope, message.value_info, /*is_main=*/false);
  declare(scope, message.outputs, /*is_main=*/false);
  add_initializers(scope, message);
  for (const ValueMessage& input : message.inputs) {
    // Files before IR version 4 list initializers after the formal inputs.
    const auto found = scope.values.find(input.name);
    if (found != scope.values.end() && found->second->is_constant()) continue;
    Type type = parse_type_of(input.name, input.type);
    const auto shape = type.known_shape();
    const bool is_single = shape && element_count(*shape) == 1;
    if (!is_single || graph->inputs().size() >= single_inputs)
      type = without_shapes(std::move(type));
    bind(scope, input.name, graph->add_input(std::string(input.name), std::move(type)));
  }
  const std::unordered_set<std::string_view> used(message.free_names.begin(),
                                                  message.free_names.end());
  for (const Capture& capture : captures) {
    const bool is_used = used.contains(capture.name);
    std::string name(capture.name);
    Value* value = nullptr;
    if (capture.value && capture.value->is_constant()) {
      if (is_used) value = graph->add_constant(std::move(name), *capture.value->constant());
    } else if (capture.value) {
      // All subgraphs of a node take the same inputs; one of its own may have this name.
      if (!is_used) name += "@outer";
      value = graph->add_input(std::move(name), capture.value->type());
    }
    if (is_used) bind(scope, capture.name, value);
  }
  add_values(scope, message.nodes, {});
  add_nodes(scope, message.nodes);
  add_outputs(scope, message);
  return graph;
}

std::string GraphBuilder::unique_prefix(const std::string& name) {
  const int before = prefixes_[name]++;
  if (before == 0) return name + "/";
  return unique_prefix(name + "_" + std::to_string(before));
}

Attributes GraphBuilder::call_attributes(const Scope& scope, const NodeMessage& node,
                                         const FunctionMessage& function) {
  Attributes given = attributes(scope, node);
  for (const AttributeMessage& attribute : node.attributes)
    if (!attribute.graphs.empty())
      fail(ErrorKind::unsupported, "attribute '", attribute.name,
           "': graphs as attributes of functions are not supported");
  for (const AttributeMessage& attribute : function.defaults)
    if (!given.has(attribute.name))
      given.set(std::string(attribute.name), parse_attribute_value(attribute, tensors_));
  return given;
}

GraphBuilder::Values GraphBuilder::bind_call(const Scope& scope, const NodeMessage& node,
                                             const FunctionMessage& function, Scope& body) {
  check(node.inputs.size() <= function.inputs.size(), node.inputs.size(),
        " inputs for a function that takes ", function.inputs.size());
  check(node.outputs.size() <= function.outputs.size(), node.outputs.size(),
        " outputs of a function that gives ", function.outputs.size());
  for (std::size_t i = 0; i < function.inputs.size(); ++i) {
    const bool given = i < node.inputs.size() && !node.inputs[i].empty();
    bind(body, function.inputs[i], given ? find(scope, node.inputs[i]) : nullptr);
  }
  Values results;
  for (std::size_t i = 0; i < node.outputs.size(); ++i)
    if (!node.outputs[i].empty())
      results.emplace(function.outputs[i], scope.values.at(node.outputs[i]));
  return results;
}

void GraphBuilder::return_value(Scope& body, std::string_view name, Value* result) {
  Value* value = find(body, name);
  if (value == result) return;
  check(value != nullptr, "the function returns its input '", name, "', which is left out");
  body.graph.add_with_outputs({.op_type = "Identity",
                               .inputs = {value},
                               .name = body.prefix + std::string(name),
                               .opset = kIdentityOpset},
                              {result});
}

void GraphBuilder::inline_call(Scope& scope, const NodeMessage& node, const std::string& name,
                               const FunctionMessage& function) {
  Scope body{scope.graph, function.opsets};
  body.prefix = unique_prefix(name);
  Attributes given;
  try {
    given = call_attributes(scope, node, function);
    body.call_attributes = &given;
    const Values results = bind_call(scope, node, function, body);
    declare(body, function.value_info, /*is_main=*/false);
    add_values(body, function.nodes, results);
  } catch (...) {
    rethrow_at(place(scope, node, name));
  }
  add_nodes(body, function.nodes);
  try {
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      if (!node.outputs[i].empty())
        return_value(body, function.outputs[i], scope.values.at(node.outputs[i]));
  } catch (...) {
    rethrow_at(place(scope, node, name));
  }
  scope.unsorted = scope.unsorted || body.unsorted;
}

}  // namespace sdx::onnx
