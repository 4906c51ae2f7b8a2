// Concat.
#include "ops/axes.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

class Concat final : public Op {
 public:
  explicit Concat(const OpInit& init)
      : axis_(init.opset < 4 ? init.attrs.get("axis", 1) : init.attrs.require<int64_t>("axis")) {
    check(init.input_count >= 1, "at least one input is needed");
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    std::optional<Dims> dims;
    bool sized = true;  // every input has a rank
    for (int i = 0; i < ctx.input_count(); ++i) {
      check(ctx.dtype(i) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(i));
      if (!ctx.has_rank(i)) {
        sized = false;
        continue;
      }
      const Dims& next = ctx.dims(i);
      const int64_t axis = normalize_axis(axis_, ctx.rank(i));
      if (!dims) {
        dims = next;
        continue;
      }
      check(next.size() == dims->size(), "ranks differ: ", *dims, " and ", next);
      for (int64_t d = 0; d < ctx.rank(i); ++d) {
        Dim& dim = (*dims)[d];
        if (d == axis) {
          dim = dim + next[d];
        } else if (!dim.is_known()) {
          if (next[d].is_known()) dim = next[d];
        } else {
          check(dim.value() == next[d].value_or(dim.value()), "shapes ", *dims, " and ", next,
                " differ beside axis ", axis);
        }
      }
    }
    if (!dims) return ctx.set_output(0, dtype);
    if (!sized) (*dims)[normalize_axis(axis_, dims->size())] = Dim::unknown();
    const bool is_vector = dims->size() == 1;
    ctx.set_output(0, dtype, *std::move(dims));
    if (is_vector && sized) join_contents(ctx);
  }

  Step prepare(PrepareContext& ctx) const override {
    const AxisSplit out = split_at(ctx.output_shape(0), axis_);
    struct Part {
      int input;
      int64_t bytes_in;  // where it begins in a row of the output
      StridedCopy copy;
    };
    std::vector<Part> parts;
    const auto bytes = static_cast<int64_t>(item_size(ctx.output_dtype(0)));
    const int64_t out_step = ctx.output_step(0, out.size * out.inner);
    int64_t begin = 0;
    for (int i = 0; i < ctx.input_count(); ++i) {
      const int64_t run = split_at(ctx.shape(i), axis_).size * out.inner;
      // Rows apart are of a length that divides the run, or that the run divides.
      const int64_t length = ctx.rows(i).apart() ? ctx.rows(i).length : run;
      const int64_t row = std::min(run, length), step = ctx.step(i, length);
      if (out.outer * run > 0) {
        const int64_t runs = std::max<int64_t>(length / run, 1);
        parts.push_back({i, begin * bytes,
                         simplify({{out.outer / runs, runs, run / row, row},
                                   {run >= length ? run / row * step : step, run, step, 1},
                                   {runs * out_step, out_step, row, 1}})});
      }
      begin += run;
    }
    return [parts = std::move(parts), run = strided_mover(ctx.output_dtype(0))](Frame& f) {
      std::byte* y = f.out<std::byte>(0);
      for (const Part& part : parts) {
        const auto* from = f.in<std::byte>(part.input);
        if (from != y + part.bytes_in) run(f, part.copy, from, y + part.bytes_in);
      }
    };
  }

  std::optional<View> part(const PrepareContext& ctx, int input) const override {
    if (ctx.output_dtype(0) == DType::string) return std::nullopt;
    const AxisSplit out = split_at(ctx.output_shape(0), axis_);
    const auto run_of = [&](int i) { return split_at(ctx.shape(i), axis_).size * out.inner; };
    View view{input, 0};
    for (int i = 0; i < input; ++i) view.offset += run_of(i);
    view.offset *= static_cast<int64_t>(item_size(ctx.output_dtype(0)));
    if (out.outer > 1) view.rows = {run_of(input), out.size * out.inner};
    return view;
  }

  bool reads_rows(const PrepareContext& ctx, int input, int64_t length) const override {
    const AxisSplit in = split_at(ctx.shape(input), axis_);
    const int64_t run = in.size * in.inner;
    return ctx.dtype(input) != DType::string && run > 0 && (run % length == 0 || length % run == 0);
  }
  bool writes_rows(const PrepareContext& ctx, int, int64_t length) const override {
    const AxisSplit out = split_at(ctx.output_shape(0), axis_);
    return length == out.size * out.inner;
  }

  // With all other inputs empty, the result is the one that is not.
  std::optional<View> view(const PrepareContext& ctx, int) const override {
    int full = 0;
    for (int i = 0; i < ctx.input_count(); ++i)
      if (ctx.count(i) > 0) full = i;
    if (ctx.output_dtype(0) == DType::string ||
        ctx.count(full) != element_count(ctx.output_shape(0)))
      return std::nullopt;
    return View{full, 0};
  }

 private:
  // Elements of vectors, one after the other; unknown ones where an input's are not followed.
  static void join_contents(InferContext& ctx) {
    Dims all;
    bool any = false;
    for (int i = 0; i < ctx.input_count(); ++i) {
      if (const auto contents = ctx.contents(i)) {
        any = true;
        all.insert(all.end(), contents->begin(), contents->end());
      } else {
        const Dim& length = ctx.dims(i)[0];
        if (!length.is_known() || length.value() > static_cast<int64_t>(kMaxContents)) return;
        const Dims unknown = unknown_dims(length.value());
        all.insert(all.end(), unknown.begin(), unknown.end());
      }
    }
    if (any && all.size() <= kMaxContents) ctx.set_contents(0, std::move(all));
  }

  int64_t axis_;
};

}  // namespace

[[gnu::cold]] void register_concat(OpRegistry& ops) { ops.add<Concat>("Concat", {.joins = true}); }

}  // namespace sdx::ops
