#include "onnx/message.h"

namespace sdx::onnx::test {
namespace {

class Inert final : public Op {
 public:
  explicit Inert(const OpInit&) {}
  void infer(InferContext& ctx) const override {
    for (int i = 0; i < ctx.output_count(); ++i)
      if (ctx.wants_output(i))
        ctx.set_output(i, ctx.has_input(0) ? ctx.input(0) : Type::tensor(DType::float32));
  }
  Step prepare(PrepareContext&) const override {
    return [](Frame&) {};
  }
};

}  // namespace

const OpRegistry& inert_ops() {
  static const OpRegistry registry = [] {
    OpRegistry ops;
    for (const char* name : {"Add", "Relu", "If", "Loop", "Identity", "Constant"})
      ops.add<Inert>(name, {.since = 1});
    ops.add<Inert>("Late", {.since = 20});
    ops.add<Inert>("Fused", {.since = 1}, "sardonyx");
    return ops;
  }();
  return registry;
}

Model read(const Message& model, const ReadOptions& options) {
  const std::string& encoded = model.encoded();
  return read_model(std::as_bytes(std::span(encoded)), "", inert_ops(), options);
}

std::string error_of(const Message& model) {
  try {
    read(model);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace sdx::onnx::test
