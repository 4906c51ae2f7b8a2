// Winograd's method slice by slice. A block is a strip of tiles through some slices: its planes
// hold the tiles of one slice after those of another, so that a tap of the depth is one product of
// rows some slices on.
#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "ops/conv_volume.h"
#include "ops/gemm_plan.h"

namespace sdx::ops {
namespace {

constexpr std::size_t kSide = 4;
constexpr auto kPlanes = static_cast<int64_t>(kernels::winograd_planes(kSide));
constexpr int64_t kMostSlices = 8;         // of outputs of a block
constexpr int64_t kBlockFloats = 300'000;  // of a block's planes: they stay in the cache
constexpr int64_t kFewRows = 64;           // of products fewer do not pay for reading the weights

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }
int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t row_step(int64_t channels) {
  return static_cast<int64_t>(kernels::winograd_row_step(size(channels)));
}
int64_t plane_step(int64_t rows, int64_t channels) {
  return static_cast<int64_t>(kernels::winograd_plane_step(size(rows), size(channels)));
}

struct VolumeStep {
  // A strip of tiles of the slices of outputs, and of the slices of inputs that these meet.
  struct Block {
    Range tiles, outputs, inputs;
    int64_t input_rows() const { return tiles.size() * inputs.size(); }
    int64_t output_rows() const { return tiles.size() * outputs.size(); }
  };

  ConvSizes s;
  ConvOptions o;
  const float* packed = nullptr;
  GemmKernels gemm;
  kernels::WinogradTransform* transform_in = kernels::winograd_input.resolve();
  kernels::WinogradTransform* transform_out = kernels::winograd_output.resolve();
  int64_t x_step = 0, y_step = 0, z_step = 0;
  kernels::WinogradArgs slice{};
  int64_t tiles = 0;             // of a slice
  int64_t strips = 1, runs = 1;  // that tiles and slices are cut into
  int64_t products_at = 0;

  const AxisWindow& depth() const { return s.axes[0]; }
  int64_t input_slice() const { return s.input_pixels / std::max<int64_t>(depth().input, 1); }
  int64_t output_slice() const { return s.output_pixels / depth().output; }

  void plan(PrepareContext& ctx) {
    if (s.images * s.outputs * s.output_pixels == 0) return;
    x_step = ctx.step(0, s.channels);
    y_step = ctx.output_step(0, s.outputs);
    z_step = o.residual ? ctx.step(3, s.outputs) : s.outputs;
    slice = winograd_sizes(kSide, s, x_step, y_step);
    tiles = static_cast<int64_t>(kernels::winograd_tiles(slice));
    runs = divide_up(depth().output, kMostSlices);
    const int64_t slices = divide_up(depth().output, runs);
    const int64_t met = std::min(slices + depth().taps - 1, std::max<int64_t>(depth().input, 1));
    const int64_t tile_floats =
        kPlanes * (met * row_step(s.channels) + slices * row_step(s.outputs));
    const int64_t most = std::clamp(kBlockFloats / tile_floats, divide_up(kFewRows, slices),
                                    std::max(tiles, divide_up(kFewRows, slices)));
    strips = divide_up(tiles, most);
    const int64_t strip = divide_up(tiles, strips);
    const int64_t rows = checked_mul(strip, std::max(met, slices));
    products_at = checked_mul(kPlanes, plane_step(rows, s.channels));
    const int64_t floats = checked_add(
        products_at, checked_mul(kPlanes, plane_step(checked_mul(strip, slices), s.outputs)));
    ctx.request_scratch(checked_mul(floats, sizeof(float)));
  }

  Block block(int64_t run, int64_t strip) const {
    Block b;
    b.tiles = {tiles * strip / strips, tiles * (strip + 1) / strips};
    b.outputs = {depth().output * run / runs, depth().output * (run + 1) / runs};
    const int64_t first = b.outputs.begin - depth().pad_begin;
    const int64_t last = b.outputs.end - depth().pad_begin + depth().taps - 1;
    b.inputs.begin = std::clamp<int64_t>(first, 0, depth().input);
    b.inputs.end = std::clamp<int64_t>(last, b.inputs.begin, depth().input);
    return b;
  }

  void operator()(Frame& f) const {
    if (s.images * s.outputs * s.output_pixels == 0) return;
    kernels::WinogradArgs args = slice;
    o.activation.set_in(args.epilogue);
    args.epilogue.column_bias = f.in<float>(2);
    args.epilogue.residual_stride = size(z_step);
    args.epilogue.residual_last = o.residual && o.residual_last;
    float* scratch = f.scratch<float>();
    for (int64_t image = 0; image < s.images; ++image)
      for (int64_t i = 0; i < runs * strips && !f.cancelled(); ++i) {
        const Block b = block(i / strips, i % strips);
        args.x = f.in<float>(0) + image * s.input_pixels * x_step;
        args.y = f.out<float>(0) + image * s.output_pixels * y_step;
        args.epilogue.residual =
            o.residual ? f.in<float>(3) + image * s.output_pixels * z_step : nullptr;
        transform_inputs(f, args, b, scratch);
        multiply(f, b, scratch);
        transform_outputs(f, args, b, scratch);
      }
  }

  // Calls run(slice, tiles) for the rows of a block, which are numbered slice by slice.
  template <class F>
  static void for_each_slice(const Frame& f, const Block& b, int64_t rows, int64_t channels,
                             F run) {
    const int64_t strip = b.tiles.size();
    f.parallel_for(split_work(rows, 6 * static_cast<double>(channels)), [&](Range r) {
      while (r.begin < r.end) {
        const int64_t slice = r.begin / strip, end = std::min(r.end, (slice + 1) * strip);
        const int64_t first = b.tiles.begin - slice * strip;
        run(slice, Range{first + r.begin, first + end});
        r.begin = end;
      }
    });
  }

  void transform_inputs(const Frame& f, const kernels::WinogradArgs& args, const Block& b,
                        float* scratch) const {
    const int64_t rows = b.input_rows();
    for_each_slice(f, b, rows, s.channels, [&](int64_t i, Range strip) {
      kernels::WinogradArgs one = args;
      one.x += (b.inputs.begin + i) * input_slice() * x_step;
      transform_in(one, {size(b.tiles.begin), size(b.tiles.begin + rows)}, size(strip.begin),
                   size(strip.end), scratch + i * b.tiles.size() * row_step(s.channels));
    });
  }

  void transform_outputs(const Frame& f, const kernels::WinogradArgs& args, const Block& b,
                         float* scratch) const {
    const int64_t rows = b.output_rows();
    // From where the transform looks for products behind inputs of as many rows.
    float* start = scratch + products_at - kPlanes * plane_step(rows, s.channels);
    for_each_slice(f, b, rows, s.outputs, [&](int64_t i, Range strip) {
      const int64_t pixels = (b.outputs.begin + i) * output_slice();
      kernels::WinogradArgs one = args;
      one.y += pixels * y_step;
      if (one.epilogue.residual) one.epilogue.residual += pixels * z_step;
      transform_out(one, {size(b.tiles.begin), size(b.tiles.begin + rows)}, size(strip.begin),
                    size(strip.end), start + i * b.tiles.size() * row_step(s.outputs));
    });
  }

  // The outputs of a block that a tap of the depth meets inside the image.
  Range met_outputs(const Block& b, int64_t tap) const {
    const int64_t shift = depth().pad_begin - tap;
    const int64_t begin = std::clamp(b.inputs.begin + shift, b.outputs.begin, b.outputs.end);
    return {begin, std::clamp(b.inputs.end + shift, begin, b.outputs.end)};
  }

  void multiply(const Frame& f, const Block& b, float* scratch) const {
    const int64_t panels = gemm.panels(s.outputs), strip = b.tiles.size();
    const int64_t input_plane = plane_step(b.input_rows(), s.channels);
    const int64_t output_plane = plane_step(b.output_rows(), s.outputs);
    const int64_t weight_plane = gemm.packed_floats(s.channels, s.outputs);
    // A tap that meets all outputs goes first and sets what the others add to.
    int64_t setting = -1;
    for (int64_t tap = 0; tap < depth().taps && setting < 0; ++tap)
      if (met_outputs(b, tap).size() == b.outputs.size()) setting = tap;
    const double cost = gemm_cost(b.output_rows(), s.outputs, s.channels * depth().taps);
    f.parallel_for(split_work(kPlanes, cost), [&](Range planes) {
      for (int64_t plane = planes.begin; plane < planes.end; ++plane) {
        float* products = scratch + products_at + plane * output_plane;
        if (setting < 0) std::fill_n(products, b.output_rows() * row_step(s.outputs), 0.0f);
        const auto add = [&](int64_t tap) {
          const Range met = met_outputs(b, tap);
          if (met.size() <= 0) return;
          const int64_t from = met.begin - depth().pad_begin + tap - b.inputs.begin;
          const int64_t rows = met.size() * strip;
          kernels::GemmArgs args{
              .m = size(rows),
              .n = size(s.outputs),
              .k = size(s.channels),
              .a = scratch + plane * input_plane + from * strip * row_step(s.channels),
              .lda = size(row_step(s.channels)),
              .b = packed + (tap * kPlanes + plane) * weight_plane,
              .c = products + (met.begin - b.outputs.begin) * strip * row_step(s.outputs),
              .ldc = size(row_step(s.outputs))};
          args.epilogue.accumulate = tap != setting;
          gemm.packed(args, {0, size(rows), 0, size(panels)});
        };
        if (setting >= 0) add(setting);
        for (int64_t tap = 0; tap < depth().taps; ++tap)
          if (tap != setting) add(tap);
      }
    });
  }
};

}  // namespace

int64_t packed_volume_floats(const ConvSizes& s, int64_t depth_taps) {
  return checked_mul(checked_mul(depth_taps, kPlanes),
                     GemmKernels().packed_floats(s.channels, s.outputs));
}

void pack_volume(const ConvSizes& s, int64_t depth_taps, const float* weights, float* packed) {
  constexpr int64_t kTaps = 9;
  const GemmKernels gemm;
  const int64_t filters = s.outputs * s.channels;
  std::vector<float> one(size(checked_mul(filters, kTaps)));
  for (int64_t d = 0; d < depth_taps; ++d) {
    for (int64_t i = 0; i < filters; ++i)
      std::copy_n(weights + (i * depth_taps + d) * kTaps, kTaps, one.data() + i * kTaps);
    kernels::winograd_pack.resolve()(
        {kSide, size(s.channels), size(s.outputs), one.data(),
         packed + d * kPlanes * gemm.packed_floats(s.channels, s.outputs)},
        0, size(gemm.panels(s.outputs)));
  }
}

Step conv_volume_step(PrepareContext& ctx, const ConvSizes& sizes, const ConvOptions& options,
                      const float* packed) {
  VolumeStep step;
  step.s = sizes;
  step.o = options;
  step.packed = packed;
  step.plan(ctx);
  return step;
}

}  // namespace sdx::ops
