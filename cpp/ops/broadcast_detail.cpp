// Broadcasting of shapes and the merging of axes.
#include <string>
#include <utility>

#include "ops/broadcast.h"

namespace sdx::ops {
namespace {

Dim broadcast_dim(const Dim& a, const Dim& b) {
  const bool a_is_one = a.is_known() && a.value() == 1;
  const bool b_is_one = b.is_known() && b.value() == 1;
  if (a_is_one) return b;
  if (b_is_one || a == b) return a;
  check(!a.is_known() || !b.is_known(), "dimensions ", a, " and ", b, " do not broadcast");
  // A number other than 1 leaves the unknown side no choice; two unknowns do not decide.
  if (a.is_known()) return a;
  if (b.is_known()) return b;
  // Shorter than the whole, the capped side would have to be 1 to broadcast: the whole it is.
  if (is_capped(b, a)) return a;
  if (is_capped(a, b)) return b;
  return Dim::unknown();
}

}  // namespace

Dims broadcast_dims(const Dims& a, const Dims& b) {
  const Dims& longer = a.size() >= b.size() ? a : b;
  const Dims& shorter = a.size() >= b.size() ? b : a;
  const std::size_t shift = longer.size() - shorter.size();
  Dims result = longer;
  for (std::size_t i = 0; i < shorter.size(); ++i)
    result[shift + i] = broadcast_dim(longer[shift + i], shorter[i]);
  return result;
}

void infer_broadcast(InferContext& ctx, DType dtype) {
  Dims dims;
  for (int i = 0; i < ctx.input_count(); ++i) {
    if (!ctx.has_rank(i)) return ctx.set_output(0, dtype);
    dims = broadcast_dims(dims, ctx.dims(i));
  }
  ctx.set_output(0, dtype, std::move(dims));
}

LegacyBroadcast::LegacyBroadcast(const OpInit& init) {
  if (init.opset >= 7) return;
  set_ = init.attrs.get("broadcast", 0) != 0;
  has_axis_ = init.attrs.has("axis");
  axis_ = init.attrs.get("axis", 0);
  if (init.type == "PRelu") {  // a slope a channel, or one for all
    set_ = has_axis_ = true;
    axis_ = 1;
  }
}

template <class Sizes>
Sizes LegacyBroadcast::pad(std::size_t rank, Sizes b) const {
  if (!set_ || !has_axis_ || b.size() >= rank) return b;
  const int64_t axis = normalize_axis(axis_, static_cast<int64_t>(rank));
  check(static_cast<std::size_t>(axis) + b.size() <= rank, "axis ", axis,
        " puts an operand of rank ", b.size(), " beyond rank ", rank);
  while (static_cast<std::size_t>(axis) + b.size() < rank) b.push_back(1);
  return b;
}

Dims LegacyBroadcast::align(const Dims& a, Dims b) const { return pad(a.size(), std::move(b)); }

Shape LegacyBroadcast::align(const Shape& a, const Shape& b) const { return pad(a.size(), b); }

void infer_pair(InferContext& ctx, DType dtype, const LegacyBroadcast& legacy) {
  if (!ctx.has_rank(0) || !ctx.has_rank(1)) return ctx.set_output(0, dtype);
  const Dims& a = ctx.dims(0);
  ctx.set_output(0, dtype, broadcast_dims(a, legacy.align(a, ctx.dims(1))));
}

bool has_rows(const Shape& shape, int64_t length) {
  int64_t run = 1;
  for (std::size_t d = shape.size(); d-- > 0 && run < length;) run *= shape[d];
  return run == length;
}

Broadcast::Broadcast(const Shape& result, std::initializer_list<const Shape*> operands,
                     std::initializer_list<Rows> operand_rows)
    : count(element_count(result)) {
  std::array<Shape, kMaxOperands> walked;
  int operand_count = 0;
  for (const Shape* operand : operands)
    walked[operand_count++] = broadcast_strides(*operand, result);
  for (int k = operand_count; k < kMaxOperands; ++k) walked[k] = Shape(result.size());
  int operand = 0;
  for (const Rows& apart : operand_rows) {
    for (int64_t& stride : walked[operand])
      if (apart.apart() && stride >= apart.length) stride = stride / apart.length * apart.step;
    ++operand;
  }

  // From the innermost axis outwards; an axis joins the one inside it where every operand walks
  // both as one.
  Shape sizes;
  std::array<Shape, kMaxOperands> merged;
  for (std::size_t d = result.size(); d-- > 0;) {
    if (result[d] == 1) continue;
    // Steps within a run are 0 or 1: of elements that lie apart, each is a run.
    const auto apart = [d](const Shape& strides_of) { return strides_of[d] > 1; };
    if (sizes.empty() && std::any_of(walked.begin(), walked.end(), apart)) {
      sizes.push_back(1);
      for (int k = 0; k < kMaxOperands; ++k) merged[k].push_back(walked[k][d] > 0 ? 1 : 0);
    }
    bool joins = !sizes.empty();
    for (int k = 0; joins && k < kMaxOperands; ++k)
      joins = walked[k][d] == merged[k].back() * sizes.back();
    if (joins) {
      sizes.back() *= result[d];
      continue;
    }
    sizes.push_back(result[d]);
    for (int k = 0; k < kMaxOperands; ++k) merged[k].push_back(walked[k][d]);
  }
  if (sizes.empty()) return;
  run = sizes[0];
  for (int k = 0; k < kMaxOperands; ++k) step[k] = static_cast<std::size_t>(merged[k][0]);
  for (std::size_t d = sizes.size(); d-- > 1;) {
    rows.push_back(sizes[d]);
    for (int k = 0; k < kMaxOperands; ++k) strides[k].push_back(merged[k][d]);
  }
}

bool Broadcast::is_full(int k) const {
  if (step[k] != 1) return false;
  int64_t expected = run;
  for (std::size_t d = rows.size(); d-- > 0;) {
    if (strides[k][d] != expected) return false;
    expected *= rows[d];
  }
  return true;
}

bool Broadcast::is_scalar(int k) const {
  return step[k] == 0 &&
         std::all_of(strides[k].begin(), strides[k].end(), [](int64_t s) { return s == 0; });
}

}  // namespace sdx::ops
