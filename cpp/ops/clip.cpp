// Clip, its bounds in attributes or in inputs.
#include <algorithm>
#include <limits>
#include <optional>

#include "kernels/unary.h"
#include "ops/broadcast.h"
#include "ops/half_block.h"

namespace sdx::ops {
namespace {

// Bounds that leave every number as it is.
template <class T>
struct Bounds {
  T low = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                               : std::numeric_limits<T>::lowest();
  T high = std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity()
                                                : std::numeric_limits<T>::max();
};

class Clip final : public Op {
 public:
  explicit Clip(const OpInit& init) {
    if (init.opset >= 11) return;
    if (const float* low = init.attrs.find<float>("min")) low_ = *low;
    if (const float* high = init.attrs.find<float>("max")) high_ = *high;
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype) || is_integer(dtype), "element type ", dtype, " is not a number");
    for (int i = 1; i < ctx.input_count(); ++i) {
      if (!ctx.has_input(i)) continue;
      check(ctx.dtype(i) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(i));
      if (!ctx.has_rank(i)) continue;
      for (const Dim& dim : ctx.dims(i))
        check(dim.value_or(1) == 1, "bound of shape ", ctx.dims(i), " is no scalar");
    }
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t count = ctx.count(0);
    const DType dtype = ctx.dtype(0);
    // What attributes give or nothing does; inputs are read when the step runs.
    Bounds<float> given;
    if (low_) given.low = *low_;
    if (high_) given.high = *high_;
    kernels::UnaryF32* clip = kernels::unary_clip.resolve();
    if (dtype == DType::float32) {
      return [=, split = split_work(count, 0.3, kElementGrain)](Frame& f) {
        const Bounds<float> bounds = read(f, given);
        f.parallel_for(split, [&](Range r) {
          clip(f.in<float>(0) + r.begin, f.out<float>(0) + r.begin,
               static_cast<std::size_t>(r.size()), bounds.low, bounds.high);
        });
      };
    }
    if (dtype == DType::float16) return half_step<Half>(count, given, clip);
    if (dtype == DType::bfloat16) return half_step<BFloat16>(count, given, clip);
    using Others =
        TypeList<double, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t>;
    return dispatch(Others{}, dtype, [&]<class T>() -> Step {
      Bounds<T> start;
      if constexpr (std::is_floating_point_v<T>) start = {given.low, given.high};
      return [start, split = split_work(count, 0.6, kElementGrain)](Frame& f) {
        const Bounds<T> bounds = read(f, start);
        f.parallel_for(split, [&](Range r) {
          const T* x = f.in<T>(0);
          T* y = f.out<T>(0);
          const auto [low, high] = bounds;  // of this call, so that no store can change them
          for (int64_t i = r.begin; i < r.end; ++i) {
            const T raised = x[i] < low ? low : x[i];
            y[i] = raised > high ? high : raised;
          }
        });
      };
    });
  }

 private:
  template <class Stored = void, class T>
  static Bounds<T> read(const Frame& f, Bounds<T> bounds) {
    using Item = std::conditional_t<std::is_void_v<Stored>, T, Stored>;
    if (const Item* low = f.in<Item>(1)) bounds.low = *low;
    if (const Item* high = f.in<Item>(2)) bounds.high = *high;
    return bounds;
  }

  template <class T>
  static Step half_step(int64_t count, Bounds<float> given, kernels::UnaryF32* clip) {
    return [=, half = half_conversion(dtype_of<T>),
            split = split_work(count, 0.6, kElementGrain)](Frame& f) {
      const Bounds<float> bounds = read<T>(f, given);
      f.parallel_for(split, [&](Range r) {
        map_halves(half, f.in<uint16_t>(0) + r.begin, f.out<uint16_t>(0) + r.begin,
                   static_cast<std::size_t>(r.size()), [&](float* block, std::size_t n) {
                     clip(block, block, n, bounds.low, bounds.high);
                   });
      });
    };
  }

  std::optional<float> low_, high_;
};

}  // namespace

[[gnu::cold]] void register_clip(OpRegistry& ops) {
  ops.add<Clip>("Clip", {.in_place = 0b1, .elementwise = true});
}

}  // namespace sdx::ops
