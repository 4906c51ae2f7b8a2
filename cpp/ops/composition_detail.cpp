#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

// The axes of `value` from the first channel axis on, turned by one place.
std::vector<int64_t> turned_axes(const Value& value, int64_t by) {
  const auto& shape = value.type().shape;
  if (!shape) fail(ErrorKind::unsupported, "channels_last for an input of unknown rank");
  const auto rank = static_cast<int64_t>(shape->size());
  check(rank >= 3, "channels_last for an input of rank ", rank);
  std::vector<int64_t> perm(static_cast<std::size_t>(rank));
  std::iota(perm.begin(), perm.end(), 0);
  std::rotate(perm.begin() + 1, by > 0 ? perm.begin() + 2 : perm.end() - 1, perm.end());
  return perm;
}

}  // namespace

Step Composition::prepare(PrepareContext& ctx) const {
  fail(ErrorKind::internal, ctx.node().op_type(), " was not replaced by what it is made of");
}

Attributes attributes(AttributeList list) {
  Attributes attrs;
  for (const auto& [name, value] : list) attrs.set(name, value);
  return attrs;
}

Value* Expander::add(NodeSpec spec) const {
  return graph.insert_before(&node, std::move(spec))->output(0);
}

Node* Expander::add_node(NodeSpec spec, std::size_t outputs) const {
  spec.outputs.clear();
  for (std::size_t i = 0; i < outputs; ++i)
    spec.outputs.push_back(node.name() + "/" + spec.op_type + "/" + std::to_string(i));
  return graph.insert_before(&node, std::move(spec));
}

Value* Expander::add(std::string type, std::vector<Value*> inputs, AttributeList attrs,
                     int opset) const {
  return add({.op_type = std::move(type),
              .inputs = std::move(inputs),
              .attrs = attributes(attrs),
              .opset = opset});
}

Value* Expander::integers(std::span<const int64_t> items) const {
  Tensor tensor = Tensor::allocate(DType::int64, {static_cast<int64_t>(items.size())});
  std::copy(items.begin(), items.end(), tensor.data<int64_t>());
  return constant(std::move(tensor));
}

Value* Expander::cast(Value* value, DType to) const {
  if (value->type().dtype == to) return value;
  return add("Cast", {value}, {{"to", static_cast<int64_t>(to)}});
}

Value* Expander::scalar(DType dtype, double value) const {
  return constant(dispatch(FloatTypes{}, dtype, [&]<class T>() -> Tensor {
    return Tensor::scalar(static_cast<T>(static_cast<ComputeType<T>>(value)));
  }));
}

Value* Expander::size(Value* value, int64_t axis) const {
  return add("Shape", {value}, {{"start", axis}, {"end", axis + 1}}, 15);
}

Value* Expander::channels_last(Value* value) const {
  return add("Transpose", {value}, {{"perm", turned_axes(*value, 1)}});
}

Value* Expander::channels_first(Value* value) const {
  return add("Transpose", {value}, {{"perm", turned_axes(*value, -1)}});
}

Value* Expander::input(std::size_t i) const {
  Value* value = node.input(i);
  check(value != nullptr, "input ", i, " is missing");
  return value;
}

void Expander::finish(std::size_t i, Value* value) const {
  if (node.output(i)) graph.replace_uses(node.output(i), value);
}

}  // namespace sdx::ops
