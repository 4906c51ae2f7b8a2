#include "base/checked.h"
#include "ops/axes.h"

namespace sdx::ops {

namespace {

std::optional<int64_t> vector_length(const InferContext& ctx, int i) {
  if (!ctx.has_rank(i)) return std::nullopt;
  check(ctx.rank(i) <= 1, "input ", i, " must be a vector, not of shape ", ctx.dims(i));
  const Dim count = product(ctx.dims(i));
  return count.is_known() ? std::optional(count.value()) : std::nullopt;
}

void check_list(const InferContext& ctx, int i) {
  const DType dtype = ctx.dtype(i);
  check(dtype == DType::undefined || is_integer(dtype), "expected integers as input ", i, ", got ",
        dtype);
  // One row is a list as well: com.microsoft's pads are written so.
  if (ctx.has_rank(i) && !(ctx.rank(i) == 2 && ctx.dims(i)[0] == Dim(1))) vector_length(ctx, i);
}

// Once sizes are known, what is not known will be when the node runs.
void defer_at_shape_time(InferContext& ctx) {
  if (!ctx.at_load()) ctx.defer();
}

}  // namespace

std::optional<Dims> elements(InferContext& ctx, int i) {
  if (auto contents = ctx.contents(i)) return contents;
  if (const auto numbers = ctx.integers(i)) return to_dims(*numbers);
  defer_at_shape_time(ctx);
  return std::nullopt;
}

Dim one_element(InferContext& ctx, int i, std::string_view what) {
  const auto given = elements(ctx, i);
  if (!given) return Dim::unknown();
  check(given->size() == 1, what, " has ", given->size(), " elements");
  return (*given)[0];
}

IntegerList::IntegerList(const OpInit& init, std::string_view name, int input) : input_(input) {
  if (input < 0 && init.attrs.has(name)) attribute_ = init.attrs.ints(name);
}

std::optional<std::vector<int64_t>> IntegerList::get(InferContext& ctx) const {
  if (attribute_) return attribute_;
  check_list(ctx, input_);
  auto numbers = ctx.integers(input_);
  if (!numbers) defer_at_shape_time(ctx);
  return numbers;
}

std::optional<Dims> IntegerList::symbols(InferContext& ctx) const {
  if (attribute_) return to_dims(*attribute_);
  check_list(ctx, input_);
  return elements(ctx, input_);
}

std::optional<int64_t> IntegerList::count(const InferContext& ctx) const {
  if (attribute_) return static_cast<int64_t>(attribute_->size());
  return vector_length(ctx, input_);
}

std::vector<int64_t> IntegerList::get(const PrepareContext& ctx) const {
  return attribute_ ? *attribute_ : known_integers(ctx, input_);
}

std::vector<int64_t> known_integers(const PrepareContext& ctx, int i) {
  check(ctx.has_input(i), "input ", i, " is missing");
  const Tensor* constant = ctx.constant(i);
  if (!constant) fail(ErrorKind::internal, "the elements of input ", i, " are not known");
  return constant->to_int64s();
}

Shape normalize_axes(std::span<const int64_t> axes, int64_t rank) {
  Shape result;
  for (const int64_t axis : axes) {
    const int64_t normal = normalize_axis(axis, rank);
    check(std::find(result.begin(), result.end(), normal) == result.end(), "axis ", axis,
          " is named twice");
    result.push_back(normal);
  }
  return result;
}

void check_dims(const Dims& dims) {
  for (const Dim& dim : dims) check(dim.value_or(0) >= 0, "negative dimension in shape ", dims);
}

Dim product(const Dims& dims, std::size_t begin, std::size_t end) {
  Dim result = 1;
  for (std::size_t i = begin; i < end; ++i)
    result = result.is_known() && dims[i].is_known()
                 ? Dim(checked_mul(result.value(), dims[i].value()))
                 : result * dims[i];
  return result;
}

std::optional<Dims> shape_from_input(InferContext& ctx, int i) {
  check(is_integer(ctx.dtype(i)), "a shape is given by integers, not ", ctx.dtype(i));
  if (auto contents = elements(ctx, i)) return contents;
  const auto length = vector_length(ctx, i);
  return length ? std::optional(unknown_dims(*length)) : std::nullopt;
}

Dims unknown_dims(int64_t count) {
  check(count >= 0 && count <= 1024, "a tensor of rank ", count, " is not supported");
  Dims dims;
  for (int64_t i = 0; i < count; ++i) dims.push_back(Dim::unknown());
  return dims;
}

void check_indices(const InferContext& ctx, int i) {
  check(ctx.dtype(i) == DType::int64 || ctx.dtype(i) == DType::int32,
        "expected indices of int32 or int64, got ", ctx.dtype(i));
}

}  // namespace sdx::ops
