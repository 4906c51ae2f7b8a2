// What the nodes of a file refer to: native operators, or functions that the model brings.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "ir/op.h"
#include "onnx/messages.h"

namespace sdx::onnx {

// The most function calls, or subgraphs and calls together, that nest in one another.
inline constexpr int kMaxCallDepth = 64;

// "domain::op", or "op" in ai.onnx.
std::string operator_name(const NodeMessage& node);

class Operators {
 public:
  // Both must outlive this. Throws `invalid_model` for versions that make no sense.
  Operators(const ModelMessage& model, const OpRegistry& registry);

  // Throws one `unsupported` that lists all operators the graph and the functions it calls need and
  // that there are not, or where calls expand to too many nodes: small files can describe endless
  // expansions. Throws `invalid_model` where a function calls itself.
  void check_all() const;

  // The function a node calls, or null for an operator. In the standard domains and com.microsoft
  // operators of our own go before functions; elsewhere functions do.
  const FunctionMessage* function(const NodeMessage& node, const OpsetImports& imports) const;
  // The version of the node's domain: what `imports` say, else what the model says, else a guess
  // for the domains that exporters forget. Throws `invalid_model` for others.
  int opset(const NodeMessage& node, const OpsetImports& imports) const;

  const OpsetImports& imports() const { return imports_; }  // of the model
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  struct Missing {
    int64_t count = 0;
    std::string example;
    std::string hint;
  };
  // Nodes of a function with all its calls inlined; negative while the walk is inside it.
  using Sizes = std::map<const FunctionMessage*, int64_t>;
  struct Walk {
    std::map<std::tuple<std::string, std::string, int>, Missing> missing;
    Sizes sizes;
    int depth = 0;
  };
  // Both return how many nodes there are after inlining.
  int64_t check_nodes(const std::vector<NodeMessage>& nodes, const OpsetImports& imports,
                      Walk& walk) const;
  int64_t check_call(const FunctionMessage& function, Walk& walk) const;
  bool is_native(const NodeMessage& node, int opset) const;

  const ModelMessage& model_;
  const OpRegistry& registry_;
  OpsetImports imports_;
  std::map<std::tuple<std::string_view, std::string_view, std::string_view>, const FunctionMessage*>
      functions_;
  std::vector<std::string> warnings_;
};

}  // namespace sdx::onnx
