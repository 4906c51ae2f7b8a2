#include "onnx/messages.h"

#include <unordered_set>

#include "base/error.h"
#include "onnx/wire.h"

namespace sdx::onnx {
namespace {

using Names = std::unordered_set<std::string_view>;

class Parser {
 public:
  ModelMessage model(std::string_view bytes);

 private:
  GraphMessage graph(std::string_view bytes, int depth);
  FunctionMessage function(std::string_view bytes);
  NodeMessage node(std::string_view bytes, int depth);
  AttributeMessage attribute(std::string_view bytes, int depth);

  int64_t nodes_ = 0;
  int64_t attributes_ = 0;
};

std::string_view text_field(std::string_view message, uint32_t field) {
  std::string_view text;
  for (Cursor c(message); c.next();)
    if (c.field() == field) text = c.text();
  return text;
}

std::pair<std::string, std::string> string_pair(std::string_view message) {
  return {std::string(text_field(message, 1)), std::string(text_field(message, 2))};
}

ValueMessage value_info(std::string_view bytes) {
  ValueMessage value;
  for (Cursor c(bytes); c.next();) {
    if (c.field() == 1) value.name = c.text();
    if (c.field() == 2) value.type = c.bytes();
  }
  return value;
}

void opset_import(std::string_view bytes, OpsetImports& imports) {
  std::string_view domain;
  int64_t version = 0;
  for (Cursor c(bytes); c.next();) {
    if (c.field() == 1) domain = c.text();
    if (c.field() == 2) version = c.integer();
  }
  if (domain == "ai.onnx") domain = "";
  // The standard counts its own sets from 1. What others write for theirs, such as 0 for a domain
  // of functions, is nothing to refuse.
  constexpr int64_t kMostVersions = 1'000'000;
  const int64_t first = domain.empty() || domain.starts_with("ai.onnx") ? 1 : -kMostVersions;
  check(version >= first && version <= kMostVersions, "opset_import of domain '", domain,
        "' has version ", version);
  const auto [at, added] = imports.emplace(domain, static_cast<int>(version));
  check(added || at->second == version, "domain '", domain, "' is imported twice, as versions ",
        at->second, " and ", version);
}

// Adds to `free` what `node` needs from outside `defined`.
void add_free_names(const NodeMessage& node, const Names& defined, Names& seen,
                    std::vector<std::string_view>& free) {
  const auto use = [&](std::string_view name) {
    if (!name.empty() && !defined.contains(name) && seen.insert(name).second) free.push_back(name);
  };
  for (const std::string_view name : node.inputs) use(name);
  for (const AttributeMessage& attribute : node.attributes)
    for (const auto& graph : attribute.graphs)
      for (const std::string_view name : graph->free_names) use(name);
}

std::vector<std::string_view> find_free_names(const GraphMessage& graph) {
  Names defined, seen;
  for (const ValueMessage& input : graph.inputs) defined.insert(input.name);
  for (const TensorMessage& tensor : graph.initializers) defined.insert(tensor.name);
  for (const TensorMessage& tensor : graph.sparse_initializers) defined.insert(tensor.name);
  for (const NodeMessage& node : graph.nodes)
    defined.insert(node.outputs.begin(), node.outputs.end());
  std::vector<std::string_view> free;
  for (const NodeMessage& node : graph.nodes) add_free_names(node, defined, seen, free);
  for (const ValueMessage& output : graph.outputs)
    if (!defined.contains(output.name) && seen.insert(output.name).second)
      free.push_back(output.name);
  return free;
}

GraphMessage Parser::graph(std::string_view bytes, int depth) {
  check(depth <= kMaxSubgraphDepth, "subgraphs are nested more than ", kMaxSubgraphDepth, " deep");
  GraphMessage graph;
  for (Cursor c(bytes); c.next();) {
    switch (c.field()) {
      case 1:
        graph.nodes.push_back(node(c.bytes(), depth));
        break;
      case 2:
        graph.name = c.text();
        break;
      case 5:
        graph.initializers.push_back({text_field(c.bytes(), 8), c.bytes()});
        break;
      case 10:
        if (depth == 0) graph.doc_string = c.text();
        break;
      case 11:
        graph.inputs.push_back(value_info(c.bytes()));
        break;
      case 12:
        graph.outputs.push_back(value_info(c.bytes()));
        break;
      case 13:
        graph.value_info.push_back(value_info(c.bytes()));
        break;
      case 15: {
        // A sparse initializer goes by the name of its values.
        std::string_view values;
        for (Cursor sparse(c.bytes()); sparse.next();)
          if (sparse.field() == 1) values = sparse.bytes();
        graph.sparse_initializers.push_back({text_field(values, 8), c.bytes()});
        break;
      }
      default:
        break;
    }
  }
  if (depth > 0) graph.free_names = find_free_names(graph);
  return graph;
}

NodeMessage Parser::node(std::string_view bytes, int depth) {
  check(++nodes_ <= kMaxNodes, "the model has more than ", kMaxNodes, " nodes");
  NodeMessage node;
  for (Cursor c(bytes); c.next();) {
    switch (c.field()) {
      case 1:
        node.inputs.push_back(c.text());
        break;
      case 2:
        node.outputs.push_back(c.text());
        break;
      case 3:
        node.name = c.text();
        break;
      case 4:
        node.op_type = c.text();
        break;
      case 5:
        node.attributes.push_back(attribute(c.bytes(), depth));
        break;
      case 7:
        node.domain = c.text() == "ai.onnx" ? std::string_view() : c.text();
        break;
      case 8:
        node.overload = c.text();
        break;
      default:
        break;
    }
  }
  return node;
}

AttributeMessage Parser::attribute(std::string_view bytes, int depth) {
  check(++attributes_ <= kMaxAttributes, "the model has more than ", kMaxAttributes, " attributes");
  AttributeMessage attribute;
  attribute.body = bytes;
  for (Cursor c(bytes); c.next();) {
    switch (c.field()) {
      case 1:
        attribute.name = c.text();
        break;
      case 6:
      case 11:
        attribute.graphs.push_back(std::make_unique<GraphMessage>(graph(c.bytes(), depth + 1)));
        break;
      case 20:
        attribute.type = c.integer();
        break;
      case 21:
        attribute.reference = c.text();
        break;
      default:
        c.run_on([](uint64_t) {});
        break;
    }
  }
  return attribute;
}

FunctionMessage Parser::function(std::string_view bytes) {
  FunctionMessage function;
  for (Cursor c(bytes); c.next();) {
    switch (c.field()) {
      case 1:
        function.name = c.text();
        break;
      case 4:
        function.inputs.push_back(c.text());
        break;
      case 5:
        function.outputs.push_back(c.text());
        break;
      case 7:
        function.nodes.push_back(node(c.bytes(), 0));
        break;
      case 9:
        opset_import(c.bytes(), function.opsets);
        break;
      case 10:
        function.domain = c.text() == "ai.onnx" ? std::string_view() : c.text();
        break;
      case 11:
        function.defaults.push_back(attribute(c.bytes(), 0));
        break;
      case 12:
        function.value_info.push_back(value_info(c.bytes()));
        break;
      case 13:
        function.overload = c.text();
        break;
      default:
        break;
    }
  }
  return function;
}

ModelMessage Parser::model(std::string_view bytes) {
  ModelMessage model;
  const auto note = [&](const char* key, std::string_view text) {
    if (!text.empty()) model.metadata.emplace_back(key, text);
  };
  for (Cursor c(bytes); c.next();) {
    switch (c.field()) {
      case 1:
        model.ir_version = c.integer();
        break;
      case 2:
        note("producer_name", c.text());
        break;
      case 3:
        note("producer_version", c.text());
        break;
      case 4:
        note("domain", c.text());
        break;
      case 5:
        note("model_version", std::to_string(c.integer()));
        break;
      case 6:
        note("doc_string", c.text());
        break;
      case 7:
        check(!model.has_graph, "the model has two graphs");
        model.has_graph = true;
        model.graph = graph(c.bytes(), 0);
        break;
      case 8:
        opset_import(c.bytes(), model.opsets);
        break;
      case 14:
        model.metadata_props.push_back(string_pair(c.bytes()));
        break;
      case 25:
        model.functions.push_back(function(c.bytes()));
        break;
      default:
        break;
    }
  }
  note("graph_name", model.graph.name);
  note("graph_doc_string", model.graph.doc_string);
  return model;
}

}  // namespace

ModelMessage parse_model(std::string_view bytes) { return Parser().model(bytes); }

}  // namespace sdx::onnx
