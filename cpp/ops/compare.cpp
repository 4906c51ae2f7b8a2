// Comparisons of numbers; Equal of booleans and strings too.
#include "kernels/compare.h"

#include <string>
#include <type_traits>

#include "ops/broadcast.h"
#include "ops/contents.h"

namespace sdx::ops {
namespace {

struct IsEqual {
  template <class T>
  bool operator()(const T& a, const T& b) const {
    return a == b;
  }
};
struct IsGreater {
  template <class T>
  bool operator()(const T& a, const T& b) const {
    return a > b;
  }
};
struct IsGreaterOrEqual {
  template <class T>
  bool operator()(const T& a, const T& b) const {
    return a >= b;
  }
};
struct IsLess {
  template <class T>
  bool operator()(const T& a, const T& b) const {
    return a < b;
  }
};
struct IsLessOrEqual {
  template <class T>
  bool operator()(const T& a, const T& b) const {
    return a <= b;
  }
};

// A relation that has kernels, or one of its operands swapped.
template <class F>
inline constexpr kernels::Relation relation_of =
    std::is_same_v<F, IsEqual> ? kernels::Relation::equal
    : std::is_same_v<F, IsGreater> || std::is_same_v<F, IsLess>
        ? kernels::Relation::greater
        : kernels::Relation::greater_or_equal;
template <class F>
inline constexpr bool swaps_operands =
    std::is_same_v<F, IsLess> || std::is_same_v<F, IsLessOrEqual>;

// A loop for broadcast_step by a kernel.
template <class F, class T>
struct CompareLoop {
  kernels::Compare<T>* run;

  void operator()(const T* a, std::size_t a_step, const T* b, std::size_t b_step, bool* y,
                  std::size_t n) const {
    auto* bytes = reinterpret_cast<uint8_t*>(y);
    if (swaps_operands<F>)
      run(relation_of<F>, b, b_step, a, a_step, bytes, n);
    else
      run(relation_of<F>, a, a_step, b, b_step, bytes, n);
  }
};

template <class F>
inline constexpr bool takes_any_type = std::is_same_v<F, IsEqual>;

template <class F>
class Comparison final : public Op {
 public:
  explicit Comparison(const OpInit& init) : legacy_(init) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(ctx.dtype(1) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(1));
    check(is_float(dtype) || is_integer(dtype) ||
              (takes_any_type<F> && (dtype == DType::boolean || dtype == DType::string)),
          "element type ", dtype, " cannot be compared so");
    infer_pair(ctx, DType::boolean, legacy_);
    set_elementwise_contents<2>(ctx, [](const Dim& a, const Dim& b) -> std::optional<Dim> {
      if (a.is_known() && b.is_known()) return Dim(F{}(a.value(), b.value()));
      if (takes_any_type<F> && a == b) return Dim(1);
      // Shapes are compared with -1 where it stands for a dimension that stays.
      const auto negative = [](const Dim& dim) { return dim.is_known() && dim.value() < 0; };
      if (takes_any_type<F> &&
          ((negative(a) && never_negative(b)) || (negative(b) && never_negative(a))))
        return Dim(0);
      return std::nullopt;
    });
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape aligned = legacy_.align(ctx.shape(0), ctx.shape(1));
    const BinaryShapes shapes{ctx.output_shape(0), ctx.shape(0), aligned};
    const auto step = [&]<class T>() -> Step {
      constexpr double kCost = std::is_same_v<T, std::string> ? 20 : 0.8;
      return broadcast_step<T, T, bool>(shapes, &binary_loop<F, T, T, bool>, kCost);
    };
    const auto by_kernel =
        [&]<class T>(const kernels::Kernel<kernels::Compare<T>, kernels::kIsaCount>& kernel) {
          return broadcast_step<T, T, bool>(shapes, CompareLoop<F, T>{kernel.resolve()}, 0.2);
        };
    if (ctx.dtype(0) == DType::float32) return by_kernel(kernels::compare_f32);
    if (ctx.dtype(0) == DType::int32) return by_kernel(kernels::compare_i32);
    if (ctx.dtype(0) == DType::int64) return by_kernel(kernels::compare_i64);
    if constexpr (takes_any_type<F>) {
      if (ctx.dtype(0) == DType::boolean) return step.template operator()<bool>();
      if (ctx.dtype(0) == DType::string) return step.template operator()<std::string>();
    }
    return dispatch(NumberTypes{}, ctx.dtype(0), step);
  }

 private:
  LegacyBroadcast legacy_;
};

}  // namespace

[[gnu::cold]] void register_compare(OpRegistry& ops) {
  constexpr OpTraits kEarly{.in_place = 0b11, .elementwise = true};
  constexpr OpTraits kLate{.since = 12, .in_place = 0b11, .elementwise = true};
  ops.add<Comparison<IsEqual>>("Equal", kEarly);
  ops.add<Comparison<IsGreater>>("Greater", kEarly);
  ops.add<Comparison<IsLess>>("Less", kEarly);
  ops.add<Comparison<IsGreaterOrEqual>>("GreaterOrEqual", kLate);
  ops.add<Comparison<IsLessOrEqual>>("LessOrEqual", kLate);
}

}  // namespace sdx::ops
