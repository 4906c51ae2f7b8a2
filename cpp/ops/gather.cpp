// Gather, GatherElements, GatherND.
#include "ops/axes.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

class Gather final : public Op {
 public:
  explicit Gather(const OpInit& init) : axis_(init.attrs.get("axis", 0)) {}

  void infer(InferContext& ctx) const override {
    check_indices(ctx, 1);
    if (!ctx.has_rank(0) || !ctx.has_rank(1)) return ctx.set_output(0, ctx.dtype(0));
    const Dims &data = ctx.dims(0), &indices = ctx.dims(1);
    const int64_t axis = normalize_axis(axis_, ctx.rank(0));
    Dims dims(data.begin(), data.begin() + axis);
    dims.insert(dims.end(), indices.begin(), indices.end());
    dims.insert(dims.end(), data.begin() + axis + 1, data.end());
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
    const auto contents = ctx.contents(0);
    const auto picks = ctx.integers(1);
    if (!contents || !picks || data.size() != 1 || indices.size() > 1) return;
    Dims picked;
    for (const int64_t pick : *picks)
      picked.push_back(
          (*contents)[checked_index(pick, static_cast<int64_t>(contents->size()), axis)]);
    ctx.set_contents(0, std::move(picked));
  }

  Traffic traffic(const PrepareContext& ctx) const override { return ctx.bytes_without(0); }

  Step prepare(PrepareContext& ctx) const override {
    const AxisSplit data = split_at(ctx.shape(0), axis_);
    const int64_t axis = normalize_axis(axis_, static_cast<int64_t>(ctx.shape(0).size()));
    const int64_t picks = ctx.count(1);
    const bool wide = ctx.dtype(1) == DType::int64;
    return dispatch_items(ctx.dtype(0), [&]<class T>() -> Step {
      return [=](Frame& f) {
        const T* x = f.in<T>(0);
        const Indices indices(f, 1, wide);
        T* y = f.out<T>(0);
        const double cost = 2.0 + move_cost<T>() * static_cast<double>(data.inner);
        f.parallel_for(split_work(data.outer * picks, cost), [&](Range r) {
          if (r.begin == r.end) return;
          int64_t outer = r.begin / picks, at = r.begin % picks;
          for (int64_t i = r.begin; i < r.end; ++i) {
            const int64_t pick = checked_index(indices[at], data.size, axis);
            copy_run(x + (outer * data.size + pick) * data.inner, y + i * data.inner, data.inner);
            if (++at == picks) {
              at = 0;
              ++outer;
            }
          }
        });
      };
    });
  }

  // One constant index into the outermost axis is a part of the input.
  std::optional<View> view(const PrepareContext& ctx, int) const override {
    const Tensor* index = ctx.constant(1);
    const AxisSplit data = split_at(ctx.shape(0), axis_);
    if (!index || index->count() != 1 || data.outer != 1 || ctx.dtype(0) == DType::string)
      return std::nullopt;
    const int64_t pick = checked_index(index->to_int64s()[0], data.size, axis_);
    return View{0, pick * data.inner * static_cast<int64_t>(item_size(ctx.dtype(0)))};
  }

 private:
  int64_t axis_;
};

// y[j] = x[j * step + picks[j] * stride] for j < n.
template <class T, class Index>
void gather_row(const T* x, const Index* picks, T* y, int64_t n, int64_t step, int64_t stride,
                int64_t size, int64_t axis) {
  for (int64_t j = 0; j < n; ++j) {
    const int64_t index = picks[j];
    const int64_t pick = index < 0 ? index + size : index;
    if (static_cast<uint64_t>(pick) >= static_cast<uint64_t>(size)) [[unlikely]]
      checked_index(index, size, axis);  // throws
    y[j] = x[j * step + pick * stride];
  }
}

class GatherElements final : public Op {
 public:
  explicit GatherElements(const OpInit& init) : axis_(init.attrs.get("axis", 0)) {}

  void infer(InferContext& ctx) const override {
    check_indices(ctx, 1);
    if (ctx.has_rank(0) && ctx.has_rank(1)) {
      const Dims &data = ctx.dims(0), &indices = ctx.dims(1);
      check(data.size() == indices.size(), "ranks differ: ", data, " and ", indices);
      const int64_t axis = normalize_axis(axis_, ctx.rank(0));
      for (int64_t i = 0; i < ctx.rank(0); ++i)
        check(i == axis || !data[i].is_known() || indices[i].value_or(0) <= data[i].value(),
              "indices of shape ", indices, " reach beyond data of shape ", data);
    }
    if (ctx.has_rank(1))
      ctx.set_output(0, ctx.dtype(0), ctx.dims(1));
    else
      ctx.set_output(0, ctx.dtype(0));
  }

  Traffic traffic(const PrepareContext& ctx) const override { return ctx.bytes_without(0); }

  Step prepare(PrepareContext& ctx) const override {
    const Shape picks = ctx.shape(1);
    const int64_t axis = normalize_axis(axis_, static_cast<int64_t>(picks.size()));
    const int64_t size = ctx.shape(0)[axis], count = element_count(picks);
    const Shape strides = row_major_strides(ctx.shape(0));
    const bool wide = ctx.dtype(1) == DType::int64;
    return dispatch_items(ctx.dtype(0), [&]<class T>() -> Step {
      return [=](Frame& f) {
        const T* x = f.in<T>(0);
        T* y = f.out<T>(0);
        if (count == 0) return;
        constexpr int64_t kPiece = 1 << 14;  // of a long row
        const int64_t row = picks.back(), stride = strides[axis];
        const int64_t pieces = (row + kPiece - 1) / kPiece;
        const auto last = static_cast<int64_t>(picks.size()) - 1;
        const int64_t step = axis == last ? 0 : 1;
        const double cost = (2.0 + move_cost<T>()) * static_cast<double>(row / pieces);
        f.parallel_for(split_work(count / row * pieces, cost), [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i) {
            const int64_t begin = row * (i % pieces) / pieces;
            const int64_t length = row * (i % pieces + 1) / pieces - begin;
            const int64_t at = i / pieces * row + begin;
            int64_t base = begin * step, rest = i / pieces;
            for (int64_t d = last; d-- > 0; rest /= picks[d])
              if (d != axis) base += rest % picks[d] * strides[d];
            if (wide)
              gather_row(x + base, f.in<int64_t>(1) + at, y + at, length, step, stride, size, axis);
            else
              gather_row(x + base, f.in<int32_t>(1) + at, y + at, length, step, stride, size, axis);
          }
        });
      };
    });
  }

 private:
  int64_t axis_;
};

class GatherND final : public Op {
 public:
  explicit GatherND(const OpInit& init) : batch_dims_(init.attrs.get("batch_dims", 0)) {
    check(batch_dims_ >= 0, "batch_dims is ", batch_dims_);
  }

  void infer(InferContext& ctx) const override {
    check_indices(ctx, 1);
    if (!ctx.has_rank(0) || !ctx.has_rank(1)) return ctx.set_output(0, ctx.dtype(0));
    const Dims &data = ctx.dims(0), &indices = ctx.dims(1);
    check(batch_dims_ < ctx.rank(1) && batch_dims_ < ctx.rank(0), "batch_dims ", batch_dims_,
          " does not fit data of rank ", ctx.rank(0), " and indices of rank ", ctx.rank(1));
    for (int64_t i = 0; i < batch_dims_; ++i)
      check(!data[i].is_known() || data[i].value() == indices[i].value_or(data[i].value()),
            "batch dimensions of ", data, " and ", indices, " differ");
    if (!indices.back().is_known()) return ctx.set_output(0, ctx.dtype(0));
    const int64_t depth = indices.back().value();
    check(depth >= 0 && batch_dims_ + depth <= ctx.rank(0), "indices of ", depth,
          " coordinates do not fit data of rank ", ctx.rank(0));
    Dims dims(indices.begin(), indices.end() - 1);
    dims.insert(dims.end(), data.begin() + batch_dims_ + depth, data.end());
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
  }

  Traffic traffic(const PrepareContext& ctx) const override { return ctx.bytes_without(0); }

  Step prepare(PrepareContext& ctx) const override {
    const Shape &data = ctx.shape(0), &indices = ctx.shape(1);
    const int64_t depth = indices.back();
    const Shape sizes(data.begin() + batch_dims_, data.begin() + batch_dims_ + depth);
    const Shape all_strides = row_major_strides(data);
    const Shape strides(all_strides.begin() + batch_dims_,
                        all_strides.begin() + batch_dims_ + depth);
    const auto part = [](const Shape& shape, int64_t begin, int64_t end) {
      return element_count(std::span<const int64_t>(shape).subspan(begin, end - begin));
    };
    const int64_t picks = part(indices, 0, static_cast<int64_t>(indices.size()) - 1);
    const int64_t batch = part(data, 0, batch_dims_);
    const int64_t batch_stride = part(data, batch_dims_, static_cast<int64_t>(data.size()));
    const int64_t inner = part(data, batch_dims_ + depth, static_cast<int64_t>(data.size()));
    const bool wide = ctx.dtype(1) == DType::int64;
    if (picks == 0) return [](Frame&) {};
    const int64_t picks_per_batch = picks / batch;
    return dispatch_items(ctx.dtype(0), [&]<class T>() -> Step {
      return [=, first_axis = batch_dims_](Frame& f) {
        const T* x = f.in<T>(0);
        const Indices picked(f, 1, wide);
        T* y = f.out<T>(0);
        const double cost = 3.0 + move_cost<T>() * static_cast<double>(inner);
        f.parallel_for(split_work(picks, cost), [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i) {
            int64_t offset = i / picks_per_batch * batch_stride;
            for (int64_t d = 0; d < depth; ++d)
              offset += checked_index(picked[i * depth + d], sizes[d], first_axis + d) * strides[d];
            copy_run(x + offset, y + i * inner, inner);
          }
        });
      };
    });
  }

 private:
  int64_t batch_dims_;
};

}  // namespace

[[gnu::cold]] void register_gather(OpRegistry& ops) {
  ops.add<Gather>("Gather", {});
  ops.add<GatherElements>("GatherElements", {.since = 11});
  ops.add<GatherND>("GatherND", {.since = 11});
}

}  // namespace sdx::ops
