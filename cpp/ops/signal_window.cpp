// HannWindow, HammingWindow, BlackmanWindow.
#include <array>
#include <cmath>
#include <numbers>

#include "ops/axes.h"
#include "ops/number_cast.h"

namespace sdx::ops {
namespace {

// Sums of cosines: c0 - c1 cos(t) + c2 cos(2 t).
class SignalWindow final : public Op {
 public:
  explicit SignalWindow(const OpInit& init) : periodic_(init.attrs.get("periodic", 1) != 0) {
    if (init.type == "HannWindow")
      factors_ = {0.5, 0.5, 0};
    else if (init.type == "HammingWindow")
      factors_ = {25.0 / 46, 21.0 / 46, 0};
    else
      factors_ = {0.42, 0.5, 0.08};
    const int64_t code = init.attrs.get("output_datatype", 1);
    check(is_known_dtype(code), "output_datatype ", code, " is no element type");
    dtype_ = static_cast<DType>(code);
  }

  void infer(InferContext& ctx) const override {
    check_indices(ctx, 0);
    const Dim size = one_element(ctx, 0, "the size");
    check(size.value_or(0) >= 0, "a size of ", size);
    ctx.set_output(0, dtype_, {size});
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t size = ctx.output_shape(0)[0];
    return dispatch(NumberTypes{}, dtype_, [&]<class T>() -> Step {
      // A symmetric window of one element is 0 / 0 in the standard, whose form is followed.
      return [size, factors = factors_,
              period = static_cast<double>(periodic_ ? size : size - 1)](Frame& f) {
        T* y = f.out<T>(0);
        f.parallel_for(split_work(size, 20), [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i) {
            const double t = 2 * std::numbers::pi * static_cast<double>(i) / period;
            const double value =
                factors[0] - factors[1] * std::cos(t) + factors[2] * std::cos(2 * t);
            y[i] = number_cast<T>(value);
          }
        });
      };
    });
  }

 private:
  std::array<double, 3> factors_;
  bool periodic_;
  DType dtype_;
};

}  // namespace

[[gnu::cold]] void register_signal_window(OpRegistry& ops) {
  for (const char* name : {"HannWindow", "HammingWindow", "BlackmanWindow"})
    ops.add<SignalWindow>(name, {.since = 17});
}

}  // namespace sdx::ops
