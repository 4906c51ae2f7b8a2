// The operators of com.microsoft on images whose channels come last: those of ONNX between
// transpositions, which passes take out again.
#include "base/error.h"
#include "ops/composition.h"

namespace sdx::ops {
namespace {

class NhwcWindow final : public Composition {
 public:
  explicit NhwcWindow(const OpInit& init)
      : name_(init.type.substr(4)),  // behind "Nhwc"
        pools_(init.type == "NhwcMaxPool") {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, ctx.dtype(0)); }

  bool expand(Graph& graph, Node& node) const override {
    const Expander e{graph, node};
    const DType dtype = e.input(0)->type().dtype;
    if (pools_)
      check(dtype == DType::int8 || dtype == DType::uint8 || is_float(dtype), "cannot pool ",
            dtype);
    NodeSpec spec{.op_type = name_,
                  .inputs = {e.channels_first(e.input(0))},
                  .attrs = node.attrs(),
                  .domain = name_ == "FusedConv" ? "com.microsoft" : "",
                  .opset = name_ == "FusedConv" ? 1
                           : pools_             ? 12
                                                : 11};
    for (const std::size_t i : {1, 2})
      if (i < node.inputs().size()) spec.inputs.push_back(node.input(i));
    if (node.input(3)) spec.inputs.push_back(e.channels_first(node.input(3)));
    e.finish(0, e.channels_last(e.add(std::move(spec))));
    return true;
  }

 private:
  std::string name_;
  bool pools_;
};

}  // namespace

[[gnu::cold]] void register_contrib_nhwc(OpRegistry& ops) {
  for (const char* name : {"NhwcConv", "NhwcFusedConv", "NhwcMaxPool"})
    ops.add<NhwcWindow>(name, {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
