#include "onnx/operators.h"

#include <algorithm>
#include <sstream>

namespace sdx::onnx {
namespace {

// The newest versions this reader was written for: later ones are read with a warning.
constexpr int64_t kNewestIr = 14;
constexpr int kNewestOpset = 28;

constexpr std::string_view kOwnDomain = "sardonyx";

bool is_standard(std::string_view domain) {
  return domain.empty() || domain == "ai.onnx.ml" || domain == "com.microsoft";
}

template <class... Parts>
std::string sentence(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

}  // namespace

std::string operator_name(const NodeMessage& node) {
  const std::string name(node.op_type);
  return node.domain.empty() ? name : std::string(node.domain) + "::" + name;
}

Operators::Operators(const ModelMessage& model, const OpRegistry& registry)
    : model_(model), registry_(registry), imports_(model.opsets) {
  check(model.ir_version > 0, "the model has IR version ", model.ir_version);
  if (model.ir_version > kNewestIr)
    warnings_.push_back(sentence("the model has IR version ", model.ir_version,
                                 "; the newest known one is ", kNewestIr));
  if (imports_.empty()) {
    check(model.ir_version < 3, "the model imports no operator set");
    imports_.emplace("", 1);
  }
  if (imports_.find("") == imports_.end()) imports_.emplace("", kNewestOpset);
  if (const int version = imports_.find("")->second; version > kNewestOpset)
    warnings_.push_back(
        sentence("the model imports opset ", version, "; the newest known one is ", kNewestOpset));
  for (const FunctionMessage& function : model.functions) {
    const bool added =
        functions_.try_emplace({function.domain, function.name, function.overload}, &function)
            .second;
    check(added, "function '", function.domain, "::", function.name, "' is defined twice");
  }
}

bool Operators::is_native(const NodeMessage& node, int opset) const {
  // Operators that passes make trust their attributes: no file may name one.
  if (node.domain == kOwnDomain) return false;
  const OpEntry* entry = registry_.find(node.domain, node.op_type);
  return entry && opset >= entry->traits.since;
}

const FunctionMessage* Operators::function(const NodeMessage& node,
                                           const OpsetImports& imports) const {
  const auto found = functions_.find({node.domain, node.op_type, node.overload});
  if (found == functions_.end()) return nullptr;
  if (is_standard(node.domain) && is_native(node, opset(node, imports))) return nullptr;
  return found->second;
}

int Operators::opset(const NodeMessage& node, const OpsetImports& imports) const {
  for (const OpsetImports* from : {&imports, &imports_})
    if (const auto found = from->find(node.domain); found != from->end()) return found->second;
  if (node.domain == "com.microsoft" ||
      functions_.contains({node.domain, node.op_type, node.overload}))
    return 1;
  fail(ErrorKind::invalid_model, "node '", node.name, "' (", operator_name(node),
       "): the model does not import domain '", node.domain, "'");
}

int64_t Operators::check_call(const FunctionMessage& function, Walk& walk) const {
  const auto [at, added] = walk.sizes.emplace(&function, -1);
  check(added || at->second >= 0, "function '", function.domain, "::", function.name,
        "' calls itself");
  if (!added) return at->second;
  check(++walk.depth <= kMaxCallDepth, "function calls are nested more than ", kMaxCallDepth,
        " deep");
  at->second = check_nodes(function.nodes, function.opsets, walk);
  --walk.depth;
  return at->second;
}

int64_t Operators::check_nodes(const std::vector<NodeMessage>& nodes, const OpsetImports& imports,
                               Walk& walk) const {
  int64_t size = 0;
  for (const NodeMessage& node : nodes) {
    ++size;
    const int version = opset(node, imports);
    if (const FunctionMessage* called = function(node, imports)) {
      size += check_call(*called, walk);
    } else if (!is_native(node, version) && !(node.op_type == "Constant" && node.domain.empty())) {
      Missing& missing =
          walk.missing[{std::string(node.domain), std::string(node.op_type), version}];
      if (missing.count++ == 0) {
        missing.example = node.name;
        const OpEntry* entry = registry_.find(node.domain, node.op_type);
        const std::string nearest = registry_.nearest(node.domain, node.op_type);
        if (entry)
          missing.hint = sentence(", supported from opset ", entry->traits.since);
        else if (!nearest.empty())
          missing.hint = ", did you mean " + nearest;
      }
    }
    for (const AttributeMessage& attribute : node.attributes)
      for (const auto& graph : attribute.graphs) size += check_nodes(graph->nodes, imports, walk);
    if (size > kMaxNodes)
      fail(ErrorKind::unsupported, "calls of functions expand to more than ", kMaxNodes, " nodes");
  }
  return size;
}

void Operators::check_all() const {
  constexpr std::size_t kMostListed = 100;
  Walk walk;
  check_nodes(model_.graph.nodes, imports_, walk);
  if (walk.missing.empty()) return;
  std::ostringstream list;
  std::size_t listed = 0;
  for (const auto& [key, missing] : walk.missing) {
    if (listed++ == kMostListed) break;
    const auto& [domain, name, version] = key;
    list << (listed > 1 ? "; " : "") << (domain.empty() ? "" : domain + "::") << name << " (opset "
         << version << missing.hint << "; " << missing.count
         << (missing.count == 1 ? " node" : " nodes, the first") << " '" << missing.example << "')";
  }
  if (walk.missing.size() > kMostListed)
    list << "; and " << walk.missing.size() - kMostListed << " more";
  fail(ErrorKind::unsupported, "operators that are not supported: ", list.str(),
       "; a program can bring its own: functions in Python (sardonyx.op), libraries "
       "(sardonyx.load_operators, sdx::Options::load_operators) and functions of nodes "
       "(sardonyx.function), see 'Operators of your own' in the README");
}

}  // namespace sdx::onnx
