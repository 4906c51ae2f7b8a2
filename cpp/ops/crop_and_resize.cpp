// com.microsoft CropAndResize: boxes of images sampled to one size.
#include <cmath>

#include "ops/axes.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

class CropAndResize final : public Op {
 public:
  explicit CropAndResize(const OpInit& init)
      : outside_(init.attrs.get("extrapolation_value", 0.0)) {
    const std::string mode = init.attrs.get("mode", "bilinear");
    check(mode == "bilinear" || mode == "nearest", "mode is '", mode, "'");
    nearest_ = mode == "nearest";
  }

  void infer(InferContext& ctx) const override {
    for (const int i : {0, 1})
      check(ctx.dtype(i) == DType::float32, "input ", i, " is ", ctx.dtype(i), ", not float32");
    for (const int i : {2, 3})
      check(ctx.dtype(i) == DType::int32, "input ", i, " is ", ctx.dtype(i), ", not int32");
    check_rank(ctx, 0, 4);
    check_rank(ctx, 1, 2);
    check_rank(ctx, 2, 1);
    Dims dims = unknown_dims(4);
    if (ctx.has_rank(1)) dims[0] = ctx.dims(1)[0];
    if (ctx.has_rank(0)) dims[1] = ctx.dims(0)[1];
    if (const auto size = ctx.integers(3)) {
      check(size->size() == 2 && (*size)[0] > 0 && (*size)[1] > 0,
            "crop_size does not hold two sizes above 0");
      dims[2] = (*size)[0];
      dims[3] = (*size)[1];
    } else if (!ctx.at_load()) {
      ctx.defer();
    }
    ctx.set_output(0, DType::float32, std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape &x = ctx.shape(0), &y = ctx.output_shape(0);
    const int64_t boxes = y[0], images = x[0];
    check(ctx.shape(1)[1] == 4 && ctx.count(2) == boxes, "boxes of shape ", ctx.shape(1), " and ",
          ctx.count(2), " indices");
    const int64_t channels = x[1], height = x[2], width = x[3], rows = y[2], columns = y[3];
    if (ctx.count(0) == 0) check(boxes * channels == 0, "boxes of an empty image");
    return [=, this](Frame& f) {
      const double cost = static_cast<double>(channels * columns) * 4 + 10;
      f.parallel_for(split_work(boxes * rows, cost), [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int64_t box = i / rows, row = i % rows;
          const int64_t image = f.in<int32_t>(2)[box];
          check_argument(image >= 0 && image < images, "image ", image, " is outside [0, ", images,
                         ")");
          const float* corners = f.in<float>(1) + box * 4;
          const float at_y = position(corners[0], corners[2], row, rows, height);
          float* to = f.out<float>(0) + (box * channels * rows + row) * columns;
          for (int64_t column = 0; column < columns; ++column) {
            const float at_x = position(corners[1], corners[3], column, columns, width);
            const bool inside = at_y >= 0 && at_y <= static_cast<float>(height - 1) && at_x >= 0 &&
                                at_x <= static_cast<float>(width - 1);
            const float* from = f.in<float>(0) + image * channels * height * width;
            for (int64_t c = 0; c < channels; ++c, from += height * width)
              to[c * rows * columns + column] = inside ? sample(from, width, at_y, at_x) : outside_;
          }
        }
      });
    };
  }

 private:
  static float position(float begin, float end, int64_t i, int64_t count, int64_t size) {
    const auto last = static_cast<float>(size - 1);
    if (count == 1) return 0.5f * (begin + end) * last;
    return begin * last +
           static_cast<float>(i) * ((end - begin) * last / static_cast<float>(count - 1));
  }

  float sample(const float* x, int64_t width, float at_y, float at_x) const {
    if (nearest_)
      return x[static_cast<int64_t>(std::round(at_y)) * width +
               static_cast<int64_t>(std::round(at_x))];
    const auto top = static_cast<int64_t>(std::floor(at_y));
    const auto bottom = static_cast<int64_t>(std::ceil(at_y));
    const auto left = static_cast<int64_t>(std::floor(at_x));
    const auto right = static_cast<int64_t>(std::ceil(at_x));
    const float dy = at_y - static_cast<float>(top), dx = at_x - static_cast<float>(left);
    const float above =
        x[top * width + left] + (x[top * width + right] - x[top * width + left]) * dx;
    const float below =
        x[bottom * width + left] + (x[bottom * width + right] - x[bottom * width + left]) * dx;
    return above + (below - above) * dy;
  }

  float outside_;
  bool nearest_;
};

}  // namespace

[[gnu::cold]] void register_crop_and_resize(OpRegistry& ops) {
  ops.add<CropAndResize>("CropAndResize", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
