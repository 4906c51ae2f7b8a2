// ConvTranspose: ordinary convolutions, one for each phase of the output. With few channels or
// outputs, a product that gives what every input pixel adds to its taps, then a gather of the terms
// that fall on each output pixel; where every output pixel has one term, the product alone.
#include "kernels/conv_transpose.h"

#include <algorithm>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "ops/activation.h"
#include "ops/checkpoint.h"
#include "ops/checks.h"
#include "ops/conv_phases.h"
#include "ops/conv_planes.h"
#include "ops/float32_adapter.h"
#include "ops/gemm_plan.h"
#include "ops/layout.h"
#include "ops/registry.h"
#include "ops/window.h"

namespace sdx::ops {
namespace {

// Weights that stay in the second-level cache while rows of the image pass over them.
constexpr int64_t kCachedFloats = 100'000;
// What the rows of an image, multiplied at a time, add to their taps.
constexpr int64_t kBandFloats = 512 * 1024;
// Slots of packed weights.
constexpr int kProducts = 0, kPlanes = 1, kPhases = 2;
constexpr int64_t kLongAxis = 1 << 20;  // stands for axes of any length

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }

struct Sizes {
  int64_t images = 0, channels = 0, outputs = 0, groups = 1, taps = 1;
  int64_t input_pixels = 1, output_pixels = 1;
  // Whether the taps of neighbouring pixels lie side by side and cover the output exactly.
  bool side_by_side = false;
  int64_t width_taps = 1;
  // Seen as the convolution this transposes: its outputs are the operator's inputs.
  std::vector<AxisWindow> axes;

  int64_t group_channels() const { return channels / groups; }
  int64_t group_outputs() const { return outputs / groups; }
  // Every channel has an image of its own.
  bool is_depthwise() const { return groups > 1 && channels == groups && outputs == groups; }
};

// Taps that one packed matrix covers: side by side, those along the width, whose results lie in one
// run of the output.
int64_t matrix_taps(const Sizes& s) { return s.side_by_side ? s.width_taps : s.taps; }

// Weights [channels][outputs of a group][taps] of a group as matrices [channels of the group]
// [taps of the matrix * outputs of a group]: the floats of one, and of all.
int64_t matrix_floats(const GemmKernels& gemm, const Sizes& s) {
  return gemm.packed_floats(s.group_channels(), matrix_taps(s) * s.group_outputs());
}
int64_t packed_floats(const GemmKernels& gemm, const Sizes& s) {
  return checked_mul(s.taps / matrix_taps(s), matrix_floats(gemm, s));
}

// The floats of all groups: depthwise, [taps][channels].
int64_t all_packed_floats(const GemmKernels& gemm, const Sizes& s) {
  return checked_mul(s.groups, s.is_depthwise() ? s.taps : packed_floats(gemm, s));
}

// `turned` has room for the weights of one group.
void pack_weights(const GemmKernels& gemm, const Sizes& s, const float* weights, float* turned,
                  float* packed) {
  if (s.is_depthwise()) {
    for (int64_t t = 0; t < s.taps; ++t)
      for (int64_t g = 0; g < s.groups; ++g) packed[t * s.groups + g] = weights[g * s.taps + t];
    return;
  }
  const int64_t k = s.group_channels(), m = s.group_outputs(), n = m * s.taps;
  Checkpoint checkpoint;
  for (int64_t g = 0; g < s.groups; ++g) {
    for (int64_t c = 0; c < k; ++c)
      for (int64_t o = 0; o < m; ++o) {
        checkpoint(s.taps);
        for (int64_t t = 0; t < s.taps; ++t)
          turned[c * n + t * m + o] = weights[((g * k + c) * m + o) * s.taps + t];
      }
    const int64_t columns = matrix_taps(s) * m, panels = gemm.panels(columns);
    for (int64_t i = 0; i < s.taps / matrix_taps(s) * panels; ++i) {
      const int64_t matrix = i / panels, panel = i % panels;
      checkpoint(k * 16);
      gemm.pack_b({.k = size(k),
                   .n = size(columns),
                   .b = turned + matrix * columns,
                   .ldb = size(n),
                   .packed = packed + g * packed_floats(gemm, s) + matrix * matrix_floats(gemm, s)},
                  size(panel), size(panel + 1));
    }
  }
}

struct TransposedConv {
  Sizes s;
  bool channels_last = false;
  FusedActivation activation;
  const float* packed = nullptr;
  std::optional<PhasedConv> phases;  // then the weights are packed for these
  GemmKernels gemm;
  kernels::ConvTransposeGather* gather = kernels::conv_transpose_gather.resolve();
  kernels::Window window;
  // Rows of the image, along its first axis, that are multiplied at a time, and those before them
  // that fall on the same pixels.
  struct Band {
    int64_t rows, kept;
  } band{};
  int64_t x_step = 0, y_step = 0;  // from one pixel to the next
  int64_t x_at = 0, y_at = 0, columns_at = 0, turned_at = 0, packed_at = 0;

  // What the pixels of a row of the image, along its first axis, add to all taps.
  int64_t row_floats() const {
    const int64_t rows = std::max<int64_t>(s.axes[0].output, 1);
    return checked_mul(s.input_pixels / rows, checked_mul(s.taps, s.group_outputs()));
  }

  // As many rows at a time as stay in cache, but for a few that the next ones need again.
  Band plan_band() const {
    const AxisWindow& axis = s.axes[0];
    const int64_t kept = std::max<int64_t>(axis.taps - 1, 0) * axis.dilation / axis.stride;
    const int64_t fitting = kBandFloats / std::max<int64_t>(row_floats(), 1) - kept;
    const int64_t rows = std::max({fitting, kept, int64_t{1}});
    return rows < axis.output - kept ? Band{rows, kept} : Band{axis.output, 0};
  }

  void plan(PrepareContext& ctx) {
    window = kernel_window(s.axes, 0);
    band = plan_band();
    x_step = channels_last ? ctx.step(0, s.channels) : s.channels;
    y_step = channels_last ? ctx.output_step(0, s.outputs) : s.outputs;
    int64_t end = 0;
    const auto reserve = [&](bool wanted, int64_t floats) {
      const int64_t at = end;
      if (wanted) end = round_up(checked_add(end, floats), 16);
      return at;
    };
    x_at = reserve(!channels_last, checked_mul(s.channels, s.input_pixels));
    y_at = reserve(!channels_last, checked_mul(s.outputs, s.output_pixels));
    columns_at = reserve(!phases && !s.is_depthwise(),
                         s.side_by_side ? s.width_taps * s.group_outputs()
                                        : checked_mul(band.rows + band.kept, row_floats()));
    turned_at = reserve(!packed, checked_mul(s.group_channels() * s.group_outputs(), s.taps));
    packed_at = reserve(!packed, all_packed_floats(gemm, s));
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
      const float* x = f.in<float>(0) + image * x_step * s.input_pixels;
      float* y = f.out<float>(0) + image * y_step * s.output_pixels;
      if (!channels_last) {
        to_channels_last(f, 1, s.channels, s.input_pixels, x, scratch + x_at);
        x = scratch + x_at;
      }
      float* result = channels_last ? y : scratch + y_at;
      if (phases)
        run_phases(f, x, weights, result);
      else if (s.is_depthwise())
        gather_weighted(f, x, weights, result);
      else if (s.side_by_side)
        run_side_by_side(f, x, weights, result);
      else
        for (int64_t g = 0; g < s.groups; ++g)
          run_group(f, g, x, weights + g * packed_floats(gemm, s), result);
      if (!channels_last) to_channels_first(f, 1, s.outputs, s.output_pixels, result, y);
    }
  }

  void run_phases(const Frame& f, const float* x, const float* weights, float* y) const {
    kernels::Epilogue epilogue;
    activation.set_in(epilogue);
    epilogue.column_bias = f.in<float>(2);
    phases->run(f, x, x_step, weights, y, y_step, epilogue);
  }

  // A row of input pixels times the taps along the width is a run of the output.
  void run_side_by_side(const Frame& f, const float* x, const float* weights, float* y) const {
    const int64_t width = s.axes.back().output, rows = s.input_pixels / width;
    const int64_t run = s.width_taps * s.outputs, panels = gemm.panels(run);
    const int64_t matrices = s.taps / s.width_taps;
    kernels::Epilogue epilogue;
    activation.set_in(epilogue);
    if (const float* bias = f.in<float>(2)) {
      float* repeated = f.scratch<float>() + columns_at;
      for (int64_t t = 0; t < s.width_taps; ++t)
        std::copy_n(bias, s.outputs, repeated + t * s.outputs);
      epilogue.column_bias = repeated;
    }
    // Where pixels of the output lie apart, taps are made of whole panels.
    const int64_t pieces = y_step == s.outputs ? 1 : s.width_taps, piece = panels / pieces;
    const auto multiply = [&](int64_t row, int64_t matrix, int64_t panel_begin, int64_t panel_end) {
      for (int64_t p = panel_begin; p < panel_end;) {
        const int64_t tap = p / piece, end = std::min(panel_end, (tap + 1) * piece);
        gemm.packed({.m = size(width),
                     .n = size(run),
                     .k = size(s.channels),
                     .a = x + row * width * x_step,
                     .lda = size(x_step),
                     .b = weights + matrix * matrix_floats(gemm, s),
                     .c = y + output_row(row, matrix) * width * s.width_taps * y_step +
                          tap * (y_step - s.outputs),
                     .ldc = size(s.width_taps * y_step),
                     .epilogue = epilogue},
                    {0, size(width), size(p), size(end)});
        p = end;
      }
    };
    const double cost = gemm_cost(width, run, s.channels);
    if (packed_floats(gemm, s) <= kCachedFloats) {
      f.parallel_for(split_work(rows, cost * static_cast<double>(matrices)), [&](Range r) {
        for (int64_t row = r.begin; row < r.end; ++row)
          for (int64_t i = 0; i < matrices; ++i) multiply(row, i, 0, panels);
      });
      return;
    }
    // Many weights: a panel stays in cache while all rows pass over it.
    const double panel_cost = cost * static_cast<double>(rows) / static_cast<double>(panels);
    f.parallel_for(split_work(matrices * panels, panel_cost), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i)
        for (int64_t row = 0; row < rows; ++row)
          multiply(row, i / panels, i % panels, i % panels + 1);
    });
  }

  // The row of the output, along its width, that a row of the input reaches by taps of the other
  // axes.
  int64_t output_row(int64_t row, int64_t taps) const {
    int64_t result = 0, scale = 1;
    for (std::size_t i = s.axes.size() - 1; i-- > 0;) {
      const AxisWindow& axis = s.axes[i];
      result += (row % axis.output * axis.stride + taps % axis.taps) * scale;
      scale *= axis.input;
      row /= axis.output;
      taps /= axis.taps;
    }
    return result;
  }

  void run_group(const Frame& f, int64_t group, const float* x, const float* weights,
                 float* y) const {
    const AxisWindow& axis = s.axes[0];
    const int64_t rows = axis.output, row = rows ? s.input_pixels / rows : 0;
    const int64_t m = s.group_outputs(), n = m * s.taps, floats = row * n;
    const int64_t pixels = s.output_pixels / axis.input;
    float* columns = f.scratch<float>() + columns_at;
    kernels::GatherArgs args{};
    args.outputs = size(m);
    args.y = y + group * m;
    float* const next = columns + band.kept * floats;
    for (int64_t begin = 0, done = 0; done < axis.input && !f.cancelled();) {
      const int64_t end = std::min(begin + band.rows, rows), kept = begin ? band.kept : 0;
      if (begin) keep_rows(f, columns + band.rows * floats, kept * floats, columns);
      const int64_t count = (end - begin) * row;
      run_packed(f, gemm, gemm_grid(gemm, 1, count, n, s.group_channels()),
                 {.m = size(count),
                  .n = size(n),
                  .k = size(s.group_channels()),
                  .a = x + begin * row * x_step + group * s.group_channels(),
                  .lda = size(x_step),
                  .b = weights,
                  .c = next,
                  .ldc = size(n)});
      args.columns = next - kept * floats;
      args.first_column = size((begin - kept) * row);
      // Rows of the output on which rows of the image from `end` on fall wait for these.
      const int64_t last = end == rows
                               ? axis.input
                               : std::clamp(end * axis.stride - axis.pad_begin, done, axis.input);
      gather_outputs(f, group * m, {done * pixels, last * pixels}, args);
      begin = end;
      done = last;
    }
  }

  // The last columns of a band move to the front of the next one.
  static void keep_rows(const Frame& f, const float* from, int64_t count, float* to) {
    f.parallel_for(split_work(count, 0.1),
                   [&](Range r) { std::copy_n(from + r.begin, r.size(), to + r.begin); });
  }

  void gather_weighted(const Frame& f, const float* x, const float* weights, float* y) const {
    kernels::GatherArgs args{};
    args.outputs = size(s.outputs);
    args.columns = x;
    args.weights = weights;
    args.x_step = size(x_step);
    args.y = y;
    gather_outputs(f, 0, {0, s.output_pixels}, args);
  }

  // Outputs from `first` on.
  void gather_outputs(const Frame& f, int64_t first, Range pixels, kernels::GatherArgs args) const {
    args.window = window;
    args.y_step = size(y_step);
    activation.set_in(args.epilogue);
    const float* bias = f.in<float>(2);
    args.epilogue.column_bias = bias ? bias + first : nullptr;
    const double terms = static_cast<double>(s.taps) * static_cast<double>(s.input_pixels) /
                         static_cast<double>(s.output_pixels);
    const double cost = 0.15 * terms * static_cast<double>(args.outputs) + 10;
    f.parallel_for(split_work(pixels.size(), cost), [&](Range r) {
      gather(args, size(pixels.begin + r.begin), size(pixels.begin + r.end));
    });
  }
};

// Doubles, channels first: every input pixel is scattered over its taps.
struct DoubleTransposedConv {
  Sizes s;
  FusedActivation activation;

  void scatter(const double* x, const double* weights, double* y, Watch& watch) const {
    constexpr int64_t kTaps = 1024, kTapWork = 20;  // nanoseconds
    for (int64_t i = 0; i < s.input_pixels * ((s.taps + kTaps - 1) / kTaps); ++i) {
      const int64_t pixel = i % s.input_pixels, first = i / s.input_pixels * kTaps;
      const int64_t end = std::min(first + kTaps, s.taps);
      if (watch.over((end - first) * kTapWork)) return;
      if (x[pixel] == 0) continue;
      for (int64_t tap = first; tap < end; ++tap) {
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
      Watch watch(f);
      for (int64_t plane = r.begin; plane < r.end; ++plane) {
        const int64_t image = plane / s.outputs, output = plane % s.outputs;
        const int64_t group = output / m;
        double* y = f.out<double>(0) + plane * s.output_pixels;
        std::fill_n(y, s.output_pixels, f.has_input(2) ? f.in<double>(2)[output] : 0.0);
        for (int64_t c = group * k; c < (group + 1) * k; ++c)
          scatter(f.in<double>(0) + (image * s.channels + c) * s.input_pixels,
                  f.in<double>(1) + (c * m + output % m) * s.taps, y, watch);
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
    check_lists(static_cast<std::size_t>(weights->rank()) - 2);
    const int64_t channels = weights->shape()[0];
    check(channels % groups_ == 0, channels, " channels in ", groups_, " groups");
    const Sizes s = weight_sizes(weights->shape());
    std::vector<float> wide;
    if (const PlanesConv planes = planes_of(weights->shape());
        !channels_last_ && s.channels * s.group_outputs() * s.taps <= kCachedFloats &&
        planes.fits()) {
      auto* packed = static_cast<float*>(
          ctx.allocate(kPlanes, size(checked_mul(planes.packed_floats(), sizeof(float)))));
      planes.pack(as_floats(*weights, wide), packed);
      return ctx.release_input(1);
    }
    const PhasedConv phases = phases_of(s, open_axes(weights->shape()));
    if (has_phases(s, phases)) {
      auto* packed = static_cast<float*>(
          ctx.allocate(kPhases, size(checked_mul(phases.packed_floats(), sizeof(float)))));
      phases.pack(as_floats(*weights, wide), packed);
      return ctx.release_input(1);
    }
    const GemmKernels gemm;
    auto* packed = static_cast<float*>(
        ctx.allocate(kProducts, size(checked_mul(all_packed_floats(gemm, s), sizeof(float)))));
    std::vector<float> turned(size(s.group_channels() * s.group_outputs() * s.taps));
    pack_weights(gemm, s, as_floats(*weights, wide), turned.data(), packed);
    ctx.release_input(1);
  }

  bool reads_rows(const PrepareContext& ctx, int input, int64_t length) const override {
    return input == 0 && channels_last_ && ctx.dtype(0) == DType::float32 &&
           length == ctx.shape(0).back();
  }
  bool writes_rows(const PrepareContext& ctx, int, int64_t length) const override {
    const auto columns = static_cast<int64_t>(GemmKernels().tiling.columns);
    return reads_rows(ctx, 0, ctx.shape(0).back()) && length == ctx.output_shape(0).back() &&
           (length % columns == 0 || !weight_sizes(ctx.shape(1)).side_by_side);
  }

  double flops(const PrepareContext& ctx) const override {
    return window_flops(ctx.shape(1), ctx.count(0));
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
    if (const auto* packed = ctx.packed<float>(kPlanes)) {
      PlanesConv planes = planes_of(w);
      planes.sizes.images = s.images;
      planes.sizes.output_pixels = s.input_pixels;
      planes.sizes.input_pixels = s.output_pixels;
      planes.sizes.axes = s.axes;
      return in_float32(ctx, planes.step(activation_, packed));
    }
    TransposedConv step;
    step.s = s;
    step.channels_last = channels_last_;
    step.activation = activation_;
    step.packed = ctx.packed<float>(kProducts);
    if (const auto* packed = ctx.packed<float>(kPhases)) {
      step.packed = packed;
      step.phases = phases_of(s, s.axes);
    }
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

  PlanesConv planes_of(const Shape& w) const {
    PlanesConv conv;
    conv.transposed = true;
    conv.sizes.groups = groups_;
    conv.sizes.channels = w[0];
    conv.sizes.outputs = w[1] * groups_;
    for (std::size_t i = 2; i < w.size(); ++i) conv.sizes.taps *= w[i];
    conv.sizes.axes = open_axes(w);
    return conv;
  }

  // Of the axes, what the attributes say.
  std::vector<AxisWindow> open_axes(const Shape& w) const {
    std::vector<AxisWindow> axes;
    for (std::size_t i = 0; i + 2 < w.size(); ++i)
      axes.push_back({.input = kLongAxis,
                      .output = kLongAxis,
                      .taps = w[2 + i],
                      .stride = window_.stride(i),
                      .dilation = window_.dilation(i)});
    return axes;
  }

  static PhasedConv phases_of(const Sizes& s, std::vector<AxisWindow> axes) {
    PhasedConv conv;
    conv.sizes.channels = s.channels;
    conv.sizes.outputs = s.outputs;
    conv.sizes.groups = s.groups;
    conv.sizes.taps = s.taps;
    conv.sizes.axes = std::move(axes);
    return conv;
  }
  static bool has_phases(const Sizes& s, const PhasedConv& phases) {
    return !s.side_by_side && !s.is_depthwise() && phases.pays();
  }

  Sizes weight_sizes(const Shape& w) const {
    Sizes s;
    s.groups = groups_;
    s.channels = w[0];
    s.outputs = checked_mul(w[1], groups_);
    for (std::size_t i = 2; i < w.size(); ++i) s.taps = checked_mul(s.taps, w[i]);
    const auto all_zero = [](const std::vector<int64_t>& list) {
      return std::all_of(list.begin(), list.end(), [](int64_t v) { return v == 0; });
    };
    s.side_by_side = groups_ == 1 && w.back() > 0 && !pads_itself() && output_shape_.empty() &&
                     all_zero(output_padding_) && all_zero(window_.pads);
    for (std::size_t i = 2; i < w.size(); ++i)
      s.side_by_side &= window_.stride(i - 2) == w[i] && window_.dilation(i - 2) == 1;
    s.width_taps = w.back();
    return s;
  }

  WindowAttributes window_;
  int64_t groups_;
  std::vector<int64_t> output_padding_, output_shape_;
  bool channels_last_;
  FusedActivation activation_;
};

}  // namespace

[[gnu::cold]] void register_conv_transpose(OpRegistry& ops) {
  ops.add<ConvTranspose>("ConvTranspose", {.since = 1});
  // Made by passes, with `layout` and `activation`.
  ops.add<ConvTranspose>("FusedConvTranspose", {.since = 1}, "sardonyx");
}

}  // namespace sdx::ops
