// A model's messages, parsed as far as a graph needs. All text and bytes are views of the file.
// Doc strings, metadata of nodes, training, annotations and device placement are skipped unread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sdx::onnx {

// Limits that no honest model reaches.
inline constexpr int kMaxSubgraphDepth = 64;
inline constexpr int64_t kMaxNodes = 1 << 20;
inline constexpr int64_t kMaxAttributes = 1 << 22;

struct GraphMessage;

struct AttributeMessage {
  std::string_view name;
  std::string_view reference;  // inside functions: the call's attribute that stands here
  int64_t type = 0;            // AttributeProto.AttributeType; 0 in files of IR version 1
  std::string_view body;       // the whole message; values are read when wanted
  std::vector<std::unique_ptr<GraphMessage>> graphs;
};

struct NodeMessage {
  std::string_view name, op_type, domain, overload;
  std::vector<std::string_view> inputs, outputs;  // "" where left out
  std::vector<AttributeMessage> attributes;
};

struct ValueMessage {
  std::string_view name;
  std::string_view type;  // a TypeProto
};

struct TensorMessage {
  std::string_view name;
  std::string_view body;  // a TensorProto or SparseTensorProto
};

struct GraphMessage {
  std::string_view name;
  std::string_view doc_string;  // of the main graph
  std::vector<NodeMessage> nodes;
  std::vector<TensorMessage> initializers, sparse_initializers;
  std::vector<ValueMessage> inputs, outputs, value_info;
  // Names that this graph or one inside it uses and that it does not define, in order of first
  // use. Empty for the main graph.
  std::vector<std::string_view> free_names;
};

// Versions by domain, "" for ai.onnx.
using OpsetImports = std::map<std::string, int, std::less<>>;

struct FunctionMessage {
  std::string_view name, domain, overload;
  std::vector<std::string_view> inputs, outputs;
  std::vector<AttributeMessage> defaults;  // attributes that have one
  std::vector<NodeMessage> nodes;
  std::vector<ValueMessage> value_info;
  OpsetImports opsets;
};

struct ModelMessage {
  int64_t ir_version = 0;
  bool has_graph = false;
  GraphMessage graph;
  std::vector<FunctionMessage> functions;
  OpsetImports opsets;
  std::vector<std::pair<std::string, std::string>> metadata;        // of the file's own fields
  std::vector<std::pair<std::string, std::string>> metadata_props;  // by keys of the user's
};

// Throws `invalid_model`.
ModelMessage parse_model(std::string_view bytes);

}  // namespace sdx::onnx
