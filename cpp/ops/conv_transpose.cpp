// ConvTranspose: a product that gives what every input pixel adds to its taps, then a gather of the
// terms that fall on each output pixel.
#include "kernels/conv_transpose.h"

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "ops/activation.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/gemm_plan.h"
#include "ops/layout.h"
#include "ops/registry.h"
#include "ops/window.h"

namespace sdx::ops {
namespace {

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }

struct Sizes {
  int64_t images = 0, channels = 0, outputs = 0, groups = 1, taps = 1;
  int64_t input_pixels = 1, output_pixels = 1;
  // Seen as the convolution this transposes: its outputs are the operator's inputs.
  std::vector<AxisWindow> axes;

  int64_t group_channels() const { return channels / groups; }
  int64_t group_outputs() const { return outputs / groups; }
};

// Weights [channels][outputs of a group][taps] as one packed matrix a group,
// [channels of the group][taps * outputs of a group].
int64_t packed_floats(const GemmKernels& gemm, const Sizes& s) {
  return gemm.packed_floats(s.group_channels(), s.taps * s.group_outputs());
}

// `turned` has room for the weights of one group.
void pack_weights(const GemmKernels& gemm, const Sizes& s, const float* weights, float* turned,
                  float* packed) {
  const int64_t k = s.group_channels(), m = s.group_outputs(), n = m * s.taps;
  for (int64_t g = 0; g < s.groups; ++g) {
    for (int64_t c = 0; c < k; ++c)
      for (int64_t o = 0; o < m; ++o)
        for (int64_t t = 0; t < s.taps; ++t)
          turned[c * n + t * m + o] = weights[((g * k + c) * m + o) * s.taps + t];
    gemm.pack_b({.k = size(k),
                 .n = size(n),
                 .b = turned,
                 .ldb = size(n),
                 .packed = packed + g * packed_floats(gemm, s)},
                0, size(gemm.panels(n)));
  }
}

struct TransposedConv {
  Sizes s;
  bool channels_last = false;
  FusedActivation activation;
  const float* packed = nullptr;
  GemmKernels gemm;
  kernels::ConvTransposeGather* gather = kernels::conv_transpose_gather.resolve();
  kernels::Window window;
  int64_t x_at = 0, y_at = 0, columns_at = 0, turned_at = 0, packed_at = 0;

  void plan(PrepareContext& ctx) {
    window = kernel_window(s.axes, 0);
    int64_t end = 0;
    const auto reserve = [&](bool wanted, int64_t floats) {
      const int64_t at = end;
      if (wanted) end = round_up(checked_add(end, floats), 16);
      return at;
    };
    x_at = reserve(!channels_last, checked_mul(s.channels, s.input_pixels));
    y_at = reserve(!channels_last, checked_mul(s.outputs, s.output_pixels));
    columns_at = reserve(true, checked_mul(s.input_pixels, checked_mul(s.taps, s.group_outputs())));
    turned_at = reserve(!packed, checked_mul(s.group_channels() * s.group_outputs(), s.taps));
    packed_at = reserve(!packed, checked_mul(s.groups, packed_floats(gemm, s)));
    ctx.request_scratch(checked_mul(end, sizeof(float)));
  }

  void operator()(Frame& f) const {
    float* scratch = f.scratch<float>();
    const float* weights = packed;
    if (!weights) {
      pack_weights(gemm, s, f.in<float>(1), scratch + turned_at, scratch + packed_at);
      weights = scratch + packed_at;
    }
    if (s.output_pixels * s.outputs == 0) return;
    for (int64_t image = 0; image < s.images && !f.cancelled(); ++image) {
      const float* x = f.in<float>(0) + image * s.channels * s.input_pixels;
      float* y = f.out<float>(0) + image * s.outputs * s.output_pixels;
      if (!channels_last) {
        to_channels_last(f, 1, s.channels, s.input_pixels, x, scratch + x_at);
        x = scratch + x_at;
      }
      float* result = channels_last ? y : scratch + y_at;
      for (int64_t g = 0; g < s.groups; ++g)
        run_group(f, g, x, weights + g * packed_floats(gemm, s), result);
      if (!channels_last) to_channels_first(f, 1, s.outputs, s.output_pixels, result, y);
    }
  }

  void run_group(const Frame& f, int64_t group, const float* x, const float* weights,
                 float* y) const {
    const int64_t m = s.group_outputs(), n = m * s.taps;
    float* columns = f.scratch<float>() + columns_at;
    const GemmGrid grid = gemm_grid(gemm, 1, s.input_pixels, n, s.group_channels());
    run_packed(f, gemm, grid,
               {.m = size(s.input_pixels),
                .n = size(n),
                .k = size(s.group_channels()),
                .a = x + group * s.group_channels(),
                .lda = size(s.channels),
                .b = weights,
                .c = columns,
                .ldc = size(n)});
    kernels::GatherArgs args{.window = window,
                             .outputs = size(m),
                             .columns = columns,
                             .y = y + group * m,
                             .y_step = size(s.outputs)};
    activation.set_in(args.epilogue);
    const float* bias = f.in<float>(2);
    args.epilogue.column_bias = bias ? bias + group * m : nullptr;
    const double cost = 0.05 * static_cast<double>(m * s.taps) + 5;
    f.parallel_for(split_work(s.output_pixels, cost),
                   [&](Range r) { gather(args, size(r.begin), size(r.end)); });
  }
};

// Doubles, channels first: every input pixel is scattered over its taps.
struct DoubleTransposedConv {
  Sizes s;
  FusedActivation activation;

  void scatter(const double* x, const double* weights, double* y) const {
    for (int64_t pixel = 0; pixel < s.input_pixels; ++pixel) {
      if (x[pixel] == 0) continue;
      for (int64_t tap = 0; tap < s.taps; ++tap) {
        int64_t p = pixel, t = tap, at = 0, step = 1;
        bool inside = true;
        for (std::size_t i = s.axes.size(); i-- > 0;) {
          const AxisWindow& axis = s.axes[i];
          const int64_t to =
              p % axis.output * axis.stride + t % axis.taps * axis.dilation - axis.pad_begin;
          inside &= to >= 0 && to < axis.input;
          at += to * step;
          step *= axis.input;
          p /= axis.output;
          t /= axis.taps;
        }
        if (inside) y[at] += x[pixel] * weights[tap];
      }
    }
  }

  void operator()(Frame& f) const {
    const int64_t k = s.group_channels(), m = s.group_outputs();
    const double cost = 10 * static_cast<double>(k * s.input_pixels * s.taps);
    f.parallel_for(split_work(s.images * s.outputs, cost), [&](Range r) {
      for (int64_t plane = r.begin; plane < r.end; ++plane) {
        const int64_t image = plane / s.outputs, output = plane % s.outputs;
        const int64_t group = output / m;
        double* y = f.out<double>(0) + plane * s.output_pixels;
        std::fill_n(y, s.output_pixels, f.has_input(2) ? f.in<double>(2)[output] : 0.0);
        for (int64_t c = group * k; c < (group + 1) * k; ++c)
          scatter(f.in<double>(0) + (image * s.channels + c) * s.input_pixels,
                  f.in<double>(1) + (c * m + output % m) * s.taps, y);
        for (int64_t i = 0; i < s.output_pixels; ++i) y[i] = activation(y[i]);
      }
    });
  }
};

class ConvTranspose final : public Op {
 public:
  explicit ConvTranspose(const OpInit& init)
      : window_(init.attrs),
        groups_(init.attrs.get("group", 1)),
        output_padding_(init.attrs.ints("output_padding")),
        output_shape_(init.attrs.ints("output_shape")),
        channels_last_(is_channels_last(init.attrs)),
        activation_(read_activation(init.attrs)) {
    check(groups_ >= 1, "group is ", groups_);
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype), "expected a float input, got ", dtype);
    check_dtypes(ctx, dtype);
    if (!ctx.has_rank(0)) return ctx.set_output(0, dtype);
    const Dims& x = ctx.dims(0);
    const std::size_t rank = x.size();
    check(rank >= 3, "expected an input of rank 3 or more, got ", x);
    check_lists(rank - 2);
    const std::size_t first = channels_last_ ? 1 : 2;
    const Dim& channels = x[channels_last_ ? rank - 1 : 1];
    if (channels.is_known())
      check(channels.value() % groups_ == 0, channels, " channels in ", groups_, " groups");
    const Dims* weights = ctx.has_rank(1) ? &ctx.dims(1) : nullptr;
    const Dims taps = window_.taps(rank - 2, weights);
    Dim outputs = Dim::unknown();
    if (weights) {
      const Dims& w = *weights;
      check(may_equal(w[0], channels), channels, " channels, but weights ", w, " take ", w[0]);
      outputs = w[1] * Dim(groups_);
    }
    check_vector(ctx, 2, outputs);
    Dims y{x[0]};
    if (!channels_last_) y.push_back(outputs);
    for (std::size_t i = 0; i + 2 < rank; ++i)
      y.push_back(output(i, rank - 2, x[first + i], taps[i]));
    if (channels_last_) y.push_back(outputs);
    ctx.set_output(0, dtype, std::move(y));
  }

  void pack(PackContext& ctx) const override {
    const Tensor* weights = ctx.constant(1);
    if (!weights || weights->rank() < 3 || weights->count() == 0) return;
    if (!packs_as_float32(weights->dtype())) return;
    const Sizes s = weight_sizes(weights->shape());
    const GemmKernels gemm;
    auto* packed = static_cast<float*>(
        ctx.allocate(0, size(checked_mul(checked_mul(s.groups, packed_floats(gemm, s)), 4))));
    std::vector<float> wide, turned(size(s.group_channels() * s.group_outputs() * s.taps));
    pack_weights(gemm, s, as_floats(*weights, wide), turned.data(), packed);
    ctx.release_input(1);
  }

  double flops(const PrepareContext& ctx) const override {
    const Shape& w = ctx.shape(1);
    const double taps =
        static_cast<double>(element_count(w)) / static_cast<double>(std::max<int64_t>(1, w[0]));
    return 2 * taps * static_cast<double>(ctx.count(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const Shape& w = ctx.shape(1);
    Sizes s = weight_sizes(w);
    s.images = x[0];
    for (std::size_t i = 0; i + 2 < x.size(); ++i) {
      const int64_t input = x[(channels_last_ ? 1 : 2) + i];
      const AxisWindow axis = resolve(i, x.size() - 2, input, w[2 + i]);
      s.input_pixels = checked_mul(s.input_pixels, axis.output);
      s.output_pixels = checked_mul(s.output_pixels, axis.input);
      s.axes.push_back(axis);
    }
    if (ctx.dtype(0) == DType::float64) {
      if (channels_last_)
        fail(ErrorKind::unsupported, "channels-last convolution of float64 is not supported");
      return DoubleTransposedConv{s, activation_};
    }
    TransposedConv step;
    step.s = s;
    step.channels_last = channels_last_;
    step.activation = activation_;
    step.packed = ctx.packed<float>(0);
    step.plan(ctx);
    return in_float32(ctx, step);
  }

 private:
  void check_lists(std::size_t axes) const {
    window_.check_axes(static_cast<int64_t>(axes));
    check(output_padding_.empty() || output_padding_.size() == axes, "output_padding has ",
          output_padding_.size(), " entries, expected ", axes);
    for (const int64_t padding : output_padding_)
      check(padding >= 0 && padding < int64_t{1} << 31, "output_padding holds ", padding);
    check(output_shape_.empty() || output_shape_.size() == axes || output_shape_.size() == axes + 2,
          "output_shape has ", output_shape_.size(), " entries, expected ", axes);
    for (const int64_t wanted : output_shape_)
      check(wanted >= 0 && wanted < int64_t{1} << 31, "output_shape holds ", wanted);
  }

  // Exporters have listed batch and channels too.
  int64_t wanted(std::size_t axis, std::size_t axes) const {
    return output_shape_[output_shape_.size() - axes + axis];
  }

  // Pixels that all windows span along an axis, before padding is cut off.
  Dim full(std::size_t axis, const Dim& input, int64_t taps) const {
    const int64_t extra = output_padding_.empty() ? 0 : output_padding_[axis];
    return (input - Dim(1)) * Dim(window_.stride(axis)) +
           Dim(checked_add(window_.extent(axis, taps), extra));
  }

  Dim output(std::size_t axis, std::size_t axes, const Dim& input, const Dim& taps) const {
    if (!output_shape_.empty()) return Dim(wanted(axis, axes));
    if (pads_itself()) return input * Dim(window_.stride(axis));
    if (!taps.is_known() || input.is_unknown()) return Dim::unknown();
    if (input.is_known()) checked_mul(input.value(), window_.stride(axis));
    const Dim result =
        full(axis, input, taps.value()) - Dim(window_.pad_begin(axis) + window_.pad_end(axis));
    if (result.is_known())
      check(result.value() >= 0, "pads of ", window_.pad_begin(axis), " and ",
            window_.pad_end(axis), " leave nothing of an input of ", input);
    return result;
  }

  AxisWindow resolve(std::size_t axis, std::size_t axes, int64_t input, int64_t taps) const {
    const int64_t result = output(axis, axes, Dim(input), Dim(taps)).value();
    AxisWindow window{.input = result,
                      .output = input,
                      .taps = taps,
                      .stride = window_.stride(axis),
                      .dilation = window_.dilation(axis),
                      .pad_begin = window_.pad_begin(axis)};
    if (!output_shape_.empty() || pads_itself()) {
      const int64_t cut = std::max<int64_t>(full(axis, Dim(input), taps).value() - result, 0);
      const int64_t half = cut / 2;
      window.pad_begin = window_.auto_pad == AutoPad::same_upper ? half : cut - half;
    }
    return window;
  }

  bool pads_itself() const {
    return window_.auto_pad == AutoPad::same_upper || window_.auto_pad == AutoPad::same_lower;
  }

  Sizes weight_sizes(const Shape& w) const {
    Sizes s;
    s.groups = groups_;
    s.channels = w[0];
    s.outputs = checked_mul(w[1], groups_);
    for (std::size_t i = 2; i < w.size(); ++i) s.taps = checked_mul(s.taps, w[i]);
    return s;
  }

  WindowAttributes window_;
  int64_t groups_;
  std::vector<int64_t> output_padding_, output_shape_;
  bool channels_last_;
  FusedActivation activation_;
};

}  // namespace

void register_conv_transpose(OpRegistry& ops) {
  ops.add<ConvTranspose>("ConvTranspose", {.since = 1});
  // Made by passes, with `layout` and `activation`.
  ops.add<ConvTranspose>("FusedConvTranspose", {.since = 1}, "sardonyx");
}

}  // namespace sdx::ops
