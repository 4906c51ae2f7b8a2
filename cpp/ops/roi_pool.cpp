// MaxRoiPool: the largest item in each bin of a region ("Fast R-CNN", Girshick, 2015).
#include <cmath>

#include "ops/axes.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

// The items of an axis that bin `i` of a region covers; none where it lies outside.
struct Bins {
  double start, size;
  int64_t limit;
  Range operator[](int64_t i) const {
    const auto place = [&](double x) {
      return static_cast<int64_t>(std::clamp(x, 0.0, static_cast<double>(limit)));
    };
    const auto at = static_cast<double>(i);
    return {place(std::floor(at * size) + start), place(std::ceil((at + 1) * size) + start)};
  }
};

class MaxRoiPool final : public Op {
 public:
  explicit MaxRoiPool(const OpInit& init)
      : pooled_(init.attrs.ints("pooled_shape")), scale_(init.attrs.get("spatial_scale", 1.0)) {
    check(pooled_.size() == 2 && pooled_[0] > 0 && pooled_[1] > 0, "pooled_shape is ",
          Shape(pooled_.begin(), pooled_.end()), ", expected [height, width]");
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype), "expected a float input, got ", dtype);
    check(ctx.dtype(1) == dtype, "rois of ", ctx.dtype(1), " for data of ", dtype);
    check_rank(ctx, 0, 4);
    check_rank(ctx, 1, 2);
    Dim rois = Dim::unknown(), channels = Dim::unknown();
    if (ctx.has_rank(0)) channels = ctx.dims(0)[1];
    if (ctx.has_rank(1)) {
      rois = ctx.dims(1)[0];
      check(may_equal(ctx.dims(1)[1], Dim(5)), "rois of shape ", ctx.dims(1), ", expected [N, 5]");
    }
    ctx.set_output(0, dtype, {rois, channels, pooled_[0], pooled_[1]});
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape x = ctx.shape(0), y = ctx.output_shape(0);
    const double cost =
        5.0 * static_cast<double>(pooled_[0] * pooled_[1]) + static_cast<double>(x[2] * x[3]);
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return [=, this, split = split_work(y[0] * y[1], cost)](Frame& f) {
        f.parallel_for(split, [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i)
            pool(f.in<T>(0), x, f.in<T>(1) + i / y[1] * 5, i % y[1],
                 f.out<T>(0) + i * pooled_[0] * pooled_[1]);
        });
      };
    });
  }

 private:
  template <class T>
  void pool(const T* x, const Shape& shape, const T* roi, int64_t channel, T* y) const {
    double corners[5];
    for (int k = 0; k < 5; ++k) {
      corners[k] = static_cast<double>(roi[k]);
      check_argument(std::abs(corners[k]) < kFar, "region with ", corners[k]);
    }
    const int64_t batch = checked_index(static_cast<int64_t>(corners[0]), shape[0], 0);
    const auto bins = [&](int first, int64_t limit, int64_t count) -> Bins {
      const double start = std::round(corners[first] * scale_);
      const double end = std::round(corners[first + 2] * scale_);
      return {start, std::max(end - start + 1, 1.0) / static_cast<double>(count), limit};
    };
    const Bins rows = bins(2, shape[2], pooled_[0]), columns = bins(1, shape[3], pooled_[1]);
    const T* plane = x + (batch * shape[1] + channel) * shape[2] * shape[3];
    for (int64_t i = 0; i < pooled_[0]; ++i)
      for (int64_t k = 0; k < pooled_[1]; ++k) {
        const Range down = rows[i], across = columns[k];
        T largest = T(0.0F);
        bool first = true;
        for (int64_t h = down.begin; h < down.end; ++h)
          for (int64_t w = across.begin; w < across.end; ++w) {
            const T item = plane[h * shape[3] + w];
            if (first || item > largest) largest = item;
            first = false;
          }
        *y++ = largest;
      }
  }

  static constexpr double kFar = 1e9;

  std::vector<int64_t> pooled_;
  double scale_;
};

}  // namespace

[[gnu::cold]] void register_roi_pool(OpRegistry& ops) { ops.add<MaxRoiPool>("MaxRoiPool", {}); }

}  // namespace sdx::ops
