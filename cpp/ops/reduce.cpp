// The Reduce operators.
#include "base/checked.h"
#include "ops/axes.h"
#include "ops/broadcast.h"
#include "ops/convert.h"
#include "ops/reduction.h"

namespace sdx::ops {
namespace {

struct Function {
  const char* name;
  Reduction reduction;
  Finish finish = Finish::none;
  int input_since = 18;  // the opset from which axes are an input
};

constexpr Function kFunctions[] = {
    {"ReduceSum", Reduction::sum, Finish::none, 13},
    {"ReduceMean", Reduction::sum, Finish::mean},
    {"ReduceMax", Reduction::max},
    {"ReduceMin", Reduction::min},
    {"ReduceProd", Reduction::prod},
    {"ReduceL1", Reduction::l1},
    {"ReduceL2", Reduction::sum_square, Finish::sqrt},
    {"ReduceSumSquare", Reduction::sum_square},
    {"ReduceLogSum", Reduction::sum, Finish::log},
    {"ReduceLogSumExp", Reduction::log_sum_exp},
};

const Function& function_of(const OpInit& init) {
  for (const Function& function : kFunctions)
    if (function.name == init.type) return function;
  fail(ErrorKind::internal, "no reduction is called ", init.type);
}

class Reduce final : public Op {
 public:
  explicit Reduce(const OpInit& init)
      : function_(&function_of(init)),
        axes_(init, "axes", init.opset >= function_->input_since ? 1 : -1),
        keep_dims_(init.attrs.get("keepdims", 1) != 0),
        empty_means_none_(init.attrs.get("noop_with_empty_axes", 0) != 0) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    const bool orders =
        function_->reduction == Reduction::max || function_->reduction == Reduction::min;
    check(is_float(dtype) || is_integer(dtype) || (orders && dtype == DType::boolean),
          "element type ", dtype, " cannot be reduced so");
    if (!ctx.has_rank(0)) return ctx.set_output(0, dtype);
    const Dims& dims = ctx.dims(0);
    const std::size_t rank = dims.size();

    std::vector<int64_t> axes;
    if (axes_.given(ctx)) {
      const auto known = axes_.get(ctx);
      if (!known) {
        ctx.defer();
        return keep_dims_ ? ctx.set_output(0, dtype, unknown_dims(static_cast<int64_t>(rank)))
                          : ctx.set_output(0, dtype);
      }
      axes = *known;
    }
    const std::vector<bool> reduced = reduced_axes(axes, rank);
    Dims result;
    for (std::size_t i = 0; i < rank; ++i) {
      if (!reduced[i])
        result.push_back(dims[i]);
      else if (keep_dims_)
        result.push_back(1);
    }
    ctx.set_output(0, dtype, std::move(result));
    if (rank == 1 && reduced[0]) set_contents(ctx);
  }

  Step prepare(PrepareContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    const std::vector<int64_t> axes = axes_.given(ctx) ? axes_.get(ctx) : std::vector<int64_t>{};
    ReducePlan plan =
        plan_reduction(ctx.shape(0), reduced_axes(axes, ctx.shape(0).size()), function_->finish);
    const DType working = working_type(dtype);
    const auto size = static_cast<int64_t>(item_size(working));
    const int64_t inner_scratch = round_up(checked_mul(plan.scratch_items(), size), kAlignment);
    ReduceRun run = reduce_run(function_->reduction, working, std::move(plan));
    if (working == dtype) {
      ctx.request_scratch(inner_scratch);
      return [run = std::move(run)](Frame& f) {
        run(f, f.in<std::byte>(0), f.out<std::byte>(0), f.scratch());
      };
    }
    return converted(ctx, std::move(run), working, inner_scratch);
  }

 private:
  // The type sums are made in: of 16-bit floats float32, of integers double where fractions arise.
  DType working_type(DType dtype) const {
    if (dtype == DType::float16 || dtype == DType::bfloat16) return DType::float32;
    const bool fractions =
        function_->finish != Finish::none || function_->reduction == Reduction::log_sum_exp;
    return fractions && is_integer(dtype) ? DType::float64 : dtype;
  }

  // Converts the input into scratch, reduces there, converts the result back.
  Step converted(PrepareContext& ctx, ReduceRun run, DType working, int64_t inner_scratch) const {
    const int64_t count = ctx.count(0), results = element_count(ctx.output_shape(0));
    const auto size = static_cast<int64_t>(item_size(working));
    const int64_t input_bytes = round_up(checked_mul(count, size), kAlignment);
    const int64_t output_bytes = round_up(checked_mul(results, size), kAlignment);
    ctx.request_scratch(checked_add(checked_add(input_bytes, output_bytes), inner_scratch));
    return [=, run = std::move(run), stored = item_size(ctx.dtype(0)),
            widen = conversion(ctx.dtype(0), working), narrow = conversion(working, ctx.dtype(0)),
            split = split_work(count, 0.5, kElementGrain)](Frame& f) {
      std::byte* x = f.scratch();
      std::byte* y = x + input_bytes;
      f.parallel_for(split, [&](Range r) {
        widen.run(f.in<std::byte>(0) + static_cast<std::size_t>(r.begin) * stored,
                  x + r.begin * size, static_cast<std::size_t>(r.size()));
      });
      run(f, x, y, y + output_bytes);
      narrow.run(y, f.out<std::byte>(0), static_cast<std::size_t>(results));
    };
  }

  std::vector<bool> reduced_axes(const std::vector<int64_t>& axes, std::size_t rank) const {
    if (axes.empty()) return std::vector<bool>(rank, !empty_means_none_);
    std::vector<bool> reduced(rank, false);
    for (const int64_t axis : normalize_axes(axes, static_cast<int64_t>(rank)))
      reduced[static_cast<std::size_t>(axis)] = true;
    return reduced;
  }

  void set_contents(InferContext& ctx) const {
    const auto contents = ctx.contents(0);
    if (!contents || contents->empty() || function_->finish != Finish::none) return;
    if (ctx.dtype(0) != DType::int64) return;
    Dim result = contents->front();
    for (std::size_t i = 1; i < contents->size(); ++i) {
      const Dim& item = (*contents)[i];
      switch (function_->reduction) {
        case Reduction::sum:
          result = result + item;
          break;
        case Reduction::prod:
          result = result * item;
          break;
        case Reduction::max:
          result = max(result, item);
          break;
        case Reduction::min:
          result = min(result, item);
          break;
        default:
          return;
      }
    }
    const bool maps = function_->reduction == Reduction::l1 ||
                      function_->reduction == Reduction::sum_square ||
                      function_->reduction == Reduction::log_sum_exp;
    if (!maps) ctx.set_contents(0, {result});
  }

  const Function* function_;
  IntegerList axes_;
  bool keep_dims_;
  bool empty_means_none_;
};

}  // namespace

[[gnu::cold]] void register_reduce(OpRegistry& ops) {
  for (const Function& function : kFunctions) ops.add<Reduce>(function.name, {});
}

}  // namespace sdx::ops
