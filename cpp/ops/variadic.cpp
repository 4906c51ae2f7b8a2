// Sum and Mean of any number of operands, as chains of additions.
#include "ops/broadcast.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

class Sum final : public Composition {
 public:
  explicit Sum(const OpInit& init) : mean_(init.type == "Mean") {
    check(init.input_count >= 1, "expected at least 1 input");
  }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const std::size_t count = node.inputs().size();
    Value* result = e.input(0);
    if (count == 1) result = e.add("Identity", {result});
    for (std::size_t i = 1; i < count; ++i) result = e.add("Add", {result, e.input(i)});
    if (mean_ && count > 1)
      result = e.add("Div", {result, e.scalar(result->type().dtype, static_cast<double>(count))});
    e.finish(0, result);
    return true;
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype), "expected floats, got ", dtype);
    for (int i = 1; i < ctx.input_count(); ++i)
      check(ctx.dtype(i) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(i));
    infer_broadcast(ctx, dtype);
  }

 private:
  bool mean_;
};

}  // namespace

[[gnu::cold]] void register_variadic(OpRegistry& ops) {
  ops.add<Sum>("Sum", {.elementwise = true});
  ops.add<Sum>("Mean", {.elementwise = true});
}

}  // namespace sdx::ops
