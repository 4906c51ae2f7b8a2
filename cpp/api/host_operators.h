// Operators that the host brings along: functions, or what a shared library holds.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/datum.h"

namespace sdx {

class OpRegistry;
struct LibraryOperator;
struct OpInit;

// What is known of a tensor before a run.
struct HostType {
  DType dtype = DType::undefined;
  bool has_shape = false;
  std::vector<std::string> shape;  // "4", "batch", "?" for unknown
};

using HostAttribute = std::variant<int64_t, float, std::string, Tensor, std::vector<int64_t>,
                                   std::vector<float>, std::vector<std::string>>;
using HostAttributes = std::map<std::string, HostAttribute>;

struct HostOperator {
  std::string domain, name;
  // Types of `outputs` outputs. Without it they are tensors of the first input's element type.
  // Inputs left out have an undefined element type.
  std::function<std::vector<HostType>(std::span<const HostType> inputs,
                                      const HostAttributes& attributes, int outputs)>
      infer;
  // The outputs; an input left out is an empty datum. Called by the thread that runs the model.
  std::function<std::vector<Datum>(std::span<const Datum> inputs, const HostAttributes& attributes,
                                   int outputs)>
      run;
  bool pure = false;  // same inputs, same outputs, and nothing else: may be computed at load
  std::shared_ptr<const LibraryOperator> library;  // in place of the functions
};

using HostOperators = std::vector<std::shared_ptr<const HostOperator>>;

// Adds operators; those of names that are there already take their place.
void add_operators(HostOperators& known, const HostOperators& more);

// The built-in operators and these, which go first. Nodes that are made of the registry's entries
// need a HostOperatorScope.
std::shared_ptr<const OpRegistry> registry_with(const HostOperators& operators);

// While it lives, nodes of `operators` can be made in this thread.
class HostOperatorScope {
 public:
  explicit HostOperatorScope(const HostOperators& operators);
  ~HostOperatorScope();
  HostOperatorScope(const HostOperatorScope&) = delete;
  HostOperatorScope& operator=(const HostOperatorScope&) = delete;

 private:
  const HostOperators* outer_;
};

// What a node is to be made of, from the innermost scope of this thread.
std::shared_ptr<const HostOperator> host_operator(const OpInit& init);

}  // namespace sdx
