// Optional, OptionalHasElement, OptionalGetElement.
#include "ops/movement.h"

namespace sdx::ops {
namespace {

class Optional final : public Op {
 public:
  explicit Optional(const OpInit& init) : type_(init.attrs.get<Type>("type", {})) {
    check(init.input_count > 0 || type_.is_known(),
          "an optional without a value needs attribute 'type'");
  }

  void infer(InferContext& ctx) const override {
    const Type& element = ctx.has_input(0) ? ctx.input(0) : type_;
    ctx.set_output(0, element.kind == Type::Kind::optional ? element : Type::optional(element));
  }

  Step prepare(PrepareContext&) const override {
    return [](Frame& f) { f.set_output(0, f.has_input(0) ? f.keep_input(0) : Datum{}); };
  }

 private:
  Type type_;
};

class OptionalHasElement final : public Op {
 public:
  explicit OptionalHasElement(const OpInit&) {}

  void infer(InferContext& ctx) const override { ctx.set_output(0, DType::boolean, {}); }

  Step prepare(PrepareContext&) const override {
    return [](Frame& f) { *f.out<bool>(0) = f.has_input(0) && !f.input(0).empty(); };
  }
};

class OptionalGetElement final : public Op {
 public:
  explicit OptionalGetElement(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    const Type& type = ctx.input(0);
    const bool wrapped = type.kind == Type::Kind::optional;
    ctx.set_output(0, wrapped ? (type.element ? *type.element : Type{}) : type);
  }

  Step prepare(PrepareContext& ctx) const override {
    if (ctx.dtype(0) != DType::undefined) return copy_step(ctx);  // a tensor, wrapped or not
    return [](Frame& f) {
      Datum datum = f.keep_input(0);
      check(!datum.empty(), "the optional has no element");
      f.set_output(0, std::move(datum));
    };
  }
};

}  // namespace

[[gnu::cold]] void register_optional(OpRegistry& ops) {
  ops.add<Optional>("Optional", {.since = 15});
  ops.add<OptionalHasElement>("OptionalHasElement", {.since = 15});
  ops.add<OptionalGetElement>("OptionalGetElement", {.since = 15});
}

}  // namespace sdx::ops
