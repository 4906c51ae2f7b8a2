// LpNormalization: lines along an axis divided by their L1 or L2 norm.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/norm.h"
#include "ops/broadcast.h"

namespace sdx::ops {
namespace {

class LpNormalization final : public Op {
 public:
  explicit LpNormalization(const OpInit& init)
      : axis_(init.attrs.get("axis", -1)), p_(init.attrs.get("p", 2)) {
    check(p_ == 1 || p_ == 2, "p is ", p_, ", neither 1 nor 2");
  }

  void infer(InferContext& ctx) const override {
    check(is_float(ctx.dtype(0)), "expected floats, got ", ctx.dtype(0));
    if (ctx.has_rank(0)) normalize_axis(axis_, ctx.rank(0));
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const AxisSplit block = split_at(ctx.shape(0), axis_);
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return [block, squares = p_ == 2, run = kernels::lp_norm_rows.resolve(),
              split = split_work(block.outer * block.inner,
                                 3 * static_cast<double>(block.size) + 10, 16)](Frame& f) {
        f.parallel_for(split, [&](Range r) {
          if constexpr (std::is_same_v<T, float>) {
            if (block.inner == 1 && block.size <= kShortLine)
              return run(f.in<float>(0) + r.begin * block.size,
                         f.out<float>(0) + r.begin * block.size, static_cast<std::size_t>(r.size()),
                         static_cast<std::size_t>(block.size), squares);
          }
          for (int64_t i = r.begin; i < r.end; ++i) {
            const int64_t first = i / block.inner * block.size * block.inner + i % block.inner;
            const T* x = f.in<T>(0) + first;
            T* y = f.out<T>(0) + first;
            if (block.inner == 1)
              normalize(x, y, block.size, std::integral_constant<int64_t, 1>{}, squares);
            else
              normalize(x, y, block.size, block.inner, squares);
          }
        });
      };
    });
  }

 private:
  static constexpr int64_t kParts = 8;
  static constexpr int64_t kShortLine = 32;

  // A line whose norm is 0 stays 0. Sums are taken in parts, which the compiler makes vectors of
  // where the stride is a constant.
  template <class T, class Stride>
  static void normalize(const T* x, T* y, int64_t size, Stride stride, bool squares) {
    using C = ComputeType<T>;
    double parts[kParts] = {};
    const auto add = [&](auto term) {
      int64_t k = 0;
      for (; k + kParts <= size; k += kParts)
        for (int64_t i = 0; i < kParts; ++i)
          parts[i] += term(static_cast<double>(static_cast<C>(x[(k + i) * stride])));
      for (; k < size; ++k)
        parts[k % kParts] += term(static_cast<double>(static_cast<C>(x[k * stride])));
    };
    if (squares)
      add([](double item) { return item * item; });
    else
      add([](double item) { return std::abs(item); });
    double total = 0;
    for (const double part : parts) total += part;
    const auto norm = static_cast<C>(squares ? std::sqrt(total) : total);
    if (norm == 0)
      for (int64_t k = 0; k < size; ++k) y[k * stride] = T(0);
    else
      for (int64_t k = 0; k < size; ++k) y[k * stride] = T(static_cast<C>(x[k * stride]) / norm);
  }

  int64_t axis_;
  int64_t p_;
};

}  // namespace

[[gnu::cold]] void register_lp_normalization(OpRegistry& ops) {
  ops.add<LpNormalization>("LpNormalization", {.in_place = 0b1});
}

}  // namespace sdx::ops
