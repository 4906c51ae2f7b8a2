// Sum and Mean of any number of operands, as chains of additions.
#include "ir/graph.h"
#include "ops/broadcast.h"

namespace sdx::ops {
namespace {

// `value` as the element type of a constant of rank 0.
Tensor scalar_of(DType dtype, float value) {
  return dispatch(FloatTypes{}, dtype,
                  [&]<class T>() -> Tensor { return Tensor::scalar<T>(static_cast<T>(value)); });
}

class Sum final : public Op {
 public:
  explicit Sum(const OpInit& init) : mean_(init.type == "Mean") {
    check(init.input_count >= 1, "expected at least 1 input");
  }

  bool expand(Graph& graph, Node& node) const override {
    Value* result = node.input(0);
    const std::size_t count = node.inputs().size();
    if (count == 1)
      result = graph.insert_before(&node, {.op_type = "Identity", .inputs = {result}})->output(0);
    for (std::size_t i = 1; i < count; ++i)
      result = graph
                   .insert_before(
                       &node, {.op_type = "Add", .inputs = {result, node.input(i)}, .opset = 14})
                   ->output(0);
    if (mean_ && count > 1) {
      Value* divisor =
          graph.add_constant("", scalar_of(node.input(0)->type().dtype, static_cast<float>(count)));
      result =
          graph.insert_before(&node, {.op_type = "Div", .inputs = {result, divisor}, .opset = 14})
              ->output(0);
    }
    graph.replace_uses(node.output(0), result);
    return true;
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype), "expected floats, got ", dtype);
    for (int i = 1; i < ctx.input_count(); ++i)
      check(ctx.dtype(i) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(i));
    infer_broadcast(ctx, dtype);
  }

  Step prepare(PrepareContext&) const override {
    fail(ErrorKind::internal, "the operator was not replaced by what it is made of");
  }

 private:
  bool mean_;
};

}  // namespace

void register_variadic(OpRegistry& ops) {
  ops.add<Sum>("Sum", {.elementwise = true});
  ops.add<Sum>("Mean", {.elementwise = true});
}

}  // namespace sdx::ops
