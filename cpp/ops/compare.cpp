// Comparisons of numbers; Equal of booleans and strings too.
#include "kernels/compare.h"

#include <string>
#include <utility>

#include "ops/broadcast.h"
#include "ops/contents.h"

namespace sdx::ops {
namespace {

using kernels::Relation;

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

template <class T>
using CompareLoop = BinaryLoop<T, bool>;

// A loop of a relation, whose operands change places where it is asked for the other way round.
template <class T>
struct OrderedLoop {
  CompareLoop<T>* run;
  bool swapped;

  void operator()(const T* a, std::size_t a_step, const T* b, std::size_t b_step, bool* y,
                  std::size_t n) const {
    swapped ? run(b, b_step, a, a_step, y, n) : run(a, a_step, b, b_step, y, n);
  }
};

// The same by a kernel.
template <class T>
struct KernelLoop {
  kernels::Compare<T>* run;
  Relation relation;
  bool swapped;

  void operator()(const T* a, std::size_t a_step, const T* b, std::size_t b_step, bool* y,
                  std::size_t n) const {
    auto* bytes = reinterpret_cast<uint8_t*>(y);
    if (swapped)
      run(relation, b, b_step, a, a_step, bytes, n);
    else
      run(relation, a, a_step, b, b_step, bytes, n);
  }
};

// Types that can be ordered and have no kernel.
using LoopTypes =
    TypeList<double, Half, BFloat16, int8_t, int16_t, uint8_t, uint16_t, uint32_t, uint64_t>;

class Comparison final : public Op {
 public:
  explicit Comparison(const OpInit& init)
      : relation_(init.type == "Equal"                            ? Relation::equal
                  : init.type == "Greater" || init.type == "Less" ? Relation::greater
                                                                  : Relation::greater_or_equal),
        swapped_(init.type == "Less" || init.type == "LessOrEqual"),
        legacy_(init) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(ctx.dtype(1) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(1));
    check(is_float(dtype) || is_integer(dtype) ||
              (takes_any_type() && (dtype == DType::boolean || dtype == DType::string)),
          "element type ", dtype, " cannot be compared so");
    infer_pair(ctx, DType::boolean, legacy_);
    set_elementwise_contents<2>(ctx, [&](const Dim& a, const Dim& b) -> std::optional<Dim> {
      if (a.is_known() && b.is_known()) return Dim(holds(a.value(), b.value()));
      if (takes_any_type() && a == b) return Dim(1);
      // Shapes are compared with -1 where it stands for a dimension that stays.
      const auto negative = [](const Dim& dim) { return dim.is_known() && dim.value() < 0; };
      if (takes_any_type() &&
          ((negative(a) && never_negative(b)) || (negative(b) && never_negative(a))))
        return Dim(0);
      return std::nullopt;
    });
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape aligned = legacy_.align(ctx.shape(0), ctx.shape(1));
    const BinaryShapes shapes{ctx.output_shape(0), ctx.shape(0), aligned};
    const auto by_kernel =
        [&]<class T>(const kernels::Kernel<kernels::Compare<T>, kernels::kIsaCount>& kernel) {
          const KernelLoop<T> loop{kernel.resolve(), relation_, swapped_};
          return broadcast_step<T, bool>(shapes, loop, 0.2);
        };
    constexpr double kCost = 0.8, kStringCost = 20;
    switch (ctx.dtype(0)) {
      case DType::float32:
        return by_kernel(kernels::compare_f32);
      case DType::int32:
        return by_kernel(kernels::compare_i32);
      case DType::int64:
        return by_kernel(kernels::compare_i64);
      case DType::boolean:
        return broadcast_step<bool, bool>(shapes, &binary_loop<IsEqual, bool, bool>, kCost);
      case DType::string:
        return broadcast_step<std::string, bool>(shapes, &binary_loop<IsEqual, std::string, bool>,
                                                 kStringCost);
      default:
        return dispatch(LoopTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
          return broadcast_step<T, bool>(shapes, OrderedLoop<T>{loop<T>(), swapped_}, kCost);
        });
    }
  }

 private:
  bool takes_any_type() const { return relation_ == Relation::equal; }

  bool holds(int64_t a, int64_t b) const {
    if (swapped_) std::swap(a, b);
    return relation_ == Relation::equal ? a == b : relation_ == Relation::greater ? a > b : a >= b;
  }

  template <class T>
  CompareLoop<T>* loop() const {
    return relation_ == Relation::equal     ? &binary_loop<IsEqual, T, bool>
           : relation_ == Relation::greater ? &binary_loop<IsGreater, T, bool>
                                            : &binary_loop<IsGreaterOrEqual, T, bool>;
  }

  Relation relation_;
  bool swapped_;  // less than is greater than, the operands swapped
  LegacyBroadcast legacy_;
};

}  // namespace

[[gnu::cold]] void register_compare(OpRegistry& ops) {
  constexpr OpTraits kEarly{.in_place = 0b11, .elementwise = true};
  constexpr OpTraits kLate{.since = 12, .in_place = 0b11, .elementwise = true};
  for (const char* name : {"Equal", "Greater", "Less"}) ops.add<Comparison>(name, kEarly);
  for (const char* name : {"GreaterOrEqual", "LessOrEqual"}) ops.add<Comparison>(name, kLate);
}

}  // namespace sdx::ops
