// com.microsoft MaxpoolWithMask: the largest of the elements of a window that a mask leaves in.
#include <limits>

#include "ops/checks.h"
#include "ops/registry.h"
#include "ops/window.h"

namespace sdx::ops {
namespace {

// One to three axes, the last ones of `axis`.
struct MaskedWindow {
  AxisWindow axis[3];
  int64_t axes = 0;

  int64_t inputs() const { return axis[0].input * axis[1].input * axis[2].input; }
  int64_t outputs() const { return axis[0].output * axis[1].output * axis[2].output; }
  Range taps(int k, int64_t output) const {
    const int64_t first = output * axis[k].stride - axis[k].pad_begin;
    return {std::max<int64_t>(first, 0), std::min(first + axis[k].taps, axis[k].input)};
  }

  // As in ONNX Runtime, a masked element ends its row of the window, and the first element of a
  // plane is never masked.
  float largest(const float* x, const int32_t* mask, Range slices, Range rows,
                Range columns) const {
    float most = std::numeric_limits<float>::lowest();
    for (int64_t i = slices.begin; i < slices.end; ++i)
      for (int64_t j = rows.begin; j < rows.end; ++j)
        for (int64_t k = columns.begin; k < columns.end; ++k) {
          const int64_t at = (i * axis[1].input + j) * axis[2].input + k;
          if (mask[at] == 0 && (at > 0 || axes == 1)) break;
          if (x[at] > most) most = x[at];
        }
    return most;
  }

  void pool(const float* x, const int32_t* mask, float* y) const {
    for (int64_t i = 0; i < axis[0].output; ++i)
      for (int64_t j = 0; j < axis[1].output; ++j)
        for (int64_t k = 0; k < axis[2].output; ++k)
          *y++ = largest(x, mask, taps(0, i), taps(1, j), taps(2, k));
  }
};

class MaxpoolWithMask final : public Op {
 public:
  explicit MaxpoolWithMask(const OpInit& init) : window_(init.attrs) {
    check(!window_.kernel_shape.empty(), "kernel_shape is missing");
    check(init.attrs.get("storage_order", 0) == 0, "storage_order is not 0");
    check(window_.kernel_shape.size() <= 3, "kernel_shape has ", window_.kernel_shape.size(),
          " entries, expected 1 to 3");
    window_.dilations.clear();
    window_.ceil_mode = false;
  }

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::float32, "expected float32, got ", ctx.dtype(0));
    check(ctx.dtype(1) == DType::int32, "a mask of ", ctx.dtype(1), ", not int32");
    if (!ctx.has_rank(0)) return ctx.set_output(0, DType::float32);
    const Dims& x = ctx.dims(0);
    check(x.size() == window_.kernel_shape.size() + 2, "an input of shape ", x,
          " for a kernel_shape of ", window_.kernel_shape.size(), " axes");
    window_.check_axes(ctx.rank(0) - 2);
    check_rank(ctx, 1, ctx.rank(0));
    Dims y{x[0], x[1]};
    for (std::size_t i = 0; i + 2 < x.size(); ++i)
      y.push_back(window_.output(i, x[i + 2], window_.kernel_shape[i]));
    ctx.set_output(0, DType::float32, std::move(y));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape &x = ctx.shape(0), &mask = ctx.shape(1);
    for (std::size_t i = 2; i < x.size(); ++i)
      check(mask[i] == x[i], "a mask of shape ", mask, " for an input of shape ", x);
    MaskedWindow w;
    w.axes = static_cast<int64_t>(x.size()) - 2;
    for (std::size_t i = 0; i + 2 < x.size(); ++i)
      w.axis[5 - x.size() + i] = resolve_axis(window_, i, x[i + 2], window_.kernel_shape[i]);
    const int64_t planes = x[0] * x[1], masks = mask[0] * mask[1];
    if (ctx.output_shape(0).empty() || element_count(ctx.output_shape(0)) == 0)
      return [](Frame&) {};
    check(masks > 0, "a mask of shape ", mask, " for an input of shape ", x);
    const double cost = 2 * static_cast<double>(w.outputs() * w.axis[0].taps * w.axis[1].taps) *
                        static_cast<double>(w.axis[2].taps);
    return [=, split = split_work(planes, cost)](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          // Where ONNX Runtime begins the mask of plane i, whatever its channel.
          const int64_t first = i * w.inputs() % masks;
          w.pool(f.in<float>(0) + i * w.inputs(), f.in<int32_t>(1) + first,
                 f.out<float>(0) + i * w.outputs());
        }
      });
    };
  }

 private:
  WindowAttributes window_;
};

}  // namespace

[[gnu::cold]] void register_masked_pool(OpRegistry& ops) {
  ops.add<MaxpoolWithMask>("MaxpoolWithMask", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
