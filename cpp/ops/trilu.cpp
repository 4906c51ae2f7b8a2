// Operators about diagonals: Trilu, EyeLike.
#include "ops/axes.h"
#include "ops/axis_maps.h"
#include "ops/movement.h"

namespace sdx::ops {
namespace {

class Trilu final : public Op {
 public:
  explicit Trilu(const OpInit& init) : upper_(init.attrs.get("upper", 1) != 0) {}

  void infer(InferContext& ctx) const override {
    check(!ctx.has_rank(0) || ctx.rank(0) >= 2, "expected a rank of at least 2");
    if (ctx.has_input(1)) check(ctx.dtype(1) == DType::int64, "k is of ", ctx.dtype(1));
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& shape = ctx.shape(0);
    const int64_t rows = shape[shape.size() - 2], cols = shape.back();
    const int64_t total = cols ? ctx.count(0) / cols : 0;
    const bool has_k = ctx.has_input(1);
    if (has_k) check(ctx.count(1) == 1, "k has ", ctx.count(1), " elements");
    return dispatch_items(ctx.dtype(0), [&]<class T>() -> Step {
      return [=, upper = upper_](Frame& f) {
        const int64_t k = std::clamp(has_k ? *f.in<int64_t>(1) : 0, -rows - 1, cols + 1);
        const T* x = f.in<T>(0);
        T* y = f.out<T>(0);
        const double cost = 2.0 + move_cost<T>() * static_cast<double>(cols);
        f.parallel_for(split_work(total, cost), [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i) {
            // Upper keeps columns from the diagonal on, lower those up to it.
            const int64_t cut = std::clamp<int64_t>(i % rows + k + (upper ? 0 : 1), 0, cols);
            const T* from = x + i * cols;
            T* to = y + i * cols;
            const int64_t begin = upper ? cut : 0, end = upper ? cols : cut;
            std::fill(to, to + begin, T{});
            if (from != to) copy_run(from + begin, to + begin, end - begin);
            std::fill(to + end, to + cols, T{});
          }
        });
      };
    });
  }

 private:
  bool upper_;
};

class EyeLike final : public Op {
 public:
  explicit EyeLike(const OpInit& init) : k_(init.attrs.get("k", 0)) {
    if (!init.attrs.has("dtype")) return;
    const int64_t code = init.attrs.get("dtype", 0);
    check(is_known_dtype(code), "dtype ", code, " is no element type");
    dtype_ = static_cast<DType>(code);
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = dtype_.value_or(ctx.dtype(0));
    if (!ctx.has_rank(0)) return ctx.set_output(0, dtype, unknown_dims(2));
    check(ctx.rank(0) == 2, "expected a matrix, got shape ", ctx.dims(0));
    ctx.set_output(0, dtype, ctx.dims(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t rows = ctx.shape(0)[0], cols = ctx.shape(0)[1];
    const DType dtype = ctx.output_dtype(0);
    return [=, one = item_bytes(dtype, 1), bytes = static_cast<int64_t>(item_size(dtype)),
            k = std::clamp(k_, -rows - 1, cols + 1)](Frame& f) {
      auto* y = f.out<std::byte>(0);
      std::fill_n(y, rows * cols * bytes, std::byte{0});
      for (int64_t i = std::max<int64_t>(0, -k); i < rows && i + k < cols; ++i)
        std::memcpy(y + (i * cols + i + k) * bytes, one.bytes, static_cast<std::size_t>(bytes));
    };
  }

 private:
  int64_t k_;
  std::optional<DType> dtype_;
};

}  // namespace

[[gnu::cold]] void register_trilu(OpRegistry& ops) {
  ops.add<Trilu>("Trilu", {.since = 14, .in_place = 0b1});
  ops.add<EyeLike>("EyeLike", {.since = 9});
}

}  // namespace sdx::ops
