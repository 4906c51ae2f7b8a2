// Convolutions of 8-bit integers: ConvInteger, QLinearConv, and the channels-last form that passes
// make of it. Computed channels-last, by rows of pointers to input pixels.
#include <array>

#include "base/checked.h"
#include "base/error.h"
#include "ir/graph.h"
#include "kernels/transpose.h"
#include "ops/checks.h"
#include "ops/int8_product.h"
#include "ops/registry.h"
#include "ops/window.h"

namespace sdx::ops {
namespace {

// Pointers a block of output pixels needs, kept on the stack.
constexpr int64_t kMaxPointers = 2048;
constexpr int64_t kRowsPerBlock = 48;
// The slot beside those of Int8Slot for weights of a depthwise convolution.
constexpr int kDepthwiseWeights = 3;

struct Sizes {
  int64_t images = 0, channels = 0, outputs = 0, groups = 1, taps = 1;
  int64_t input_pixels = 1, output_pixels = 1;
  std::array<AxisWindow, 3> axes;  // depth, height, width; those not there are of size one

  int64_t group_channels() const { return channels / groups; }
  int64_t group_outputs() const { return outputs / groups; }
  bool depthwise() const { return group_channels() == 1 && group_outputs() == 1; }
};

void transpose_bytes(const Frame& f, int64_t images, int64_t rows, int64_t cols, const void* from,
                     void* to) {
  constexpr int64_t kCols = 1024;
  const int64_t blocks = (cols + kCols - 1) / kCols;
  if (images * rows * cols == 0) return;
  f.parallel_for(
      split_work(images * blocks, 0.3 * static_cast<double>(rows * std::min(cols, kCols))),
      [&, run = kernels::transpose_8.resolve()](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int64_t base = i / blocks * rows * cols, first = i % blocks * kCols;
          const int64_t count = std::min(kCols, cols - first);
          run(static_cast<std::size_t>(rows), static_cast<std::size_t>(count),
              static_cast<const uint8_t*>(from) + base + first, static_cast<std::size_t>(cols),
              static_cast<uint8_t*>(to) + base + first * rows, static_cast<std::size_t>(rows));
        }
      });
}

class Int8Conv final : public Op {
 public:
  explicit Int8Conv(const OpInit& init)
      : window_(init.attrs),
        groups_(init.attrs.get("group", 1)),
        requantised_(init.type == "QLinearConv"),
        channels_last_(is_channels_last(init.attrs) || init.attrs.get("channels_last", 0) != 0) {
    check(groups_ >= 1, "group is ", groups_);
    in_ = requantised_ ? Int8Inputs{.a = 0,
                                    .b = 3,
                                    .a_zero = 2,
                                    .b_zero = 5,
                                    .a_scale = 1,
                                    .b_scale = 4,
                                    .y_scale = 6,
                                    .y_zero = 7,
                                    .bias = 8}
                       : Int8Inputs{.a = 0, .b = 1, .a_zero = 2, .b_zero = 3};
  }

  void infer(InferContext& ctx) const override {
    for (const int i : {in_.a, in_.b})
      check(ctx.dtype(i) == DType::uint8 || ctx.dtype(i) == DType::int8, "input ", i, " is ",
            ctx.dtype(i), ", not an 8-bit integer");
    const DType dtype = requantised_ ? ctx.dtype(in_.y_zero) : DType::int32;
    if (requantised_)
      check(dtype == DType::uint8 || dtype == DType::int8, "the result would be ", dtype,
            ", not an 8-bit integer");
    check_int8_inputs(ctx, in_);
    for (const int i : {in_.a_scale, in_.b_scale, in_.y_scale})
      if (i >= 0)
        check(ctx.dtype(i) == DType::float32, "input ", i, ", a scale, is ", ctx.dtype(i));
    if (in_.bias >= 0 && ctx.has_input(in_.bias))
      check(ctx.dtype(in_.bias) == DType::int32, "the bias is ", ctx.dtype(in_.bias));
    if (!ctx.has_rank(in_.a)) return ctx.set_output(0, dtype);
    const Dims& x = ctx.dims(in_.a);
    check(x.size() >= 3 && x.size() <= 5, "expected an input of rank 3 to 5, got ", x);
    window_.check_axes(static_cast<int64_t>(x.size()) - 2);
    Dim outputs = Dim::unknown();
    Dims taps(x.size() - 2, Dim::unknown());
    const std::size_t first = channels_last_ ? 1 : 2;
    if (ctx.has_rank(in_.b)) {
      const Dims& w = ctx.dims(in_.b);
      check(w.size() == x.size(), "weights ", w, " for an input ", x);
      const Dim& channels = x[channels_last_ ? x.size() - 1 : 1];
      check(may_equal(channels, w[1] * Dim(groups_)), channels, " channels, but weights ", w,
            " in ", groups_, " groups");
      outputs = w[0];
      check(!outputs.is_known() || outputs.value() % groups_ == 0, outputs, " output channels in ",
            groups_, " groups");
      taps.assign(w.begin() + 2, w.end());
    }
    Dims y{x[0]};
    if (!channels_last_) y.push_back(outputs);
    for (std::size_t i = 0; i < taps.size(); ++i)
      y.push_back(window_.output(i, x[first + i], taps[i]));
    if (channels_last_) y.push_back(outputs);
    ctx.set_output(0, dtype, std::move(y));
  }

  void pack(PackContext& ctx) const override {
    const Tensor* w = ctx.constant(in_.b);
    if (!w || w->rank() < 3 || w->count() == 0) return;
    window_.check_axes(w->rank() - 2);
    const int64_t outputs = w->shape()[0];
    check(outputs % groups_ == 0, outputs, " output channels in ", groups_, " groups");
    const Sizes s = weight_sizes(w->shape());
    auto* sums =
        static_cast<int32_t*>(ctx.allocate(kInt8ColumnSums, sum_count(s) * sizeof(int32_t)));
    const Tensor* zeros = ctx.constant(in_.b_zero);
    if (s.depthwise() && (zeros || !ctx.has_input(in_.b_zero))) {
      std::vector<int8_t> packed(depthwise_bytes(s));
      const int64_t zero_count = zeros ? zeros->count() : 0;
      if ((zero_count <= 1 || zero_count == s.outputs) &&
          pack_depthwise(s, w->dtype(), w->raw(), zeros ? zeros->raw() : nullptr, zero_count,
                         packed.data(), sums)) {
        std::copy(packed.begin(), packed.end(),
                  static_cast<int8_t*>(ctx.allocate(kDepthwiseWeights, packed.size())));
        return ctx.release_input(in_.b);
      }
    }
    pack_weights(s, w->dtype(), w->raw(),
                 static_cast<int8_t*>(ctx.allocate(kInt8Weights, packed_bytes(s))), sums);
    ctx.release_input(in_.b);
  }

  Step prepare(PrepareContext& ctx) const override {
    Call call{.in = in_, .sizes = full_sizes(ctx)};
    const Sizes& s = call.sizes;
    call.requantised = requantised_;
    call.channels_last = channels_last_;
    call.x_type = ctx.dtype(in_.a);
    call.w_type = ctx.dtype(in_.b);
    call.y_type = ctx.output_dtype(0);
    call.packed = ctx.packed<int8_t>(kInt8Weights);
    if (const auto* packed = ctx.packed<int8_t>(kDepthwiseWeights)) {
      call.packed = packed;
      call.depthwise = true;
    } else if (!call.packed) {
      call.depthwise = s.depthwise() && call.w_type == DType::int8 && !ctx.has_input(in_.b_zero);
    }
    call.column_sums = ctx.packed<int32_t>(kInt8ColumnSums);
    const auto per_channel = [&](int i, const char* what) {
      if (i < 0 || !ctx.has_input(i)) return int64_t{0};
      const int64_t count = ctx.count(i);
      check(count == 1 || count == s.outputs, what, " has ", count, " elements for ", s.outputs,
            " output channels");
      return count;
    };
    call.w_zero_count = per_channel(in_.b_zero, "the weights' zero point");
    call.w_scale_count = per_channel(in_.b_scale, "the weights' scale");
    const bool has_bias = in_.bias >= 0 && ctx.has_input(in_.bias);
    check(!has_bias || ctx.count(in_.bias) == s.outputs, "bias for ", s.outputs,
          " output channels has ", has_bias ? ctx.count(in_.bias) : 0, " elements");
    for (const int i : {in_.a_zero, in_.a_scale, in_.y_scale, in_.y_zero})
      check(i < 0 || !ctx.has_input(i) || ctx.count(i) == 1, "input ", i, " is not a scalar");
    check(s.taps <= kMaxPointers, "a kernel of ", s.taps, " taps is too large");

    int64_t bytes = 0;
    const auto take = [&](int64_t size) {
      const int64_t at = bytes;
      bytes = checked_add(bytes, round_up(size, kAlignment));
      return at;
    };
    call.padding_at = take(s.channels);
    call.zeros_at = take(checked_mul(s.outputs + 64, 4));
    call.scales_at = take(checked_mul(s.outputs + 64, 4));
    const int64_t item = static_cast<int64_t>(item_size(call.y_type));
    if (!channels_last_) {
      call.x_at = take(checked_mul(checked_mul(s.images, s.input_pixels), s.channels));
      call.y_at =
          take(checked_mul(checked_mul(checked_mul(s.images, s.output_pixels), s.outputs), item));
    }
    if (!call.packed) {
      call.weights_at = take(static_cast<int64_t>(packed_bytes(s)));
      call.sums_at = take(static_cast<int64_t>(sum_count(s)) * 4);
    }
    ctx.request_scratch(bytes);
    return [call](Frame& f) { call.run(f); };
  }

  double flops(const PrepareContext& ctx) const override {
    const Sizes s = full_sizes(ctx);
    return 2.0 * static_cast<double>(s.images * s.output_pixels) *
           static_cast<double>(s.outputs * s.taps * s.group_channels());
  }

 private:
  Sizes weight_sizes(const Shape& w) const {
    Sizes s;
    s.groups = groups_;
    s.outputs = w[0];
    s.channels = checked_mul(w[1], groups_);
    for (std::size_t i = 2; i < w.size(); ++i) s.taps = checked_mul(s.taps, w[i]);
    return s;
  }

  Sizes full_sizes(const PrepareContext& ctx) const {
    const Shape &x = ctx.shape(in_.a), &w = ctx.shape(in_.b);
    Sizes s = weight_sizes(w);
    s.images = x[0];
    const std::size_t axes = x.size() - 2, first = channels_last_ ? 1 : 2;
    for (std::size_t i = 0; i < axes; ++i) {
      const AxisWindow axis = resolve_axis(window_, i, x[first + i], w[2 + i]);
      s.input_pixels = checked_mul(s.input_pixels, axis.input);
      s.output_pixels = checked_mul(s.output_pixels, axis.output);
      s.axes[3 - axes + i] = axis;
    }
    return s;
  }

  static Int8Matrix matrix_of(const Sizes& s) {
    return {.k = s.taps * s.group_channels(),
            .n = s.group_outputs(),
            .group = s.group_channels(),
            .k_stride = 1,
            .n_stride = 0};
  }
  static std::size_t group_bytes(const Sizes& s) {
    const std::size_t bytes = int8_weight_bytes(matrix_of(s));
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  static std::size_t packed_bytes(const Sizes& s) {
    return static_cast<std::size_t>(checked_mul(static_cast<int64_t>(group_bytes(s)), s.groups));
  }
  static std::size_t depthwise_bytes(const Sizes& s) {
    return static_cast<std::size_t>(checked_mul(s.taps, s.channels));
  }
  static std::size_t padded_outputs(const Sizes& s) {
    return kernels::int8_padded_cols(static_cast<std::size_t>(s.group_outputs()));
  }
  static std::size_t sum_count(const Sizes& s) {
    return padded_outputs(s) * static_cast<std::size_t>(s.groups);
  }

  // Depthwise weights as [taps][channels] with their zero points taken off; false where the
  // differences are no 8-bit integers.
  static bool pack_depthwise(const Sizes& s, DType dtype, const void* data, const void* zeros,
                             int64_t zero_count, int8_t* packed, int32_t* sums) {
    for (int64_t c = 0; c < s.channels; ++c) {
      const int32_t zero = zero_point_at(dtype, zeros, zero_count <= 1 ? 0 : c);
      sums[c] = 0;
      for (int64_t t = 0; t < s.taps; ++t) {
        const int32_t value = zero_point_at(dtype, data, c * s.taps + t) - zero;
        if (value < -128 || value > 127) return false;
        packed[t * s.channels + c] = static_cast<int8_t>(value);
        sums[c] += value;
      }
    }
    return true;
  }

  // From [outputs][group channels][taps] to what the product reads: depth runs over taps, then
  // channels.
  static void pack_weights(const Sizes& s, DType dtype, const void* data, int8_t* packed,
                           int32_t* sums) {
    const auto* w = static_cast<const uint8_t*>(data);
    const int64_t depth = s.group_channels() * s.taps;
    const int64_t count = depth * s.group_outputs();
    std::vector<uint8_t> by_tap(s.taps > 1 ? static_cast<std::size_t>(count) : 0);
    for (int64_t g = 0; g < s.groups; ++g) {
      const uint8_t* from = w + g * count;
      if (s.taps > 1) {
        for (int64_t o = 0; o < s.group_outputs(); ++o)
          for (int64_t c = 0; c < s.group_channels(); ++c)
            for (int64_t t = 0; t < s.taps; ++t)
              by_tap[static_cast<std::size_t>(o * depth + t * s.group_channels() + c)] =
                  from[o * depth + c * s.taps + t];
        from = by_tap.data();
      }
      Int8Matrix matrix = matrix_of(s);
      matrix.k_stride = 1;
      matrix.n_stride = depth;
      pack_int8_weights(dtype, from, matrix, packed + static_cast<std::size_t>(g) * group_bytes(s),
                        sums + static_cast<std::size_t>(g) * padded_outputs(s));
    }
  }

  struct Call {
    Int8Inputs in;
    Sizes sizes;
    bool requantised = false, channels_last = false, depthwise = false;
    DType x_type{}, w_type{}, y_type{};
    const int8_t* packed = nullptr;
    const int32_t* column_sums = nullptr;
    int64_t w_zero_count = 0, w_scale_count = 0;
    int64_t padding_at = 0, zeros_at = 0, scales_at = 0, x_at = 0, y_at = 0, weights_at = 0,
            sums_at = 0;

    void run(Frame& f) const {
      const Sizes& s = sizes;
      if (s.images * s.output_pixels * s.outputs == 0) return;
      std::byte* scratch = f.scratch();
      const auto* x = f.in<uint8_t>(in.a);
      std::byte* y = f.out<std::byte>(0);
      if (!channels_last) {
        transpose_bytes(f, s.images, s.channels, s.input_pixels, x, scratch + x_at);
        x = reinterpret_cast<const uint8_t*>(scratch + x_at);
        y = scratch + y_at;
      }
      const int8_t* weights = packed;
      const int32_t* sums = column_sums;
      if (!weights) {
        auto* made = reinterpret_cast<int8_t*>(scratch + weights_at);
        auto* made_sums = reinterpret_cast<int32_t*>(scratch + sums_at);
        if (depthwise)
          pack_depthwise(s, w_type, f.in<std::byte>(in.b), nullptr, 0, made, made_sums);
        else
          pack_weights(s, w_type, f.in<std::byte>(in.b), made, made_sums);
        weights = made;
        sums = made_sums;
      }
      const int32_t x_zero = zero_point_at(x_type, f.in<std::byte>(in.a_zero), 0);
      auto* padding = reinterpret_cast<uint8_t*>(scratch + padding_at);
      std::fill(padding, padding + s.channels, static_cast<uint8_t>(x_zero));
      auto* w_zeros = reinterpret_cast<int32_t*>(scratch + zeros_at);
      const bool offset = !depthwise && widen_zero_points(w_type, f.in<std::byte>(in.b_zero),
                                                          w_zero_count, s.outputs, w_zeros);
      kernels::Int8Epilogue epilogue = epilogue_for(f, x_zero);
      for (int64_t image = 0; image < s.images; ++image) {
        const uint8_t* from = x + image * s.input_pixels * s.channels;
        std::byte* to =
            y + static_cast<std::size_t>(image * s.output_pixels * s.outputs) * item_size(y_type);
        if (depthwise)
          each_channel(f, from, padding, weights, sums, epilogue, to);
        else
          grouped(f, from, padding, weights, sums, epilogue, offset ? w_zeros : nullptr, to);
      }
      if (!channels_last) {
        if (y_type == DType::int32)
          transpose_words(f, y);
        else
          transpose_bytes(f, s.images, s.output_pixels, s.outputs, y, f.out<std::byte>(0));
      }
    }

    void transpose_words(Frame& f, const std::byte* y) const {
      const auto run = kernels::transpose_32.resolve();
      const auto pixels = static_cast<std::size_t>(sizes.output_pixels);
      const auto channels = static_cast<std::size_t>(sizes.outputs);
      f.parallel_for(split_work(sizes.images, 0.5 * static_cast<double>(pixels * channels)),
                     [&](Range r) {
                       for (int64_t i = r.begin; i < r.end; ++i) {
                         const std::size_t base = static_cast<std::size_t>(i) * pixels * channels;
                         run(pixels, channels, reinterpret_cast<const uint32_t*>(y) + base,
                             channels, f.out<uint32_t>(0) + base, pixels);
                       }
                     });
    }

    kernels::Int8Epilogue epilogue_for(Frame& f, int32_t x_zero) const {
      kernels::Int8Epilogue epilogue;
      epilogue.a_zero_point = x_zero;
      epilogue.out_stride = static_cast<std::size_t>(sizes.outputs);
      if (!requantised) return epilogue;
      auto* scales = reinterpret_cast<float*>(f.scratch() + scales_at);
      const auto* w_scale = f.in<float>(in.b_scale);
      const float x_scale = *f.in<float>(in.a_scale), y_scale = *f.in<float>(in.y_scale);
      for (int64_t c = 0; c < sizes.outputs; ++c)
        scales[c] = x_scale * w_scale[w_scale_count == 1 ? 0 : c] / y_scale;
      const bool is_signed = y_type == DType::int8;
      epilogue.kind = is_signed ? kernels::Int8Out::s8 : kernels::Int8Out::u8;
      epilogue.scale = scales;
      epilogue.bias_s32 = f.in<int32_t>(in.bias);
      epilogue.zero_point = zero_point_at(y_type, f.in<std::byte>(in.y_zero), 0);
      epilogue.lo = is_signed ? -128 : 0;
      epilogue.hi = is_signed ? 127 : 255;
      return epilogue;
    }

    // Where the taps of output pixels [begin, end) lie, `channel` bytes into each pixel.
    void point(Range rows, int64_t channel, const uint8_t* x, const uint8_t* padding,
               const void** pointers) const {
      const auto& [d, h, w] = sizes.axes;
      for (int64_t pixel = rows.begin; pixel < rows.end; ++pixel) {
        const int64_t ow = pixel % w.output, oh = pixel / w.output % h.output,
                      od = pixel / w.output / h.output;
        for (int64_t td = 0; td < d.taps; ++td) {
          const int64_t id = od * d.stride + td * d.dilation - d.pad_begin;
          for (int64_t th = 0; th < h.taps; ++th) {
            const int64_t ih = oh * h.stride + th * h.dilation - h.pad_begin;
            const bool row_inside = id >= 0 && id < d.input && ih >= 0 && ih < h.input;
            const int64_t row = (id * h.input + ih) * w.input;
            for (int64_t tw = 0; tw < w.taps; ++tw) {
              const int64_t iw = ow * w.stride + tw * w.dilation - w.pad_begin;
              *pointers++ = row_inside && iw >= 0 && iw < w.input
                                ? x + (row + iw) * sizes.channels + channel
                                : padding + channel;
            }
          }
        }
      }
    }

    int64_t block_rows() const {
      return std::clamp<int64_t>(kMaxPointers / sizes.taps, 1, kRowsPerBlock);
    }

    void grouped(Frame& f, const uint8_t* x, const uint8_t* padding, const int8_t* weights,
                 const int32_t* sums, const kernels::Int8Epilogue& shared, const int32_t* w_zeros,
                 std::byte* y) const {
      const Sizes& s = sizes;
      const int64_t step = block_rows(), blocks = (s.output_pixels + step - 1) / step;
      const int64_t panels =
          static_cast<int64_t>(kernels::int8_panels(static_cast<std::size_t>(s.group_outputs())));
      const double cost = static_cast<double>(step * s.group_outputs()) *
                          static_cast<double>(s.taps * s.group_channels()) / 150.0;
      const auto gemm = kernels::int8_gemm.resolve();
      const auto row_sums_of = kernels::int8_row_sums.resolve();
      f.parallel_for(split_work(blocks * s.groups, cost), [&](Range r) {
        std::array<const void*, kMaxPointers> pointers;
        std::array<int32_t, kRowsPerBlock> row_sums;
        for (int64_t item = r.begin; item < r.end; ++item) {
          const int64_t g = item / blocks, first = item % blocks * step;
          const Range rows{first, std::min(s.output_pixels, first + step)};
          point(rows, g * s.group_channels(), x, padding, pointers.data());
          kernels::Int8GemmArgs args;
          args.a.pixels = pointers.data();
          args.a.taps = static_cast<std::size_t>(s.taps);
          args.a.channels = static_cast<std::size_t>(s.group_channels());
          args.a.is_signed = x_type == DType::int8;
          args.rows = static_cast<std::size_t>(rows.size());
          args.packed = weights + static_cast<std::size_t>(g) * group_bytes(s);
          args.n = static_cast<std::size_t>(s.group_outputs());
          args.panel_end = static_cast<std::size_t>(panels);
          const int64_t column = g * s.group_outputs();
          args.epilogue = shared;
          args.epilogue.column_sums = sums + static_cast<std::size_t>(g) * padded_outputs(s);
          if (w_zeros) {
            row_sums_of(args.a, args.rows, row_sums.data());
            args.epilogue.row_sums = row_sums.data();
            args.epilogue.b_zero_points = w_zeros + column;
          }
          if (shared.scale) args.epilogue.scale = shared.scale + column;
          if (shared.bias_s32) args.epilogue.bias_s32 = shared.bias_s32 + column;
          args.epilogue.out =
              y + static_cast<std::size_t>(first * s.outputs + column) * item_size(y_type);
          gemm(args);
        }
      });
    }

    void each_channel(Frame& f, const uint8_t* x, const uint8_t* padding, const int8_t* weights,
                      const int32_t* sums, const kernels::Int8Epilogue& shared,
                      std::byte* y) const {
      const Sizes& s = sizes;
      const int64_t step = block_rows(), blocks = (s.output_pixels + step - 1) / step;
      const auto run = kernels::int8_depthwise.resolve();
      f.parallel_for(
          split_work(blocks, static_cast<double>(step * s.channels * s.taps) / 8.0), [&](Range r) {
            std::array<const void*, kMaxPointers> pointers;
            for (int64_t block = r.begin; block < r.end; ++block) {
              const Range rows{block * step, std::min(s.output_pixels, (block + 1) * step)};
              point(rows, 0, x, padding, pointers.data());
              kernels::Int8DepthwiseArgs args;
              args.a.pixels = pointers.data();
              args.a.taps = static_cast<std::size_t>(s.taps);
              args.a.channels = static_cast<std::size_t>(s.channels);
              args.a.is_signed = x_type == DType::int8;
              args.rows = static_cast<std::size_t>(rows.size());
              args.weights = weights;
              args.channel_end = static_cast<std::size_t>(s.channels);
              args.epilogue = shared;
              args.epilogue.column_sums = sums;
              args.epilogue.out =
                  y + static_cast<std::size_t>(rows.begin * s.outputs) * item_size(y_type);
              run(args);
            }
          });
    }
  };

  Int8Inputs in_;
  WindowAttributes window_;
  int64_t groups_;
  bool requantised_, channels_last_;
};

}  // namespace

[[gnu::cold]] void register_qlinear_conv(OpRegistry& ops) {
  ops.add<Int8Conv>("ConvInteger", {.since = 10});
  ops.add<Int8Conv>("QLinearConv", {.since = 10});
  ops.add<Int8Conv>("QLinearConv", {.since = 1}, "com.microsoft");
  // Made by passes, with attribute `layout`.
  ops.add<Int8Conv>("QLinearConv", {.since = 1}, "sardonyx");
}

}  // namespace sdx::ops
