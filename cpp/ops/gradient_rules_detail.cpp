#include <cmath>
#include <functional>
#include <numbers>

#include "ops/axes.h"
#include "ops/gradient.h"

namespace sdx::ops {

Value* NodeMaker::operator()(std::string op_type, std::vector<Value*> inputs,
                             Attributes attrs) const {
  const bool ours = op_type == "SumToShape";
  return add({.op_type = std::move(op_type),
              .inputs = std::move(inputs),
              .attrs = std::move(attrs),
              .domain = ours ? "sardonyx" : "",
              .opset = ours ? 1 : 18});
}

Value* NodeMaker::filled(Value* like, double value) const {
  return (*this)("Expand", {scalar(like, value), (*this)("Shape", {like})});
}

namespace {

using Gradients = std::vector<Value*>;

// A node whose inputs are a and b, its result y, with the derivative dy of the latter.
struct At {
  const NodeMaker& make;
  const Node& node;
  Value *a, *b, *y, *dy;

  Value* mul(Value* l, Value* r) const { return make("Mul", {l, r}); }
  Value* div(Value* l, Value* r) const { return make("Div", {l, r}); }
  Value* neg(Value* x) const { return make("Neg", {x}); }
  Value* minus_from_one(Value* x) const { return make("Sub", {make.scalar(x, 1), x}); }
  // `gradient`, of the result's shape, for an input that was broadcast to it.
  Value* reduced(Value* gradient, Value* input) const {
    const auto& from = gradient->type().shape;
    const auto& to = input->type().shape;
    if (from && to && *from == *to) return gradient;
    return make("SumToShape", {gradient, input});
  }
  Value* as_input(Value* gradient) const { return make("Reshape", {gradient, make("Shape", {a})}); }
  int64_t rank(const Value* value) const {
    if (!value->type().shape)
      fail(ErrorKind::unsupported, "the derivative of ", node.op_type(), " needs known ranks");
    return static_cast<int64_t>(value->type().shape->size());
  }
};

Attributes with(std::string name, AttributeValue value) {
  Attributes attrs;
  attrs.set(std::move(name), std::move(value));
  return attrs;
}

Value* swapped(const At& at, Value* x) {
  std::vector<int64_t> order(static_cast<std::size_t>(at.rank(x)));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return at.make("Transpose", {x}, with("perm", order));
}

Gradients of_matmul(const At& at) {
  // Vectors become matrices of one row or column.
  const bool row = at.rank(at.a) == 1, column = at.rank(at.b) == 1;
  Value *a = at.a, *b = at.b, *dy = at.dy;
  if (row) a = at.make("Unsqueeze", {a, at.make.integers({0})});
  if (column) {
    b = at.make("Unsqueeze", {b, at.make.integers({1})});
    dy = at.make("Unsqueeze", {dy, at.make.integers({-1})});
  }
  if (row) dy = at.make("Unsqueeze", {dy, at.make.integers({-2})});
  const auto back = [&](Value* gradient, Value* matrix, Value* input) {
    Value* sum = at.reduced(gradient, matrix);
    return matrix == input ? sum : at.make("Reshape", {sum, at.make("Shape", {input})});
  };
  return {back(at.make("MatMul", {dy, swapped(at, b)}), a, at.a),
          back(at.make("MatMul", {swapped(at, a), dy}), b, at.b)};
}

Gradients of_gemm(const At& at) {
  const bool ta = at.node.attrs().get("transA", 0) != 0, tb = at.node.attrs().get("transB", 0) != 0;
  const auto product = [&](Value* l, bool tl, Value* r, bool tr) {
    Attributes attrs = with("alpha", at.node.attrs().get("alpha", 1.0));
    attrs.set("transA", static_cast<int64_t>(tl));
    attrs.set("transB", static_cast<int64_t>(tr));
    return at.make("Gemm", {l, r}, std::move(attrs));
  };
  Gradients result = {ta ? product(at.b, tb, at.dy, true) : product(at.dy, false, at.b, !tb),
                      tb ? product(at.dy, true, at.a, ta) : product(at.a, !ta, at.dy, false)};
  if (Value* c = at.node.input(2)) {
    const float beta = at.node.attrs().get("beta", 1.0);
    result.push_back(at.mul(at.reduced(at.dy, c), at.make.scalar(c, beta)));
  }
  return result;
}

Gradients of_reduction(const At& at) {
  Value* dy = at.dy;
  Value* axes = at.b;
  if (at.node.attrs().has("axes")) axes = at.make.integers(at.node.attrs().ints("axes"));
  const bool all = !axes && at.node.attrs().get("noop_with_empty_axes", 0) == 0;
  if (!all && !axes) return {dy};
  if (at.node.attrs().get("keepdims", 1) == 0) {
    const bool scalar = all || (axes->is_constant() && axes->constant()->count() == 0);
    if (!scalar) dy = at.make("Unsqueeze", {dy, axes});
  }
  Value* spread = at.make("Expand", {dy, at.make("Shape", {at.a})});
  if (at.node.op_type() == "ReduceSum") return {spread};
  const auto size = [&](Value* x) {
    return at.make("Cast", {at.make("Size", {x})},
                   with("to", static_cast<int64_t>(at.a->type().dtype)));
  };
  return {at.div(at.mul(spread, size(at.y)), size(at.a))};
}

Gradients of_softmax(const At& at) {
  if (at.node.opset() < 13)
    fail(ErrorKind::unsupported, "the derivative of ", at.node.op_type(), " before opset 13");
  Value* axes = at.make.integers({at.node.attrs().get("axis", -1)});
  const auto sum = [&](Value* x) { return at.make("ReduceSum", {x, axes}); };
  if (at.node.op_type() == "LogSoftmax")
    return {at.make("Sub", {at.dy, at.mul(at.make("Exp", {at.y}), sum(at.dy))})};
  return {at.mul(at.y, at.make("Sub", {at.dy, sum(at.mul(at.dy, at.y))}))};
}

Gradients of_transpose(const At& at) {
  const auto perm = at.node.attrs().ints("perm");
  if (perm.empty()) return {at.make("Transpose", {at.dy})};
  std::vector<int64_t> inverse(perm.size());
  for (std::size_t i = 0; i < perm.size(); ++i)
    inverse[static_cast<std::size_t>(perm[i])] = static_cast<int64_t>(i);
  return {at.make("Transpose", {at.dy}, with("perm", inverse))};
}

Gradients of_concat(const At& at) {
  const int64_t axis = normalize_axis(at.node.attrs().require<int64_t>("axis"), at.rank(at.y));
  Gradients result;
  Value* start = at.make.integers({0});
  for (Value* input : at.node.inputs()) {
    Attributes range = with("start", axis);
    range.set("end", axis + 1);
    Value* end = at.make("Add", {start, at.make("Shape", {input}, std::move(range))});
    result.push_back(at.make("Slice", {at.dy, start, end, at.make.integers({axis})}));
    start = end;
  }
  return result;
}

Gradients of_conv(const At& at) {
  const Attributes& attrs = at.node.attrs();
  const auto x = at.a->type().known_shape(), w = at.b->type().known_shape(),
             y = at.y->type().known_shape();
  if (!x || !w || !y || attrs.get("group", 1) != 1 || attrs.get("auto_pad", "NOTSET") != "NOTSET")
    fail(ErrorKind::unsupported,
         "the derivative of Conv needs known shapes, one group and explicit pads");
  const std::size_t rank = x->size() - 2;
  const auto list = [&](const char* name, std::size_t count, int64_t otherwise) {
    auto values = attrs.ints(name);
    return values.empty() ? std::vector<int64_t>(count, otherwise) : values;
  };
  const auto strides = list("strides", rank, 1), dilations = list("dilations", rank, 1),
             pads = list("pads", 2 * rank, 0);
  // By x: rows at the end that no window reached get none.
  Attributes back;
  std::vector<int64_t> rest(rank);
  for (std::size_t i = 0; i < rank; ++i)
    rest[i] = (*x)[i + 2] + pads[i] + pads[rank + i] - dilations[i] * ((*w)[i + 2] - 1) - 1 -
              ((*y)[i + 2] - 1) * strides[i];
  back.set("strides", strides);
  back.set("dilations", dilations);
  back.set("pads", pads);
  back.set("output_padding", rest);
  // By w: x is convolved with dy, the images as channels; strides and dilations change places.
  std::vector<int64_t> channels_first(rank + 2), starts(rank, 0), ends(w->begin() + 2, w->end()),
      axes(rank), all(rank + 2);
  for (std::size_t i = 0; i < rank + 2; ++i) channels_first[i] = static_cast<int64_t>(i);
  std::swap(channels_first[0], channels_first[1]);
  for (std::size_t i = 0; i < rank; ++i) axes[i] = static_cast<int64_t>(i + 2);
  const auto turned = [&](Value* value) {
    return at.make("Transpose", {value}, with("perm", channels_first));
  };
  Attributes across;
  across.set("strides", dilations);
  across.set("dilations", strides);
  across.set("pads", pads);
  Value* dw =
      at.make("Slice", {at.make("Conv", {turned(at.a), turned(at.dy)}, across),
                        at.make.integers(starts), at.make.integers(ends), at.make.integers(axes)});
  Gradients result = {at.make("ConvTranspose", {at.dy, at.b}, std::move(back)), turned(dw)};
  if (at.node.input(2)) {
    axes.insert(axes.begin(), 0);
    result.push_back(
        at.make("ReduceSum", {at.dy, at.make.integers(axes)}, with("keepdims", int64_t{0})));
  }
  return result;
}

Gradients of_where(const At& at) {
  Value* zero = at.make.scalar(at.dy, 0);
  Value* no = at.node.input(2);
  return {nullptr, at.reduced(at.make("Where", {at.a, at.dy, zero}), at.b),
          at.reduced(at.make("Where", {at.a, zero, at.dy}), no)};
}

Gradients of_pow(const At& at) {
  Value* exponent = at.b;
  if (exponent->type().dtype != at.a->type().dtype)
    exponent = at.make("CastLike", {exponent, at.a});
  Value* less = at.make("Sub", {exponent, at.make.scalar(at.a, 1)});
  Value* by_base = at.mul(at.dy, at.mul(exponent, at.make("Pow", {at.a, less})));
  if (!is_float(at.b->type().dtype)) return {at.reduced(by_base, at.a), nullptr};
  Value* by_exponent = at.mul(at.dy, at.mul(at.y, at.make("Log", {at.a})));
  if (at.b->type().dtype != at.a->type().dtype)
    by_exponent = at.make("CastLike", {by_exponent, at.b});
  return {at.reduced(by_base, at.a), at.reduced(by_exponent, at.b)};
}

using Rule = std::function<Gradients(const At&)>;

const std::map<std::string, Rule, std::less<>>& rules() {
  // Elementwise functions of one input: dy times the factor.
  const auto unary = [](auto factor) -> Rule {
    return [factor](const At& at) -> Gradients { return {at.mul(at.dy, factor(at))}; };
  };
  const auto reshaped = [](const At& at) -> Gradients { return {at.as_input(at.dy)}; };
  static const std::map<std::string, Rule, std::less<>> all = {
      {"Identity", [](const At& at) -> Gradients { return {at.dy}; }},
      {"Cast",
       [](const At& at) -> Gradients {
         return {at.make("CastLike", {at.dy, at.a})};
       }},
      {"Neg", [](const At& at) -> Gradients { return {at.neg(at.dy)}; }},
      {"Add",
       [](const At& at) -> Gradients {
         return {at.reduced(at.dy, at.a), at.reduced(at.dy, at.b)};
       }},
      {"Sub",
       [](const At& at) -> Gradients {
         return {at.reduced(at.dy, at.a), at.reduced(at.neg(at.dy), at.b)};
       }},
      {"Mul",
       [](const At& at) -> Gradients {
         return {at.reduced(at.mul(at.dy, at.b), at.a), at.reduced(at.mul(at.dy, at.a), at.b)};
       }},
      {"Div",
       [](const At& at) -> Gradients {
         Value* by_a = at.div(at.dy, at.b);
         return {at.reduced(by_a, at.a), at.reduced(at.neg(at.mul(by_a, at.y)), at.b)};
       }},
      {"Pow", of_pow},
      {"Exp", unary([](const At& at) { return at.y; })},
      {"Log", [](const At& at) -> Gradients { return {at.div(at.dy, at.a)}; }},
      {"Sqrt",
       [](const At& at) -> Gradients {
         return {at.div(at.dy, at.mul(at.y, at.make.scalar(at.y, 2)))};
       }},
      {"Reciprocal", unary([](const At& at) { return at.neg(at.mul(at.y, at.y)); })},
      {"Abs", unary([](const At& at) { return at.make("Sign", {at.a}); })},
      {"Sin", unary([](const At& at) { return at.make("Cos", {at.a}); })},
      {"Cos", unary([](const At& at) { return at.neg(at.make("Sin", {at.a})); })},
      {"Tanh", unary([](const At& at) { return at.minus_from_one(at.mul(at.y, at.y)); })},
      {"Sigmoid", unary([](const At& at) { return at.mul(at.y, at.minus_from_one(at.y)); })},
      {"Softplus", unary([](const At& at) { return at.make("Sigmoid", {at.a}); })},
      {"Relu", unary([](const At& at) {
         Value* positive = at.make("Greater", {at.a, at.make.scalar(at.a, 0)});
         return at.make("CastLike", {positive, at.a});
       })},
      {"Erf", unary([](const At& at) {
         Value* bell = at.make("Exp", {at.neg(at.mul(at.a, at.a))});
         return at.mul(bell, at.make.scalar(at.a, 2 / std::sqrt(std::numbers::pi)));
       })},
      {"MatMul", of_matmul},
      {"Gemm", of_gemm},
      {"Conv", of_conv},
      {"ReduceSum", of_reduction},
      {"ReduceMean", of_reduction},
      {"Softmax", of_softmax},
      {"LogSoftmax", of_softmax},
      {"Reshape", reshaped},
      {"Flatten", reshaped},
      {"Squeeze", reshaped},
      {"Unsqueeze", reshaped},
      {"Expand",
       [](const At& at) -> Gradients {
         return {at.reduced(at.dy, at.a), nullptr};
       }},
      {"SumToShape",
       [](const At& at) -> Gradients {
         return {at.make("Expand", {at.dy, at.make("Shape", {at.a})}), nullptr};
       }},
      {"Transpose", of_transpose},
      {"Concat", of_concat},
      {"Where", of_where},
  };
  return all;
}

}  // namespace

std::vector<Value*> input_gradients(const NodeMaker& make, const Node& node, Value* dy) {
  const auto found = rules().find(node.op_type());
  const bool ours = node.op_type() == "SumToShape";
  if (found == rules().end() || node.domain() != (ours ? "sardonyx" : "") || node.opset() < 7)
    fail(ErrorKind::unsupported, "no rule for the derivative of ", node.place());
  return found->second({make, node, node.input(0), node.input(1), node.output(0), dy});
}

}  // namespace sdx::ops
