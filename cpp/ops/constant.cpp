// Constant, ConstantOfShape.
#include <algorithm>
#include <cstring>

#include "ops/axes.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

bool carries_contents(DType dtype) { return dtype == DType::int64 || dtype == DType::int32; }

Tensor value_of(const Attributes& attrs) {
  if (const Tensor* value = attrs.find<Tensor>("value")) return *value;
  if (const Tensor* value = attrs.find<Tensor>("sparse_value")) return *value;  // made dense
  if (const float* value = attrs.find<float>("value_float")) return Tensor::scalar(*value);
  if (const int64_t* value = attrs.find<int64_t>("value_int")) return Tensor::scalar(*value);
  if (const auto* value = attrs.find<std::string>("value_string")) return Tensor::scalar(*value);
  if (attrs.has("value_floats")) return Tensor::of(attrs.floats("value_floats"));
  if (attrs.has("value_ints")) return Tensor::of(attrs.ints("value_ints"));
  if (attrs.has("value_strings")) return Tensor::of(attrs.strings("value_strings"));
  fail(ErrorKind::invalid_model, "none of the value attributes is given");
}

class Constant final : public Op {
 public:
  explicit Constant(const OpInit& init) : value_(value_of(init.attrs)) {}

  void infer(InferContext& ctx) const override {
    ctx.set_output(0, value_.dtype(), to_dims(value_.shape()));
    if (carries_contents(value_.dtype()) && value_.count() <= static_cast<int64_t>(kMaxContents))
      ctx.set_contents(0, to_dims(Shape(std::span<const int64_t>(value_.to_int64s()))));
  }

  Step prepare(PrepareContext&) const override {
    return [value = value_](Frame& f) {
      copy_items(value.dtype(), value.raw(), f.out<std::byte>(0), value.count());
    };
  }

 private:
  Tensor value_;
};

class ConstantOfShape final : public Op {
 public:
  explicit ConstantOfShape(const OpInit& init)
      : value_(init.attrs.get("value", Tensor::scalar(0.0f))) {
    check(value_.count() == 1, "attribute 'value' must have one element, not ", value_.count());
  }

  void infer(InferContext& ctx) const override {
    const auto shape = shape_from_input(ctx, 0);
    if (!shape) return ctx.set_output(0, value_.dtype());
    check_dims(*shape);
    ctx.set_output(0, value_.dtype(), *shape);
    const Dim count = product(*shape);
    if (carries_contents(value_.dtype()) && count.is_known() &&
        count.value() <= static_cast<int64_t>(kMaxContents))
      ctx.set_contents(0, Dims(count.value(), Dim(value_.to_int64s()[0])));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t count = element_count(ctx.output_shape(0));
    return dispatch_items(value_.dtype(), [&]<class T>() -> Step {
      return [value = value_, count, alike = bytes_are_alike(value_)](Frame& f) {
        if (count == 0) return;  // there is no memory, which memset wants even for no bytes
        const T* item = static_cast<const T*>(value.raw());
        T* y = f.out<T>(0);
        f.parallel_for(split_work(count, move_cost<T>()), [&](Range r) {
          if (alike)
            std::memset(static_cast<void*>(y + r.begin),
                        static_cast<int>(*reinterpret_cast<const unsigned char*>(item)),
                        static_cast<std::size_t>(r.size()) * sizeof(T));
          else
            std::fill(y + r.begin, y + r.end, *item);
        });
      };
    });
  }

 private:
  static bool bytes_are_alike(const Tensor& item) {
    if (item.dtype() == DType::string) return false;
    const auto* bytes = static_cast<const unsigned char*>(item.raw());
    return std::all_of(bytes, bytes + item_size(item.dtype()),
                       [&](unsigned char byte) { return byte == bytes[0]; });
  }

  Tensor value_;
};

}  // namespace

[[gnu::cold]] void register_constant(OpRegistry& ops) {
  ops.add<Constant>("Constant", {});
  ops.add<ConstantOfShape>("ConstantOfShape", {.since = 9});
}

}  // namespace sdx::ops
