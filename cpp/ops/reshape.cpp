// Operators that give their input another shape and leave its elements where they are: Reshape,
// Flatten, Squeeze, Unsqueeze.
#include "base/checked.h"
#include "ops/axes.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

// Output 0 is input 0 as `dims`.
void set_reshaped(InferContext& ctx, Dims dims) {
  ctx.set_output(0, ctx.dtype(0), std::move(dims));
  if (auto contents = ctx.contents(0)) ctx.set_contents(0, *std::move(contents));
}

class Reshape final : public Op {
 public:
  // Some models of opset 5 still give the attribute of opset 1.
  explicit Reshape(const OpInit& init)
      : shape_(init, "shape", init.attrs.has("shape") ? -1 : 1),
        allow_zero_(init.attrs.get("allowzero", 0)) {
    check(init.opset >= 5 || init.attrs.has("shape"), "attribute 'shape' is missing");
  }

  void infer(InferContext& ctx) const override {
    auto target = shape_.symbols(ctx);
    if (!target) {
      if (const auto rank = shape_.count(ctx))
        set_reshaped(ctx, unknown_dims(*rank));
      else
        ctx.set_output(0, ctx.dtype(0));
      return;
    }
    const Dims written = *target;
    std::optional<std::size_t> open;
    for (std::size_t i = 0; i < target->size(); ++i) {
      Dim& dim = (*target)[i];
      if (dim == Dim(0) && !allow_zero_) {
        if (ctx.has_rank(0))
          check(i < ctx.dims(0).size(), "dimension ", i, " of shape ", written,
                " copies one that the input of rank ", ctx.rank(0), " does not have");
        dim = ctx.has_rank(0) ? ctx.dims(0)[i] : Dim::unknown();
      } else if (dim == Dim(-1)) {
        check(!open, "shape ", written, " leaves more than one dimension open");
        open = i;
      } else {
        check(dim.value_or(0) >= 0, "negative dimension in shape ", written);
      }
    }
    if (open)
      (*target)[*open] = ctx.has_rank(0) ? quotient(ctx.dims(0), *target, *open) : Dim::unknown();
    if (ctx.has_rank(0)) {
      const Dim from = product(ctx.dims(0)), to = product(*target);
      check(!from.is_known() || !to.is_known() || from == to, "a tensor of shape ", ctx.dims(0),
            " cannot take shape ", written);
    }
    set_reshaped(ctx, *std::move(target));
  }

  Step prepare(PrepareContext& ctx) const override { return copy_step(ctx); }

 private:
  // The size of dimension `open` of `to`, which makes it hold as many elements as `from`.
  static Dim quotient(Dims from, const Dims& to, std::size_t open) {
    Dim divisor = 1;
    for (std::size_t i = 0; i < to.size(); ++i) {
      if (i == open) continue;
      const auto equal = std::find(from.begin(), from.end(), to[i]);
      if (equal != from.end())
        from.erase(equal);
      else
        divisor = divisor * to[i];
    }
    const Dim count = product(from);
    check(!(divisor == Dim(0)), "the open dimension of shape ", to, " is not determined");
    return divisor == Dim(1) ? count : floor_div(count, divisor);
  }

  IntegerList shape_;
  bool allow_zero_;
};

class Flatten final : public Op {
 public:
  explicit Flatten(const OpInit& init) : axis_(init.attrs.get("axis", 1)) {}

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) return set_reshaped(ctx, unknown_dims(2));
    const Dims& dims = ctx.dims(0);
    const int64_t rank = ctx.rank(0);
    check(axis_ >= -rank && axis_ <= rank, "axis ", axis_, " is out of range for rank ", rank);
    const auto axis = static_cast<std::size_t>(axis_ < 0 ? axis_ + rank : axis_);
    set_reshaped(ctx, {product(dims, 0, axis), product(dims, axis, dims.size())});
  }

  Step prepare(PrepareContext& ctx) const override { return copy_step(ctx); }

 private:
  int64_t axis_;
};

class Squeeze final : public Op {
 public:
  explicit Squeeze(const OpInit& init) : axes_(init, "axes", init.opset < 13 ? -1 : 1) {}

  void infer(InferContext& ctx) const override {
    const auto kept = kept_dims(ctx);
    if (kept)
      set_reshaped(ctx, *kept);
    else
      ctx.set_output(0, ctx.dtype(0));
  }

  Step prepare(PrepareContext& ctx) const override { return copy_step(ctx); }

 private:
  std::optional<Dims> kept_dims(InferContext& ctx) const {
    if (!ctx.has_rank(0)) return std::nullopt;
    const Dims& dims = ctx.dims(0);
    Dims kept;
    if (!axes_.given(ctx)) {
      for (const Dim& dim : dims) {
        if (!dim.is_known()) return std::nullopt;
        if (dim.value() != 1) kept.push_back(dim);
      }
      return kept;
    }
    const auto axes = axes_.get(ctx);
    if (!axes) {
      const auto count = axes_.count(ctx);
      if (!count) return std::nullopt;
      check(*count <= ctx.rank(0), "more axes than dimensions: ", *count, " and ", ctx.rank(0));
      return unknown_dims(ctx.rank(0) - *count);
    }
    const Shape normal = normalize_axes(*axes, ctx.rank(0));
    for (int64_t i = 0; i < ctx.rank(0); ++i) {
      if (std::find(normal.begin(), normal.end(), i) == normal.end())
        kept.push_back(dims[i]);
      else
        check(dims[i].value_or(1) == 1, "axis ", i, " of size ", dims[i], " cannot be squeezed");
    }
    return kept;
  }

  IntegerList axes_;
};

class Unsqueeze final : public Op {
 public:
  explicit Unsqueeze(const OpInit& init) : axes_(init, "axes", init.opset < 13 ? -1 : 1) {
    check(init.opset >= 13 || init.attrs.has("axes"), "attribute 'axes' is missing");
  }

  void infer(InferContext& ctx) const override {
    const auto count = axes_.count(ctx);
    if (!ctx.has_rank(0) || !count) return ctx.set_output(0, ctx.dtype(0));
    const int64_t rank = checked_add(ctx.rank(0), *count);
    const auto axes = axes_.get(ctx);
    if (!axes) return set_reshaped(ctx, unknown_dims(rank));
    const Shape normal = normalize_axes(*axes, rank);
    Dims dims;
    std::size_t next = 0;
    for (int64_t i = 0; i < rank; ++i) {
      const bool is_new = std::find(normal.begin(), normal.end(), i) != normal.end();
      dims.push_back(is_new ? Dim(1) : ctx.dims(0)[next++]);
    }
    set_reshaped(ctx, std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override { return copy_step(ctx); }

 private:
  IntegerList axes_;
};

}  // namespace

[[gnu::cold]] void register_reshape(OpRegistry& ops) {
  ops.add<Reshape>("Reshape", {.view = true});
  ops.add<Flatten>("Flatten", {.view = true});
  ops.add<Squeeze>("Squeeze", {.view = true});
  ops.add<Unsqueeze>("Unsqueeze", {.view = true});
}

}  // namespace sdx::ops
