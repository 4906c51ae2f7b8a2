// Conv and its fused form, with one to three spatial axes, in either layout.
#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/depthwise_planes.h"
#include "ops/checkpoint.h"
#include "ops/checks.h"
#include "ops/conv_planes.h"
#include "ops/conv_step.h"
#include "ops/conv_volume.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

// Winograd pays from this many channels on either side.
constexpr int64_t kWinogradChannels = 16;
constexpr int64_t kLikelyPixels = 28;  // along an axis whose size is not known at load

class Conv final : public Op {
 public:
  explicit Conv(const OpInit& init)
      : window_(init.attrs),
        groups_(init.attrs.get("group", 1)),
        strict_(init.attrs.get("strict", 0) != 0),
        has_residual_(init.input_count > 3) {
    options_.channels_last = is_channels_last(init.attrs);
    options_.input_last = options_.channels_last && init.attrs.get("turns_input", 0) == 0;
    options_.residual_last = init.attrs.get("residual_last", 0) != 0;
    options_.short_chains = init.attrs.get("careful", 0) > 0;
    small_tiles_ = init.attrs.get("careful", 0) > 1;
    options_.activation = read_activation(init.attrs);
    check(groups_ >= 1, "group is ", groups_);
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype), "expected a float input, got ", dtype);
    check_given(ctx, 1, 2);
    check_dtypes(ctx, dtype);
    if (!ctx.has_rank(0)) return ctx.set_output(0, dtype);
    const Dims& x = ctx.dims(0);
    const std::size_t rank = x.size();
    check(rank >= 3, "expected an input of rank 3 or more, got ", x);
    const std::size_t axes = rank - 2;
    window_.check_axes(static_cast<int64_t>(axes));
    const std::size_t first = options_.input_last ? 1 : 2;
    const Dim& channels = x[options_.input_last ? rank - 1 : 1];
    const Dims* weights = ctx.has_rank(1) ? &ctx.dims(1) : nullptr;
    const Dims taps = window_.taps(axes, weights);
    Dim outputs = Dim::unknown();
    if (weights) {
      const Dims& w = *weights;
      outputs = w[0];
      check(!outputs.is_known() || outputs.value() % groups_ == 0, outputs, " output channels in ",
            groups_, " groups");
      check(may_equal(channels, w[1] * Dim(groups_)), channels, " channels, but weights ", w,
            " in ", groups_, " groups take ", w[1] * Dim(groups_));
    }
    check_vector(ctx, 2, outputs);
    Dims y;
    y.push_back(x[0]);
    if (!options_.channels_last) y.push_back(outputs);
    for (std::size_t i = 0; i < axes; ++i) y.push_back(window_.output(i, x[first + i], taps[i]));
    if (options_.channels_last) y.push_back(outputs);
    if (ctx.has_input(3) && ctx.has_rank(3))
      check(may_equal(ctx.dims(3), y), "residual ", ctx.dims(3), " for a result of ", y);
    ctx.set_output(0, dtype, std::move(y));
  }

  void pack(PackContext& ctx) const override {
    const Tensor* weights = ctx.constant(1);
    if (!weights || weights->rank() < 3) return;
    if (!packs_as_float32(weights->dtype())) return;
    window_.check_axes(weights->rank() - 2);
    const int64_t outputs = weights->shape()[0];
    check(outputs % groups_ == 0, outputs, " output channels in ", groups_, " groups");
    const ConvSizes sizes = weight_sizes(weights->shape());
    if (sizes.taps * sizes.outputs * sizes.channels == 0) return;
    const ConvMethod method = choose(sizes, ctx.input(0), weights->shape());
    const bool volume = method == ConvMethod::volume, planes = method == ConvMethod::planes;
    const int64_t depth_taps = weights->shape()[2];
    const PlanesConv plane_conv = planes ? planes_of(weights->shape()) : PlanesConv{};
    const int64_t bytes = checked_mul(volume   ? packed_volume_floats(sizes, depth_taps)
                                      : planes ? plane_conv.packed_floats()
                                               : packed_conv_floats(method, sizes),
                                      sizeof(float));
    auto* packed = static_cast<float*>(
        ctx.allocate(static_cast<int>(method), static_cast<std::size_t>(bytes)));
    std::vector<float> wide;
    const float* floats = as_floats(*weights, wide);
    volume   ? pack_volume(sizes, depth_taps, floats, packed)
    : planes ? plane_conv.pack(floats, packed)
             : pack_conv(method, sizes, floats, packed);
    ctx.release_input(1);
  }

  double flops(const PrepareContext& ctx) const override {
    return window_flops(ctx.shape(1), element_count(ctx.output_shape(0)));
  }

  // Pixels apart, of images and residuals; not of images that are copied into a frame.
  bool reads_rows(const PrepareContext& ctx, int input, int64_t length) const override {
    if (ctx.dtype(0) != DType::float32 || !options_.channels_last) return false;
    if (input == 0)
      return options_.input_last && length >= kFrameChannels && length == ctx.shape(0).back();
    return input == 3 && length == ctx.output_shape(0).back();
  }
  bool writes_rows(const PrepareContext& ctx, int, int64_t length) const override {
    return ctx.dtype(0) == DType::float32 && options_.channels_last &&
           length == ctx.output_shape(0).back();
  }

  Step prepare(PrepareContext& ctx) const override {
    const ConvSizes sizes = full_sizes(ctx);
    ConvOptions options = options_;
    options.residual = ctx.has_input(3);
    if (ctx.dtype(0) == DType::float64) return prepare_double(sizes, options);
    if (const auto* packed = ctx.packed<float>(static_cast<int>(ConvMethod::planes)))
      return in_float32(ctx, PlanesConv{sizes}.step(options.activation, packed));
    if (const auto* packed = ctx.packed<float>(static_cast<int>(ConvMethod::indirect))) {
      if (may_use_winograd(sizes, ctx.shape(1))) options.side_on_the_way = choose_side(sizes);
      return in_float32(ctx, conv_step(ctx, sizes, options, ConvMethod::indirect, packed));
    }
    for (const ConvMethod method : {ConvMethod::depthwise, ConvMethod::winograd_2,
                                    ConvMethod::winograd_4, ConvMethod::few, ConvMethod::narrow}) {
      if (const auto* packed = ctx.packed<float>(static_cast<int>(method)))
        return in_float32(ctx, conv_step(ctx, sizes, options, method, packed));
    }
    if (const auto* packed = ctx.packed<float>(static_cast<int>(ConvMethod::volume)))
      return in_float32(ctx, conv_volume_step(ctx, sizes, options, packed));
    const bool depthwise = is_depthwise(sizes);
    return in_float32(ctx,
                      conv_step(ctx, sizes, options,
                                depthwise ? ConvMethod::depthwise : ConvMethod::indirect, nullptr));
  }

 private:
  ConvSizes weight_sizes(const Shape& w) const {
    ConvSizes sizes;
    sizes.groups = groups_;
    sizes.outputs = w[0];
    sizes.channels = checked_mul(w[1], groups_);
    for (std::size_t i = 2; i < w.size(); ++i) sizes.taps = checked_mul(sizes.taps, w[i]);
    return sizes;
  }

  ConvSizes full_sizes(PrepareContext& ctx) const {
    const Shape& x = ctx.shape(0);
    const Shape& w = ctx.shape(1);
    ConvSizes sizes = weight_sizes(w);
    const std::size_t first = options_.input_last ? 1 : 2;
    sizes.images = x[0];
    sizes.input_pixels = sizes.output_pixels = 1;
    for (std::size_t i = 0; i + 2 < x.size(); ++i) {
      const AxisWindow axis = resolve_axis(window_, i, x[first + i], w[2 + i]);
      sizes.input_pixels = checked_mul(sizes.input_pixels, axis.input);
      sizes.output_pixels = checked_mul(sizes.output_pixels, axis.output);
      sizes.axes.push_back(axis);
    }
    return sizes;
  }

  // With axes of any length, so that what fits does so whatever images come.
  PlanesConv planes_of(const Shape& w) const {
    PlanesConv conv{weight_sizes(w)};
    for (std::size_t i = 0; i + 2 < w.size(); ++i)
      conv.sizes.axes.push_back({.input = kLongAxis,
                                 .output = kLongAxis,
                                 .taps = w[2 + i],
                                 .stride = window_.stride(i),
                                 .dilation = window_.dilation(i)});
    return conv;
  }

  bool may_use_winograd(const ConvSizes& sizes, const Shape& w) const {
    return w.size() == 4 && may_transform(sizes, w);
  }
  bool may_use_volume(const ConvSizes& sizes, const Shape& w) const {
    return w.size() == 5 && options_.input_last && may_transform(sizes, w);
  }

  // Whether the last two axes may be convolved by Winograd's method.
  bool may_transform(const ConvSizes& sizes, const Shape& w) const {
    const auto all_one = [](const std::vector<int64_t>& list) {
      return std::all_of(list.begin(), list.end(), [](int64_t v) { return v == 1; });
    };
    return !strict_ && groups_ == 1 && w[w.size() - 2] == 3 && w.back() == 3 &&
           all_one(window_.strides) && all_one(window_.dilations) &&
           sizes.channels >= kWinogradChannels && sizes.outputs >= kWinogradChannels;
  }

  // Outputs along a spatial axis, or what is likely.
  int64_t likely_outputs(const Type& x, std::size_t axis, std::size_t axes, int64_t taps) const {
    if (!x.shape || x.shape->size() != axes + 2) return kLikelyPixels;
    const Dim input = (*x.shape)[(options_.input_last ? 1 : 2) + axis];
    if (input == Dim(0)) return kLikelyPixels;
    return window_.output(axis, input, Dim(taps)).value_or(kLikelyPixels);
  }

  // Of one or two axes.
  kernels::Window likely_window(const Type& x, const Shape& w) const {
    kernels::Window window;
    const std::size_t axes = w.size() - 2;
    for (std::size_t i = 0; i < axes; ++i) {
      kernels::WindowAxis& axis = window.axis[3 - axes + i];
      axis.taps = static_cast<std::size_t>(w[2 + i]);
      axis.stride = static_cast<std::size_t>(window_.stride(i));
      axis.dilation = static_cast<std::size_t>(window_.dilation(i));
      axis.output =
          static_cast<std::size_t>(std::max<int64_t>(likely_outputs(x, i, axes, w[2 + i]), 0));
    }
    return window;
  }

  bool pays_by_volume(const ConvSizes& sizes, const Type& x, const Shape& w) const {
    double pixels = 1, tiles = 1;
    for (std::size_t i = 1; i < 3; ++i) {
      const int64_t outputs = likely_outputs(x, i, 3, 3);
      pixels *= static_cast<double>(outputs);
      tiles *= static_cast<double>((outputs + 3) / 4);
    }
    const auto slices = static_cast<double>(likely_outputs(x, 0, 3, w[2]));
    const auto taps = static_cast<double>(w[2]);
    return product_ns(sizes, 36 * taps, slices * tiles) +
               transform_ns(sizes, 5.5 * slices * tiles) <
           product_ns(sizes, 9 * taps, slices * pixels * kInside);
  }

  ConvMethod choose(const ConvSizes& sizes, const Type& x, const Shape& w) const {
    const kernels::Window window = w.size() < 5 ? likely_window(x, w) : kernels::Window{};
    const bool narrow = w.size() < 5 && is_narrow(sizes, window);
    const bool by_planes = !options_.channels_last && !has_residual_ && suits_planes(groups_, w) &&
                           planes_of(w).fits();
    if (is_depthwise(sizes) && sizes.group_channels() == 1 && (groups_ == 1 || !by_planes)) {
      // One channel would fill one lane, but where planes are taken, which are best at two axes.
      const bool planes = w.size() == 4 && kernels::fits_planes(window);
      return sizes.channels == 1 && narrow && !planes ? ConvMethod::narrow : ConvMethod::depthwise;
    }
    if (by_planes) return ConvMethod::planes;
    if (is_depthwise(sizes)) return ConvMethod::depthwise;
    if (has_few_outputs(sizes)) return ConvMethod::few;
    if (narrow) return ConvMethod::narrow;
    if (may_use_volume(sizes, w) && pays_by_volume(sizes, x, w)) return ConvMethod::volume;
    if (!may_use_winograd(sizes, w)) return ConvMethod::indirect;
    double pixels = 1, tiles_2 = 1, tiles_4 = 1;
    for (std::size_t i = 0; i < 2; ++i) {
      const int64_t size = likely_outputs(x, i, 2, 3);
      pixels *= static_cast<double>(size);
      tiles_2 *= static_cast<double>((size + 1) / 2);
      tiles_4 *= static_cast<double>((size + 3) / 4);
    }
    const double direct = product_ns(sizes, 9, pixels * kInside);
    const double winograd_2 = product_ns(sizes, 16, tiles_2) + transform_ns(sizes, 2.4 * tiles_2);
    const double winograd_4 = product_ns(sizes, 36, tiles_4) + transform_ns(sizes, 5.5 * tiles_4);
    const bool small = small_tiles_ || winograd_2 <= winograd_4;
    if (direct <= (small ? winograd_2 : winograd_4)) return ConvMethod::indirect;
    return small ? ConvMethod::winograd_2 : ConvMethod::winograd_4;
  }

  // The side of the tiles by which Winograd's method pays with weights transformed on the way,
  // which takes many tiles a weight; 0: it does not.
  std::size_t choose_side(const ConvSizes& sizes) const {
    const auto images = static_cast<double>(sizes.images);
    const auto weights = static_cast<double>(sizes.channels) * static_cast<double>(sizes.outputs);
    const auto tiles = [&](int64_t side) {
      return images * static_cast<double>((sizes.axes[0].output + side - 1) / side) *
             static_cast<double>((sizes.axes[1].output + side - 1) / side);
    };
    constexpr double kNsOfWeight_2 = 3, kNsOfWeight_4 = 5.5;
    const double pixels = images * static_cast<double>(sizes.output_pixels);
    const double direct = product_ns(sizes, 9, pixels * kInside);
    const double winograd_2 = 32 * weights * tiles(2) / kFlopsPerNs + kNsOfWeight_2 * weights +
                              transform_ns(sizes, 2.4 * tiles(2));
    const double winograd_4 = 72 * weights * tiles(4) / kFlopsPerNs + kNsOfWeight_4 * weights +
                              transform_ns(sizes, 5.5 * tiles(4));
    const bool small = small_tiles_ || winograd_2 <= winograd_4;
    if (direct <= (small ? winograd_2 : winograd_4)) return 0;
    return small ? 2 : 4;
  }

  static constexpr int64_t kLongAxis = 1 << 20;
  static constexpr double kInside = 0.92;  // of the taps, and the others are left out
  static constexpr double kFlopsPerNs = 150, kBytesPerNs = 10;

  // Nanoseconds of so many matrices of weights against `rows` each: the products, or the time to
  // bring the weights from memory meanwhile. Memory is counted slower than it is, because weights
  // have to be held and made ready too.
  static double product_ns(const ConvSizes& sizes, double matrices, double rows) {
    const double weights =
        matrices * static_cast<double>(sizes.channels) * static_cast<double>(sizes.outputs);
    return std::max(2 * weights * rows / kFlopsPerNs, weights * sizeof(float) / kBytesPerNs);
  }
  static double transform_ns(const ConvSizes& sizes, double ns_per_channel) {
    return ns_per_channel * static_cast<double>(sizes.channels + sizes.outputs);
  }

  Step prepare_double(const ConvSizes& sizes, const ConvOptions& options) const;

  WindowAttributes window_;
  int64_t groups_;
  bool strict_, has_residual_, small_tiles_;
  ConvOptions options_;
};

// The double of one output pixel: the sum over the taps that meet the image, or anything where the
// run is over.
double convolve_pixel(const ConvSizes& s, const double* x, const double* weights, int64_t channels,
                      int64_t pixel, Watch& watch) {
  const std::size_t axes = s.axes.size();
  double sum = 0;
  for (int64_t tap = 0; tap < s.taps && !watch.over(8 + 2 * channels); ++tap) {
    int64_t at = 0, scale = 1, p = pixel, t = tap;
    bool inside = true;
    for (std::size_t i = axes; i-- > 0;) {
      const AxisWindow& axis = s.axes[i];
      const int64_t in =
          p % axis.output * axis.stride + t % axis.taps * axis.dilation - axis.pad_begin;
      inside &= in >= 0 && in < axis.input;
      at += in * scale;
      scale *= axis.input;
      p /= axis.output;
      t /= axis.taps;
    }
    if (!inside) continue;
    for (int64_t c = 0; c < channels; ++c)
      sum += x[c * s.input_pixels + at] * weights[c * s.taps + tap];
  }
  return sum;
}

Step Conv::prepare_double(const ConvSizes& sizes, const ConvOptions& options) const {
  if (options.channels_last)
    fail(ErrorKind::unsupported, "channels-last convolution of float64 is not supported");
  return [s = sizes, o = options](Frame& f) {
    const double* x = f.in<double>(0);
    const double* w = f.in<double>(1);
    const double* bias = f.in<double>(2);
    const double* residual = f.in<double>(3);
    double* y = f.out<double>(0);
    const int64_t channels = s.group_channels();
    const double cost = static_cast<double>(s.output_pixels * s.taps * (channels + 4));
    f.parallel_for(split_work(s.images * s.outputs, cost), [&](Range r) {
      Watch watch(f);
      for (int64_t plane = r.begin; plane < r.end; ++plane) {
        const int64_t image = plane / s.outputs, output = plane % s.outputs;
        const int64_t group = output / s.group_outputs();
        const double* from = x + (image * s.channels + group * channels) * s.input_pixels;
        for (int64_t p = 0; p < s.output_pixels && !watch.over(1); ++p) {
          const int64_t at = plane * s.output_pixels + p;
          double sum = convolve_pixel(s, from, w + output * channels * s.taps, channels, p, watch);
          if (bias) sum += bias[output];
          if (residual && !o.residual_last) sum += residual[at];
          y[at] = o.activation(sum);
          if (residual && o.residual_last) y[at] += residual[at];
        }
      }
    });
  };
}

}  // namespace

[[gnu::cold]] void register_conv(OpRegistry& ops) {
  ops.add<Conv>("Conv", {.since = 1});
  ops.add<Conv>("FusedConv", {.since = 1}, "com.microsoft");
  // Made by passes: (X, W, bias?, residual?), attributes `layout`, `turns_input`, by which X alone
  // is channels-first, `activation`, `residual_last`, `strict`, which rules Winograd out, and
  // `careful`, by which 1 sums in short chains and 2 takes Winograd's smaller tiles as well.
  ops.add<Conv>("FusedConv", {.since = 1}, "sardonyx");
}

}  // namespace sdx::ops
