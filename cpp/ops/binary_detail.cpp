// Types and steps of elementwise operators of two operands.
#include "ir/graph.h"
#include "ops/binary.h"
#include "ops/contents.h"
#include "ops/float32_adapter.h"
#include "ops/half_block.h"

namespace sdx::ops {
namespace {

// A float32 loop over operands of 16 bits.
struct HalfLoop {
  kernels::BinaryF32* run;
  HalfConversion half;

  void operator()(const uint16_t* a, std::size_t a_step, const uint16_t* b, std::size_t b_step,
                  uint16_t* y, std::size_t n) const {
    for_each_half_block(n, [&](std::size_t i, std::size_t count) {
      float first[kHalfBlock], second[kHalfBlock];
      half.widen(a + i * a_step, first, a_step ? count : 1);
      half.widen(b + i * b_step, second, b_step ? count : 1);
      // Results go where an operand of as many items lies, or to the first if neither has.
      float* result = a_step || !b_step ? first : second;
      run(first, a_step, second, b_step, result, count);
      half.narrow(result, y + i, count);
    });
  }
};

// Powers, with the exponents that models use written out where one exponent serves a whole run.
template <class T>
struct PowerLoop {
  BinaryLoop<T, T>* run;

  void operator()(const T* a, std::size_t a_step, const T* b, std::size_t b_step, T* y,
                  std::size_t n) const {
    if (b_step != 0 || a_step == 0 || n == 0) return run(a, a_step, b, b_step, y, n);
    const T exponent = *b;
    if (exponent == 2) {
      for (std::size_t i = 0; i < n; ++i) y[i] = a[i] * a[i];
    } else if (exponent == 3) {
      for (std::size_t i = 0; i < n; ++i) y[i] = a[i] * a[i] * a[i];
    } else if (exponent == -1) {
      for (std::size_t i = 0; i < n; ++i) y[i] = 1 / a[i];
    } else {
      run(a, a_step, b, b_step, y, n);
    }
  }
};

// The type to raise `base` to `exponent` in.
DType power_type(DType base, DType exponent) {
  if (is_integer(base)) return is_integer(exponent) ? DType::int64 : DType::float64;
  const bool wide = base == DType::float64 || exponent == DType::float64;
  return wide ? DType::float64 : DType::float32;
}

bool is_scalar(const Value& value, double expected) {
  const Tensor* constant = value.constant();
  return constant && constant->count() == 1 && constant->rank() == 0 &&
         constant->to_doubles()[0] == expected;
}

// Powers of mixed types, and squares. Nothing where the node stays as it is.
Value* expand_power(Graph& graph, Node& node) {
  Value *x = node.input(0), *exponent = node.input(1);
  if (is_scalar(*exponent, 2))
    return graph.insert_before(&node, {.op_type = "Mul", .inputs = {x, x}, .opset = 14})->output(0);
  const DType base_type = x->type().dtype;
  if (base_type == exponent->type().dtype) return nullptr;
  const auto cast = [&](Value* value, DType to) {
    if (value->type().dtype == to) return value;
    Attributes attrs;
    attrs.set("to", static_cast<int64_t>(to));
    return graph
        .insert_before(
            &node, {.op_type = "Cast", .inputs = {value}, .attrs = std::move(attrs), .opset = 21})
        ->output(0);
  };
  const DType wide = power_type(base_type, exponent->type().dtype);
  Node* power = graph.insert_before(
      &node, {.op_type = "Pow", .inputs = {cast(x, wide), cast(exponent, wide)}, .opset = 15});
  return cast(power->output(0), base_type);
}

Value* expand_variadic(Graph& graph, Node& node) {
  if (node.inputs().size() == 1)
    return graph.insert_before(&node, {.op_type = "Identity", .inputs = {node.input(0)}})
        ->output(0);
  Value* result = node.input(0);
  for (std::size_t i = 1; i < node.inputs().size(); ++i)
    result = graph
                 .insert_before(&node, {.op_type = node.op_type(),
                                        .inputs = {result, node.input(i)},
                                        .opset = node.opset()})
                 ->output(0);
  return result;
}

// The slope of PRelu broadcasts to the other operand, not the other way round.
void check_slope(const InferContext& ctx) {
  if (!ctx.has_rank(0) || !ctx.has_rank(1)) return;
  const Dims &x = ctx.dims(0), &slope = ctx.dims(1);
  bool fits = slope.size() <= x.size();
  for (std::size_t i = 0; fits && i < slope.size(); ++i)
    fits = slope[slope.size() - 1 - i].value_or(1) == 1 || x[x.size() - 1 - i].value_or(0) != 1;
  check(fits, "slope of shape ", slope, " does not broadcast to ", x);
}

}  // namespace

Binary::Binary(const OpInit& init) : function_(&binary_function(init)), legacy_(init) {
  const bool variadic = init.type == "Max" || init.type == "Min";
  check(variadic ? init.input_count >= 1 : init.input_count == 2, "expected 2 inputs, got ",
        init.input_count);
}

bool Binary::expand(Graph& graph, Node& node) const {
  Value* result = nullptr;
  if (node.inputs().size() != 2)
    result = expand_variadic(graph, node);
  else if (node.op_type() == "Pow")
    result = expand_power(graph, node);
  if (!result) return false;
  graph.replace_uses(node.output(0), result);
  return true;
}

void Binary::infer(InferContext& ctx) const {
  const DType dtype = ctx.dtype(0);
  check(is_float(dtype) || is_integer(dtype), "element type ", dtype, " is not a number");
  const bool power = ctx.node().op_type() == "Pow";
  for (int i = 1; i < ctx.input_count(); ++i)
    check(power ? is_float(ctx.dtype(i)) || is_integer(ctx.dtype(i)) : ctx.dtype(i) == dtype,
          "element types differ: ", dtype, " and ", ctx.dtype(i));
  if (ctx.input_count() != 2) return infer_broadcast(ctx, dtype);
  infer_pair(ctx, dtype, legacy_);
  if (ctx.node().op_type() == "PRelu") check_slope(ctx);
  if (!function_->number || (dtype != DType::int64 && dtype != DType::int32)) return;
  set_elementwise_contents<2>(ctx, [&](const Dim& x, const Dim& y) -> std::optional<Dim> {
    if (x.is_known() && y.is_known())
      return Dim(wrap(function_->number(x.value(), y.value()), dtype));
    return function_->symbolic(x, y);
  });
}

Step Binary::prepare(PrepareContext& ctx) const {
  const DType dtype = ctx.dtype(0);
  if (ctx.input_count() != 2 || ctx.dtype(1) != dtype)
    fail(ErrorKind::unsupported, "types or a number of inputs not known before the run");
  const Shape aligned = legacy_.align(ctx.shape(0), ctx.shape(1));
  const BinaryShapes shapes{ctx.output_shape(0), ctx.shape(0), aligned,
                            ctx.output_rows(),   ctx.rows(0),  ctx.rows(1)};
  const bool power = ctx.node().op_type() == "Pow";
  if (dtype == DType::float64) {
    if (power) return broadcast_step<double, double>(shapes, PowerLoop<double>{function_->f64}, 10);
    return broadcast_step<double, double>(shapes, function_->f64, 0.6 + function_->cost);
  }
  if (dtype == DType::int32 && function_->i32)
    return broadcast_step<int32_t, int32_t>(shapes, function_->i32->resolve(), 0.8);
  if (is_integer(dtype)) return function_->integer(dtype, shapes);
  if (is_half_float(dtype))
    return broadcast_step<uint16_t, uint16_t>(shapes, HalfLoop{resolve(), half_conversion(dtype)},
                                              0.5 + function_->cost);
  if (power) return broadcast_step<float, float>(shapes, PowerLoop<float>{resolve()}, 10);
  return broadcast_step<float, float>(shapes, resolve(), function_->cost);
}

}  // namespace sdx::ops
