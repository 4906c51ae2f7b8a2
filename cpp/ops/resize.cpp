// Resize and its older name Upsample.
#include <cmath>

#include "ops/axes.h"
#include "ops/axis_maps.h"
#include "ops/checkpoint.h"
#include "ops/movement.h"
#include "ops/resample.h"

namespace sdx::ops {
namespace {

enum class Mode { nearest, linear, cubic };
enum class Nearest { round_prefer_floor, round_prefer_ceil, floor, ceil, outwards };
enum class Transform {
  half_pixel,
  half_pixel_symmetric,
  pytorch_half_pixel,
  align_corners,
  asymmetric,
  tf_half_pixel_for_nn,
  tf_crop_and_resize
};
enum class Policy { stretch, not_larger, not_smaller };

template <class E>
E choose(const std::string& attribute, const std::string& name,
         std::initializer_list<std::pair<const char*, E>> choices) {
  for (const auto& [text, choice] : choices)
    if (name == text) return choice;
  fail(ErrorKind::invalid_model, "attribute '", attribute, "' is '", name, "'");
}

// Along one axis: sizes, and what lies between a position here and there.
struct AxisScale {
  int64_t in = 0, out = 0;
  double scale = 1;
  double roi_start = 0, roi_end = 1;
  bool is_trivial() const {
    return in == out && std::abs(scale - 1) < 1e-9 && roi_start == 0 && roi_end == 1;
  }
};

class Resize final : public Op {
 public:
  explicit Resize(const OpInit& init) {
    const Attributes& attrs = init.attrs;
    mode_ = choose<Mode>("mode", attrs.get("mode", "nearest"),
                         {{"nearest", Mode::nearest},
                          {"linear", Mode::linear},
                          {"bilinear", Mode::linear},
                          {"cubic", Mode::cubic}});
    if (init.type == "Upsample" || init.opset < 11) {
      transform_ = Transform::asymmetric;
      nearest_ = Nearest::outwards;
      scales_input_ = init.opset >= 9 ? 1 : -1;
      if (init.opset >= 9) return;
      if (init.opset >= 7) {
        scales_ = attrs.require<std::vector<float>>("scales");
      } else {
        scales_ = {1, 1, attrs.require<float>("height_scale"), attrs.require<float>("width_scale")};
      }
      return;
    }
    roi_input_ = 1;
    scales_input_ = 2;
    sizes_input_ = 3;
    transform_ = choose<Transform>("coordinate_transformation_mode",
                                   attrs.get("coordinate_transformation_mode", "half_pixel"),
                                   {{"half_pixel", Transform::half_pixel},
                                    {"half_pixel_symmetric", Transform::half_pixel_symmetric},
                                    {"pytorch_half_pixel", Transform::pytorch_half_pixel},
                                    {"align_corners", Transform::align_corners},
                                    {"asymmetric", Transform::asymmetric},
                                    {"tf_half_pixel_for_nn", Transform::tf_half_pixel_for_nn},
                                    {"tf_crop_and_resize", Transform::tf_crop_and_resize}});
    nearest_ = choose<Nearest>("nearest_mode", attrs.get("nearest_mode", "round_prefer_floor"),
                               {{"round_prefer_floor", Nearest::round_prefer_floor},
                                {"round_prefer_ceil", Nearest::round_prefer_ceil},
                                {"floor", Nearest::floor},
                                {"ceil", Nearest::ceil}});
    policy_ =
        choose<Policy>("keep_aspect_ratio_policy", attrs.get("keep_aspect_ratio_policy", "stretch"),
                       {{"stretch", Policy::stretch},
                        {"not_larger", Policy::not_larger},
                        {"not_smaller", Policy::not_smaller}});
    if (attrs.has("axes")) axes_ = attrs.ints("axes");
    cubic_a_ = attrs.get("cubic_coeff_a", -0.75);
    extrapolation_ = attrs.get("extrapolation_value", 0.0);
    exclude_outside_ = attrs.get("exclude_outside", 0) != 0;
    antialias_ = attrs.get("antialias", 0) != 0;
  }

  void infer(InferContext& ctx) const override {
    for (const int i : {roi_input_, scales_input_, sizes_input_}) {
      if (i < 0 || !ctx.has_input(i)) continue;
      const DType dtype = ctx.dtype(i);
      check(i == sizes_input_ ? is_integer(dtype) : is_float(dtype), "input ", i, " is ", dtype);
    }
    if (!ctx.has_rank(0)) return ctx.set_output(0, ctx.dtype(0));
    Dims dims = ctx.dims(0);
    const Shape axes = resized_axes(ctx.rank(0));
    if (gives(ctx, sizes_input_)) {
      resize_to_sizes(ctx, dims, axes);
    } else {
      const auto scales = scales_of(ctx);
      if (!scales && !ctx.at_load()) ctx.defer();
      if (scales) check_count("scales", scales->size(), axes.size());
      for (std::size_t i = 0; i < axes.size(); ++i) {
        Dim& dim = dims[axes[i]];
        dim = scales ? scaled(dim, (*scales)[i]) : Dim::unknown();
      }
    }
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
    if (transform_ == Transform::tf_crop_and_resize) {
      check(gives(ctx, roi_input_), "tf_crop_and_resize needs a roi");
      if (!ctx.constant(roi_input_) && !ctx.at_load()) ctx.defer();
    }
  }

  // Rows of an axis that stays as it is, of neighbours that are copied.
  bool reads_rows(const PrepareContext& ctx, int input, int64_t length) const override {
    const Shape& shape = ctx.shape(0);
    return input == 0 && mode_ == Mode::nearest && shape.size() > 1 && length == shape.back() &&
           ctx.dtype(0) != DType::string && axis_scales(ctx).back().is_trivial();
  }
  bool writes_rows(const PrepareContext& ctx, int, int64_t length) const override {
    return reads_rows(ctx, 0, length);
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& shape = ctx.shape(0);
    if (element_count(ctx.output_shape(0)) == 0) return [](Frame&) {};
    check(ctx.count(0) > 0, "an empty tensor cannot be resized to shape ", ctx.output_shape(0));
    const std::vector<AxisScale> scales = axis_scales(ctx);
    if (mode_ == Mode::nearest) {
      AxisMaps maps;
      for (const AxisScale& s : scales) maps.from.push_back(nearest_positions(s));
      const ItemBytes fill =
          extrapolation_ != 0 ? item_bytes(ctx.dtype(0), extrapolation_) : ItemBytes{};
      return map_axes_step(ctx, maps, -1, fill);
    }
    std::vector<AxisTaps> taps;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (scales[i].is_trivial()) continue;
      taps.push_back(axis_taps(scales[i]));
      taps.back().axis = static_cast<int64_t>(i);
    }
    return taps.empty() ? copy_step(ctx) : resample_step(ctx, std::move(taps), extrapolation_);
  }

 private:
  template <class Context>
  static bool is_empty(const Context& ctx, int i) {
    if constexpr (std::is_same_v<Context, PrepareContext>)
      return ctx.count(i) == 0;
    else
      return ctx.has_rank(i) &&
             std::find(ctx.dims(i).begin(), ctx.dims(i).end(), Dim(0)) != ctx.dims(i).end();
  }
  // Exporters write an empty tensor for an input they do not mean to give.
  template <class Context>
  static bool gives(const Context& ctx, int i) {
    return i >= 0 && ctx.has_input(i) && !is_empty(ctx, i);
  }

  static constexpr int64_t kPositionWork = 10;  // nanoseconds, of each position's source

  Shape resized_axes(int64_t rank) const {
    if (axes_) return normalize_axes(*axes_, rank);
    Shape all(static_cast<std::size_t>(rank));
    for (int64_t i = 0; i < rank; ++i) all[i] = i;
    return all;
  }

  static void check_count(const char* what, std::size_t count, std::size_t axes) {
    check(count == axes, "expected ", axes, " ", what, ", got ", count);
  }

  template <class Context>
  std::optional<std::vector<double>> scales_of(const Context& ctx) const {
    std::vector<double> scales(scales_.begin(), scales_.end());
    if (scales_input_ >= 0) {
      check(gives(ctx, scales_input_), "neither scales nor sizes are given");
      const Tensor* given = ctx.constant(scales_input_);
      if (!given) return std::nullopt;
      scales = given->to_doubles();
    }
    for (const double scale : scales)
      check(scale > 0 && std::isfinite(scale), "a scale of ", scale);
    return scales;
  }

  // Single precision, as scales are given: 10 * 0.7 is 7, not 6.
  static Dim scaled(const Dim& dim, double scale) {
    if (dim.is_known()) {
      const double size = static_cast<float>(dim.value()) * static_cast<float>(scale);
      check(size < 1e15, "size ", dim, " times ", scale, " overflows");
      return static_cast<int64_t>(size);
    }
    return scale == std::floor(scale) && scale < 1e6 ? dim * Dim(static_cast<int64_t>(scale))
                                                     : Dim::unknown();
  }

  void resize_to_sizes(InferContext& ctx, Dims& dims, const Shape& axes) const {
    check(is_integer(ctx.dtype(sizes_input_)), "sizes are integers, not ", ctx.dtype(sizes_input_));
    const auto sizes = elements(ctx, sizes_input_);
    if (sizes) {
      check_count("sizes", sizes->size(), axes.size());
      check_dims(*sizes);
    }
    bool numbers = sizes.has_value();
    std::vector<AxisScale> scales(axes.size());
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const Dim& dim = dims[axes[i]];
      numbers = numbers && dim.is_known() && (*sizes)[i].is_known();
      if (numbers) scales[i] = {dim.value(), (*sizes)[i].value()};
    }
    if (numbers) keep_aspect(scales);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (policy_ == Policy::stretch)
        dims[axes[i]] = sizes ? (*sizes)[i] : Dim::unknown();
      else
        dims[axes[i]] = numbers ? Dim(scales[i].out) : Dim::unknown();
    }
  }

  // Sets the scales that sizes imply and, unless the policy is to stretch, the sizes they allow.
  void keep_aspect(std::vector<AxisScale>& scales) const {
    double common = 0;
    bool first = true;
    for (AxisScale& s : scales) {
      s.scale = s.in ? static_cast<double>(s.out) / static_cast<double>(s.in) : 1;
      common = first                           ? s.scale
               : policy_ == Policy::not_larger ? std::min(common, s.scale)
                                               : std::max(common, s.scale);
      first = false;
    }
    if (policy_ == Policy::stretch) return;
    for (AxisScale& s : scales) {
      const double size = std::floor(common * static_cast<double>(s.in) + 0.5);
      check(size < 1e15, "size ", s.in, " times ", common, " overflows");
      s.scale = common;
      s.out = static_cast<int64_t>(size);
    }
  }

  std::vector<AxisScale> axis_scales(const PrepareContext& ctx) const {
    const Shape &shape = ctx.shape(0), &result = ctx.output_shape(0);
    const Shape axes = resized_axes(static_cast<int64_t>(shape.size()));
    std::vector<AxisScale> chosen(axes.size());
    std::vector<double> roi;
    if (transform_ == Transform::tf_crop_and_resize) {
      roi = ctx.constant(roi_input_)->to_doubles();
      check_count("roi coordinates", roi.size(), 2 * axes.size());
    }
    if (gives(ctx, sizes_input_)) {
      const std::vector<int64_t> sizes = known_integers(ctx, sizes_input_);
      for (std::size_t i = 0; i < axes.size(); ++i) chosen[i] = {shape[axes[i]], sizes[i]};
      keep_aspect(chosen);
    } else {
      const std::vector<double> scales = *scales_of(ctx);
      for (std::size_t i = 0; i < axes.size(); ++i)
        chosen[i] = {shape[axes[i]], result[axes[i]], scales[i]};
    }
    std::vector<AxisScale> all(shape.size());
    for (std::size_t i = 0; i < shape.size(); ++i) all[i] = {shape[i], shape[i]};
    for (std::size_t i = 0; i < axes.size(); ++i) {
      all[axes[i]] = chosen[i];
      if (!roi.empty()) {
        all[axes[i]].roi_start = roi[i];
        all[axes[i]].roi_end = roi[i + axes.size()];
      }
    }
    return all;
  }

  // The coordinate in the input of output position p.
  template <class R>
  R coordinate(const AxisScale& s, int64_t position) const {
    const R p = static_cast<R>(position), scale = static_cast<R>(s.scale);
    const R in = static_cast<R>(s.in), out = static_cast<R>(s.out);
    // The size that the scale means; rounding in it must not tilt a grid that fits.
    const R ideal = std::abs(scale * in - out) < R(1e-5) * out ? out : scale * in;
    switch (transform_) {
      case Transform::half_pixel:
        return (p + R(0.5)) / scale - R(0.5);
      case Transform::half_pixel_symmetric:
        return in / 2 * (1 - out / ideal) + (p + R(0.5)) / scale - R(0.5);
      case Transform::pytorch_half_pixel:
        return ideal == 1 ? R(-0.5) : (p + R(0.5)) / scale - R(0.5);
      case Transform::align_corners:
        return ideal == 1 ? R(0) : p * (in - 1) / (ideal - 1);
      case Transform::asymmetric:
        return p / scale;
      case Transform::tf_half_pixel_for_nn:
        return (p + R(0.5)) / scale;
      case Transform::tf_crop_and_resize: {
        const R start = static_cast<R>(s.roi_start), length = static_cast<R>(s.roi_end) - start;
        const R offset = ideal == 1 ? length * (in - 1) / 2 : p * length * (in - 1) / (ideal - 1);
        return offset + start * (in - 1);
      }
    }
    return 0;
  }

  bool is_outside(const AxisScale& s, double x) const {
    return transform_ == Transform::tf_crop_and_resize &&
           !(x >= 0 && x <= static_cast<double>(s.in - 1));
  }

  CountedVector<int64_t> nearest_positions(const AxisScale& s) const {
    CountedVector<int64_t> positions(static_cast<std::size_t>(s.out));
    Checkpoint checkpoint;
    for (int64_t p = 0; p < s.out; ++p) {
      checkpoint(kPositionWork);
      if (s.is_trivial()) {
        positions[p] = p;
        continue;
      }
      // Single precision: scales are, and p / scale must hit integers where it means to.
      const double x = coordinate<float>(s, p);
      if (is_outside(s, x)) {
        positions[p] = -1;
        continue;
      }
      positions[p] =
          static_cast<int64_t>(std::clamp(nearest(x, s.scale), 0.0, static_cast<double>(s.in - 1)));
    }
    return positions;
  }

  double nearest(double x, double scale) const {
    switch (nearest_) {
      case Nearest::round_prefer_floor:
        return std::ceil(x - 0.5);
      case Nearest::round_prefer_ceil:
        return std::floor(x + 0.5);
      case Nearest::floor:
        return std::floor(x);
      case Nearest::ceil:
        return std::ceil(x);
      case Nearest::outwards:  // before opset 11
        return scale < 1 ? std::ceil(x) : std::floor(x);
    }
    return x;
  }

  // The weight of an input position at distance t.
  double kernel(double t) const {
    t = std::abs(t);
    if (mode_ == Mode::linear) return std::max(0.0, 1 - t);
    const double a = cubic_a_;
    if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
    return 0;
  }

  AxisTaps axis_taps(const AxisScale& s) const {
    const double stretch = antialias_ ? std::min(s.scale, 1.0) : 1.0;
    const double support = (mode_ == Mode::linear ? 1 : 2) / stretch;
    AxisTaps taps;
    taps.in_size = s.in;
    taps.out_size = s.out;
    taps.width = static_cast<int64_t>(std::ceil(2 * support));
    taps.from.reserve(static_cast<std::size_t>(s.out * taps.width));
    taps.weight.reserve(taps.from.capacity());
    Checkpoint checkpoint;
    for (int64_t p = 0; p < s.out; ++p) {
      checkpoint(kPositionWork * (1 + taps.width));
      taps.from.resize(taps.from.size() + static_cast<std::size_t>(taps.width), 0);
      taps.weight.resize(taps.from.size(), 0.0);
      const double far = static_cast<double>(s.in) + 2 * support;
      double x = coordinate<double>(s, p);
      if (is_outside(s, x)) {
        taps.filled.resize(static_cast<std::size_t>(s.out), false);
        taps.filled[p] = true;
        continue;
      }
      x = std::clamp(x, -far, far);
      const auto first = static_cast<int64_t>(std::floor(x - support)) + 1;
      double* weight = taps.weight.data() + p * taps.width;
      double sum = 0;
      for (int64_t k = 0; k < taps.width; ++k) {
        const int64_t from = first + k;
        taps.from[p * taps.width + k] = std::clamp<int64_t>(from, 0, s.in - 1);
        weight[k] = kernel((static_cast<double>(from) - x) * stretch);
        if (exclude_outside_ && (from < 0 || from >= s.in)) weight[k] = 0;
        sum += weight[k];
      }
      if ((exclude_outside_ || antialias_) && sum != 0)
        for (int64_t k = 0; k < taps.width; ++k) weight[k] /= sum;
    }
    return taps;
  }

  Mode mode_ = Mode::nearest;
  Nearest nearest_ = Nearest::round_prefer_floor;
  Transform transform_ = Transform::half_pixel;
  Policy policy_ = Policy::stretch;
  std::optional<std::vector<int64_t>> axes_;
  std::vector<float> scales_;
  int roi_input_ = -1, scales_input_ = -1, sizes_input_ = -1;
  float cubic_a_ = -0.75f, extrapolation_ = 0;
  bool exclude_outside_ = false, antialias_ = false;
};

}  // namespace

[[gnu::cold]] void register_resize(OpRegistry& ops) {
  ops.add<Resize>("Resize", {.since = 10});
  ops.add<Resize>("Upsample", {});
}

}  // namespace sdx::ops
