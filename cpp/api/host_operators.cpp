#include "api/host_operators.h"

#include <algorithm>
#include <cstdlib>

#include "api/operator_library.h"
#include "base/error.h"
#include "ir/graph.h"
#include "ir/op.h"
#include "ops/registry.h"

namespace sdx {
namespace {

thread_local const HostOperators* operators_in_scope = nullptr;

HostType host_type(const Type& type) {
  HostType host;
  host.dtype = type.dtype;
  if (!type.shape) return host;
  host.has_shape = true;
  for (const Dim& dim : *type.shape) host.shape.push_back(dim.to_string());
  return host;
}

// Names are those of the host's own inputs; what is no number is not followed further.
Type type_of(const HostType& host) {
  if (!host.has_shape) return Type::tensor(host.dtype);
  Dims dims;
  for (const std::string& text : host.shape) {
    char* end = nullptr;
    const int64_t number = std::strtoll(text.c_str(), &end, 10);
    const bool is_number = !text.empty() && *end == '\0';
    check_argument(!is_number || number >= 0, "a dimension of ", number);
    dims.push_back(is_number ? Dim(number) : Dim::unknown());
  }
  return Type::tensor(host.dtype, std::move(dims));
}

HostAttributes host_attributes(const Attributes& attributes) {
  HostAttributes host;
  for (const auto& [name, value] : attributes.all()) {
    std::visit(
        [&, &key = name](const auto& item) {
          if constexpr (std::is_constructible_v<HostAttribute, decltype(item)>)
            host.emplace(key, item);
          else
            fail(ErrorKind::unsupported, "attribute '", key,
                 "' is of a kind that operators of the ", "host are not given");
        },
        value);
  }
  return host;
}

// Refuses a result that is not what inference promised: other nodes rely on it.
void check_result(const Datum& result, const Type& promised, int i) {
  check_argument(result.is_tensor(), "output ", i, " is no tensor");
  const Tensor& tensor = result.tensor();
  bool fits = tensor.dtype() == promised.dtype;
  if (promised.shape) {
    fits = fits && promised.shape->size() == tensor.shape().size();
    for (std::size_t axis = 0; fits && axis < tensor.shape().size(); ++axis)
      fits = !(*promised.shape)[axis].is_known() ||
             (*promised.shape)[axis].value() == tensor.shape()[axis];
  }
  check_argument(fits, "output ", i, " is ", tensor.dtype(), tensor.shape(), ", promised was ",
                 promised);
}

class HostOp final : public Op {
 public:
  explicit HostOp(const OpInit& init)
      : attributes_(host_attributes(init.attrs)), operator_(host_operator(init)) {}

  void infer(InferContext& ctx) const override {
    const int outputs = ctx.output_count();
    if (!operator_->infer) {
      check(ctx.has_input(0), "no input tells the element type of the outputs");
      for (int i = 0; i < outputs; ++i)
        if (ctx.wants_output(i)) ctx.set_output(i, ctx.dtype(0));
      return;
    }
    std::vector<HostType> inputs;
    for (int i = 0; i < ctx.input_count(); ++i)
      inputs.push_back(ctx.has_input(i) ? host_type(ctx.input(i)) : HostType());
    const std::vector<HostType> types = operator_->infer(inputs, attributes_, outputs);
    check_argument(types.size() == static_cast<std::size_t>(outputs), "inference gave ",
                   types.size(), " types for ", outputs, " outputs");
    for (int i = 0; i < outputs; ++i)
      if (ctx.wants_output(i)) ctx.set_output(i, type_of(types[static_cast<std::size_t>(i)]));
  }

  Step prepare(PrepareContext& ctx) const override {
    std::vector<Type> promised;
    for (int i = 0; i < ctx.output_count(); ++i)
      promised.push_back(ctx.node().output(i) ? ctx.node().output(i)->type() : Type());
    return [this, promised = std::move(promised)](Frame& f) {
      std::vector<Datum> inputs;
      for (int i = 0; i < f.input_count(); ++i)
        inputs.push_back(f.has_input(i) ? f.keep_input(i) : Datum());
      const int outputs = f.output_count();
      std::vector<Datum> results = operator_->run(inputs, attributes_, outputs);
      check_argument(results.size() == static_cast<std::size_t>(outputs), "it gave ",
                     results.size(), " outputs, the node has ", outputs);
      for (int i = 0; i < outputs; ++i) {
        if (!f.wants_output(i)) continue;
        Datum& result = results[static_cast<std::size_t>(i)];
        check_result(result, promised[static_cast<std::size_t>(i)], i);
        f.set_output(i, std::move(result));
      }
    };
  }

 private:
  HostAttributes attributes_;
  std::shared_ptr<const HostOperator> operator_;
};

}  // namespace

void add_operators(HostOperators& known, const HostOperators& more) {
  for (const auto& each : more) {
    std::erase_if(known, [&](const auto& old) {
      return old->domain == each->domain && old->name == each->name;
    });
    known.push_back(each);
  }
}

std::shared_ptr<const OpRegistry> registry_with(const HostOperators& operators) {
  const OpRegistry& builtin = ops::builtin_ops();
  if (operators.empty()) return {std::shared_ptr<void>(), &builtin};
  auto registry = std::make_shared<OpRegistry>(builtin);
  for (const auto& each : operators) {
    check_argument(!each->domain.empty() && each->domain != "ai.onnx", "operator '", each->name,
                   "' needs a domain of its own");
    check_argument(!registry->find(each->domain, each->name), "operator '", each->domain,
                   "::", each->name, "' is there already");
    if (each->library)
      add_library_operator(*registry, *each);
    else
      registry->add<HostOp>(each->name, {.since = 1, .pure = each->pure}, each->domain);
  }
  return registry;
}

HostOperatorScope::HostOperatorScope(const HostOperators& operators) : outer_(operators_in_scope) {
  operators_in_scope = &operators;
}
HostOperatorScope::~HostOperatorScope() { operators_in_scope = outer_; }

std::shared_ptr<const HostOperator> host_operator(const OpInit& init) {
  check(operators_in_scope != nullptr, "the operator has gone");
  for (const auto& each : *operators_in_scope)
    if (each->domain == init.domain && each->name == init.type) return each;
  fail(ErrorKind::internal, "the operator has gone");
}

}  // namespace sdx
