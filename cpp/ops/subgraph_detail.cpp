// Types that hold in every iteration, tensors cut and stacked along an axis.
#include <cstring>

#include "base/checked.h"
#include "base/interrupt.h"
#include "ir/graph.h"
#include "ops/subgraph.h"

namespace sdx::ops {
namespace {

constexpr int kMaxNesting = 12;
constexpr int kMaxWidenings = 8;

// The type without what it says of shapes.
Type forget_shapes(const Type& type) {
  Type result = type;
  result.shape.reset();
  if (type.element) result.element = std::make_shared<const Type>(forget_shapes(*type.element));
  return result;
}

// Whether `wide` leaves open what `narrow` knows, one being a join of the other.
bool knows_less(const Type& wide, const Type& narrow) {
  if (wide.kind != narrow.kind || wide.dtype != narrow.dtype) return true;
  if (narrow.shape) {
    if (!wide.shape || wide.shape->size() != narrow.shape->size()) return true;
    for (std::size_t i = 0; i < narrow.shape->size(); ++i)
      if ((*wide.shape)[i].is_unknown() && !(*narrow.shape)[i].is_unknown()) return true;
  }
  if (narrow.element && wide.element) return knows_less(*wide.element, *narrow.element);
  return false;
}

int nesting(const Graph& graph) {
  int deepest = 0;
  for (const Node* node : graph.nodes())
    for (const auto& [name, inner] : node->subgraphs())
      deepest = std::max(deepest, nesting(*inner));
  return deepest + 1;
}

}  // namespace

Type join(const Type& a, const Type& b) {
  if (!a.is_known()) return forget_shapes(b);
  if (!b.is_known()) return forget_shapes(a);
  // An optional may stand for its element: a value that is there.
  if (a.kind == Type::Kind::optional && b.kind != Type::Kind::optional && a.element)
    return Type::optional(join(*a.element, b));
  if (b.kind == Type::Kind::optional && a.kind != Type::Kind::optional && b.element)
    return Type::optional(join(a, *b.element));
  check(a.kind == b.kind, "types differ: ", a, " and ", b);
  Type result = a;
  if (a.dtype == DType::undefined) result.dtype = b.dtype;
  check(b.dtype == DType::undefined || result.dtype == b.dtype, "types differ: ", a, " and ", b);
  result.shape.reset();
  if (a.shape && b.shape && a.shape->size() == b.shape->size()) {
    Dims dims;
    for (std::size_t i = 0; i < a.shape->size(); ++i)
      dims.push_back((*a.shape)[i] == (*b.shape)[i] ? (*a.shape)[i] : Dim::unknown());
    result.shape = std::move(dims);
  }
  if (a.element && b.element)
    result.element = std::make_shared<const Type>(join(*a.element, *b.element));
  return result;
}

void check_nesting(const Attributes& attrs) {
  int depth = 0;
  for (const auto& [name, value] : attrs.all())
    if (const auto* graph = std::get_if<std::shared_ptr<Graph>>(&value))
      depth = std::max(depth, nesting(**graph));
  if (depth > kMaxNesting)
    fail(ErrorKind::unsupported, "subgraphs are nested ", depth, " deep; at most ", kMaxNesting,
         " are supported");
}

std::vector<Type> infer_iterations(InferContext& ctx, std::string_view body,
                                   std::vector<Facts> inputs, const CarriedState& carried) {
  for (int i = ctx.input_count() - ctx.capture_count(); i < ctx.input_count(); ++i)
    inputs.push_back(ctx.facts(i));
  for (int round = 0;; ++round) {
    std::vector<Type> outputs = ctx.infer_subgraph(body, inputs);
    check(outputs.size() >= carried.first_output + carried.count, "the body has ", outputs.size(),
          " outputs, fewer than the ", carried.first_output + carried.count, " that carry state");
    bool stable = true;
    for (std::size_t i = 0; i < carried.count; ++i) {
      Type& in = inputs[carried.first_input + i].type;
      Type& out = outputs[carried.first_output + i];
      Type joined = join(in, out);
      if (knows_less(joined, in)) {
        stable = false;
        in = round < kMaxWidenings ? joined : forget_shapes(joined);
      }
      // Where the body turns an optional into a value, the value is what comes out.
      if (joined.kind == out.kind || !out.is_known()) out = std::move(joined);
    }
    if (stable) return outputs;
    ctx.forget_subgraph(body);
  }
}

void stop_if_cancelled(const Frame& frame) {
  if (Interrupt* const interrupt = Interrupt::current()) interrupt->raise_if_stopped();
  if (frame.cancelled()) throw Interrupted::by_wish();
}

void append_captures(const Frame& frame, int capture_count, std::vector<Datum>& inputs) {
  for (int i = frame.input_count() - capture_count; i < frame.input_count(); ++i)
    inputs.push_back(frame.input(i));
}

Shape resolve_dims(const PrepareContext& ctx, std::span<const Dim> dims) {
  const auto find = [&](const Dim& dim) -> int64_t {
    for (int i = 0; i < ctx.input_count(); ++i) {
      if (!ctx.has_input(i) || !ctx.node().input(i)->type().shape) continue;
      const Dims& declared = *ctx.node().input(i)->type().shape;
      const Shape& shape = ctx.shape(i);
      if (declared.size() != shape.size()) continue;
      for (std::size_t axis = 0; axis < shape.size(); ++axis)
        if (declared[axis] == dim) return shape[axis];
    }
    return 0;
  };
  Shape shape;
  for (const Dim& dim : dims) shape.push_back(dim.is_known() ? dim.value() : find(dim));
  return shape;
}

int64_t single_integer(const Datum& datum, std::string_view what) {
  const Tensor& tensor = datum.tensor();
  check(tensor.count() == 1, what, " has ", tensor.count(), " elements instead of one");
  switch (tensor.dtype()) {
    case DType::boolean:
      return *tensor.data<bool>() ? 1 : 0;
    case DType::int64:
      return *tensor.data<int64_t>();
    case DType::int32:
      return *tensor.data<int32_t>();
    default:
      fail(ErrorKind::invalid_model, what, " has element type ", tensor.dtype());
  }
}

Tensor slice_first(const Tensor& tensor, int64_t i) {
  Shape shape = tensor.shape();
  shape.erase(0);
  const int64_t bytes = checked_mul(element_count(shape), item_size(tensor.dtype()));
  return Tensor::view(tensor.dtype(), shape, static_cast<const char*>(tensor.raw()) + i * bytes);
}

Tensor move_axis(const Tensor& tensor, int64_t from, int64_t to) {
  if (from == to) return tensor;
  Shape shape = tensor.shape();
  const int64_t size = shape[from];
  shape.erase(from);
  shape.insert(to, size);
  Tensor result = Tensor::allocate(tensor.dtype(), shape);
  // Between the two positions lies one block of axes that changes places with the moved one.
  const int64_t low = std::min(from, to), high = std::max(from, to);
  int64_t outer = 1, first = 1, second = 1, inner = 1;
  for (int64_t i = 0; i < tensor.rank(); ++i) {
    const int64_t dim = tensor.shape()[i];
    if (i < low)
      outer *= dim;
    else if (i > high)
      inner *= dim;
    else if (from < to ? i == from : i < from)
      first *= dim;
    else
      second *= dim;
  }
  const auto* source = static_cast<const char*>(tensor.raw());
  auto* target = static_cast<char*>(result.raw());
  const int64_t bytes = inner * static_cast<int64_t>(item_size(tensor.dtype()));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t a = 0; a < first; ++a)
      for (int64_t b = 0; b < second; ++b)
        copy_items(tensor.dtype(), source + ((o * first + a) * second + b) * bytes,
                   target + ((o * second + b) * first + a) * bytes, inner);
  return result;
}

void Stack::reserve(int64_t items) { reserved_ = items; }

char* Stack::next() {
  if (size_ == capacity_) {
    capacity_ = capacity_ == 0 ? std::max<int64_t>(reserved_, 4) : checked_mul(capacity_, 2);
    Shape shape = item_shape_;
    shape.insert(0, capacity_);
    item_count_ = element_count(item_shape_);
    Tensor bigger = Tensor::allocate(dtype_, shape);
    if (size_ > 0) copy_items(dtype_, buffer_.raw(), bigger.raw(), size_ * item_count_);
    buffer_ = std::move(bigger);
  }
  return static_cast<char*>(buffer_.raw()) + size_++ * item_count_ * item_size(dtype_);
}

void Stack::add(const Tensor& item) {
  if (size_ == 0) {
    dtype_ = item.dtype();
    item_shape_ = item.shape();
  }
  check(item.dtype() == dtype_ && item.shape() == item_shape_, "iteration ", size_, " gives a ",
        item.dtype(), " tensor of shape ", item.shape(), ", earlier ones ", dtype_, " of shape ",
        item_shape_);
  char* slot = next();
  copy_items(dtype_, item.raw(), slot, item_count_);
}

void Stack::add_zeros() {
  char* slot = next();
  if (dtype_ != DType::string && item_count_ > 0)
    std::memset(slot, 0, static_cast<std::size_t>(item_count_) * item_size(dtype_));
}

Tensor Stack::finish() {
  Shape shape = item_shape_;
  shape.insert(0, size_);
  if (size_ == 0) return Tensor::allocate(dtype_, shape);
  if (size_ == capacity_) return std::move(buffer_);
  return Tensor::own(dtype_, shape, buffer_.owner(), buffer_.raw());
}

}  // namespace sdx::ops
