// The float32 convolution step. Kernels work on channels-last images; channels-first tensors are
// turned around on the way in and out, some images at a time.
#include <algorithm>

#include "base/checked.h"
#include "base/interrupt.h"
#include "kernels/conv_few.h"
#include "kernels/conv_narrow.h"
#include "kernels/depthwise.h"
#include "kernels/depthwise_planes.h"
#include "kernels/transpose.h"
#include "ops/conv_step.h"
#include "ops/gemm_plan.h"
#include "ops/layout.h"
#include "ops/scratch.h"

namespace sdx::ops {
namespace {

using kernels::Window;

constexpr std::size_t kShortChain = 32;    // of products
constexpr int64_t kFarFloats = 1 << 19;    // are more than the second-level cache holds
constexpr int64_t kStackFloats = 4 << 20;  // of images turned around at once
constexpr int64_t kWinogradChunks = 16;    // each has scratch while it is under way
// Other numbers of blocks would leave threads idle, so their phases are split instead.
constexpr bool share_out_evenly(int64_t blocks) { return blocks == 4 || blocks >= 8; }
// Of a strip of a framed image: it stays in the second-level cache until it is convolved.
constexpr int64_t kStripFloats = 32768;
// Fewer rows of outputs than this are cut into stretches of at least so many pixels.
constexpr int64_t kFewRows = 8;
constexpr int64_t kStretch = 48, kMostStretches = 16, kLongestStretch = 1 << 12;
constexpr int64_t kStripLanes = 16;  // as many strips are under way at most
// Groups of so many channels are lanes of a vector; more make a matrix product of their own.
constexpr int64_t kLaneChannels = 8;
// A run that is over ends after the pieces in work, so none takes longer, of a kernel's calls too.
constexpr double kLongestNs = 4e6;
// Sums of more terms take milliseconds even where there is one of them.
constexpr int64_t kManyTerms = 1 << 20;
// Of a framed image copied at once, and of a strip at most.
constexpr int64_t kFrameFloats = 1 << 18, kMostStripFloats = 1 << 22;

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }

bool is_over(const Frame& f) { return f.cancelled() || Interrupt::due(); }

// Of what takes so many nanoseconds.
int64_t pieces_of(double cost) {
  return static_cast<int64_t>(std::min(cost / kLongestNs, 1e12)) + 1;
}

struct ConvStep {
  ConvSizes s;
  ConvOptions o;
  ConvMethod method = ConvMethod::indirect;
  const float* packed = nullptr;
  GemmKernels gemm;
  kernels::Conv* conv = kernels::conv.resolve();
  kernels::ConvFew* conv_few = kernels::conv_few.resolve();
  kernels::ConvNarrow* conv_narrow = kernels::conv_narrow.resolve();
  kernels::Depthwise* depthwise = kernels::depthwise.resolve();
  kernels::DepthwisePlanes* depthwise_planes = kernels::depthwise_planes.resolve();
  kernels::Transpose32* transpose = kernels::transpose_32.resolve();
  kernels::WinogradBlock* winograd_block = kernels::winograd_block.resolve();
  kernels::WinogradTransform* winograd_input = kernels::winograd_input.resolve();
  kernels::WinogradTransform* winograd_output = kernels::winograd_output.resolve();
  kernels::WinogradMultiply* winograd_multiply = kernels::winograd_multiply.resolve();
  kernels::WinogradMultiplyTaps* multiply_taps = kernels::winograd_multiply_taps.resolve();

  Window window;
  bool pointwise = false, framed = false, by_planes = false;
  bool turn_x = false, turn_y = false, turn_z = false;
  int64_t frame_width = 0;
  int64_t strips = 0;  // of an image, along the first of two or three axes; 0: one frame holds all
  int64_t strip_floats = 0;
  int64_t tap_parts = 1;
  int64_t stack = 0;  // images worked on at once
  // Floats into the scratch, and floats of one image there.
  int64_t x_at = 0, y_at = 0, z_at = 0, weights_at = 0, parts_at = 0, work_at = 0;
  int64_t x_image = 0, y_image = 0, z_image = 0, work_floats = 0;
  // From one pixel to the next, of tensors that are not turned around.
  int64_t x_step = 0, y_step = 0, z_step = 0;
  kernels::WinogradArgs winograd{};
  int64_t image_tiles = 0, block_tiles = 1;
  bool by_blocks = false;  // each block on one thread, else each phase on all
  int64_t lanes_at = 0;    // where transformed weights lie, floats into the work

  std::size_t side() const {
    return packed ? std::max(winograd_side(method), o.side_on_the_way) : 0;
  }
  std::size_t chain() const { return o.short_chains ? kShortChain : kernels::kAnyChain; }
  int64_t winograd_blocks(int64_t images) const {
    return (images * image_tiles + block_tiles - 1) / block_tiles;
  }

  int64_t weight_lanes() const { return std::min(2 * gemm.panels(s.outputs), kWinogradChunks); }

  void plan(PrepareContext& ctx) {
    if (s.images * s.outputs * s.output_pixels == 0) return;
    x_step = o.input_last ? ctx.step(0, s.channels) : s.channels;
    y_step = o.channels_last ? ctx.output_step(0, s.outputs) : s.outputs;
    z_step = o.channels_last && o.residual ? ctx.step(3, s.outputs) : s.outputs;
    window = kernel_window(s.axes, x_step);
    const auto& width = s.axes.back();
    pointwise = method == ConvMethod::indirect && s.taps == 1 && s.group_channels() <= kManyTerms;
    for (const AxisWindow& axis : s.axes)
      pointwise &= axis.stride == 1 && axis.pad_begin == 0 && axis.pad_end == 0;
    framed = method == ConvMethod::indirect && s.groups == 1 && s.channels < kFrameChannels &&
             width.taps > 1 && width.dilation == 1 && width.input > 0 && has_short_strips();
    by_planes = method == ConvMethod::depthwise && s.group_channels() == 1 && !o.input_last &&
                !o.channels_last && !o.residual && kernels::fits_planes(window);
    turn_x = !by_planes && !o.input_last && s.channels > 1 && s.input_pixels > 1;
    turn_y = !by_planes && !o.channels_last && s.outputs > 1 && s.output_pixels > 1;
    turn_z = turn_y && o.residual;
    x_image = checked_mul(x_step, s.input_pixels);
    y_image = checked_mul(y_step, s.output_pixels);
    z_image = checked_mul(z_step, s.output_pixels);
    if (framed) use_frame();
    const bool copy_x = strips == 0 && (turn_x || framed);
    const int64_t turned = (copy_x ? x_image : 0) + (turn_y ? y_image : 0) * (turn_z ? 2 : 1);
    stack = turned ? std::clamp<int64_t>(kStackFloats / turned, 1, s.images) : s.images;
    int64_t end = 0;
    const auto reserve = [&](bool wanted, int64_t floats) {
      const int64_t at = end;
      if (wanted) end = round_up(checked_add(end, floats), 16);
      return at;
    };
    x_at = reserve(copy_x, checked_mul(stack, x_image));
    y_at = reserve(turn_y, checked_mul(stack, y_image));
    z_at = reserve(turn_z, checked_mul(stack, z_image));
    weights_at = reserve(!packed && !plain_weights(), packed_conv_floats(method, s));
    tap_parts = count_tap_parts();
    parts_at = reserve(tap_parts > 1, checked_mul(stack, y_image));
    work_at = end;
    if (side()) end = checked_add(end, plan_winograd());
    if (strips) end = checked_add(end, checked_mul(strip_lanes(strip_split(stack)), strip_floats));
    ctx.request_scratch(checked_mul(end, sizeof(float)));
  }

  static int64_t framed_width(const AxisWindow& width) {
    return (width.output - 1) * width.stride + width.taps;
  }

  // Whether what a row of outputs meets is copied into a frame within milliseconds.
  bool has_short_strips() const {
    if (s.channels * s.taps > kManyTerms) return false;
    if (s.axes.size() < 2) return true;
    const AxisWindow &outer = s.axes.front(), &width = s.axes.back();
    const int64_t rows = s.input_pixels / std::max<int64_t>(width.input * outer.input, 1);
    const int64_t layers = std::min((outer.taps - 1) * outer.dilation + 1, outer.input);
    return checked_mul(checked_mul(layers, rows), checked_mul(framed_width(width), s.channels)) <=
           kMostStripFloats;
  }

  void use_frame() {
    const AxisWindow& width = s.axes.back();
    frame_width = framed_width(width);
    const int64_t rows = s.input_pixels / std::max<int64_t>(width.input, 1);
    x_image = checked_mul(rows, checked_mul(frame_width, s.channels));
    std::vector<AxisWindow> axes = s.axes;
    axes.back().input = frame_width;
    window = kernel_window(axes, s.channels);
    window.axis[2].taps = 1;
    window.axis[2].pad = 0;
    if (axes.size() < 2) return;
    const AxisWindow& outer = s.axes.front();
    const int64_t layer = std::max<int64_t>(x_image / std::max<int64_t>(outer.input, 1), 1);
    const int64_t most = std::max<int64_t>(kStripFloats / layer / outer.stride, 1);
    strips = std::min(round_up((outer.output + most - 1) / most, 4), outer.output);
    const int64_t outputs = (outer.output + strips - 1) / strips;
    const int64_t layers = (outputs - 1) * outer.stride + (outer.taps - 1) * outer.dilation + 1;
    strip_floats = round_up(checked_mul(std::min(layers, outer.input), layer), 16);
  }

  Split strip_split(int64_t images) const {
    const int64_t items = images * strips;
    const double cost = gemm_cost(images * s.output_pixels, s.outputs, s.channels * s.taps);
    return split_work(items, cost / static_cast<double>(items));
  }
  static int64_t strip_lanes(const Split& split) { return std::min(split.chunks, kStripLanes); }

  int64_t plan_winograd() {
    winograd = winograd_sizes(side(), s, x_step, y_step);
    winograd.packed = packed;
    image_tiles = static_cast<int64_t>(kernels::winograd_tiles(winograd));
    winograd.images = size(stack);
    winograd.chain = chain();
    block_tiles = std::clamp<int64_t>(static_cast<int64_t>(kernels::winograd_block_tiles(winograd)),
                                      1, checked_mul(stack, image_tiles));
    work_floats =
        round_up(static_cast<int64_t>(kernels::winograd_scratch(winograd, size(block_tiles))), 16);
    if (o.side_on_the_way) {
      lanes_at = work_floats;
      return checked_add(work_floats,
                         weight_lanes() * static_cast<int64_t>(kernels::kWinogradWeightFloats));
    }
    const int64_t blocks = winograd_blocks(stack);
    const double cost = static_cast<double>(kernels::winograd_planes(side())) *
                        gemm_cost(block_tiles, s.outputs, s.channels);
    by_blocks = share_out_evenly(blocks) && cost <= 4 * kLongestNs;
    return checked_mul(work_floats, by_blocks ? std::min(blocks, kWinogradChunks) : 1);
  }

  // Copies columns of a row between columns of zeros, channels last.
  void fill_row(Range columns, const float* x, float* frame) const {
    const AxisWindow& width = s.axes.back();
    const int64_t c = s.channels;
    const int64_t begin = std::clamp(width.pad_begin, columns.begin, columns.end);
    const int64_t end = std::clamp(width.pad_begin + width.input, begin, columns.end);
    const int64_t first = begin - width.pad_begin;
    std::fill(frame + columns.begin * c, frame + begin * c, 0.0f);
    std::fill(frame + end * c, frame + columns.end * c, 0.0f);
    if (turn_x) {
      transpose(size(c), size(end - begin), reinterpret_cast<const uint32_t*>(x + first),
                size(s.input_pixels), reinterpret_cast<uint32_t*>(frame + begin * c), size(c));
    } else {
      std::copy_n(x + first * c, (end - begin) * c, frame + begin * c);
    }
  }

  void fill_frame(Range rows, const float* x, float* frame) const {
    const int64_t row_floats = s.axes.back().input * (turn_x ? 1 : s.channels);
    for (int64_t i = rows.begin; i < rows.end; ++i, frame += frame_width * s.channels)
      fill_row({0, frame_width}, x + i * row_floats, frame);
  }

  // Of one axis: images are rows.
  void fill_frames(const Frame& f, int64_t images, const float* x, float* frames) const {
    const int64_t pieces = x_image / kFrameFloats + 1;
    const double cost = 0.4 * static_cast<double>(x_image) / static_cast<double>(pieces) + 5;
    f.parallel_for(split_work(images * pieces, cost), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t image = i / pieces, piece = i % pieces;
        fill_row({frame_width * piece / pieces, frame_width * (piece + 1) / pieces},
                 x + image * s.channels * s.input_pixels, frames + image * x_image);
      }
    });
  }

  // Whether packing would change nothing.
  bool plain_weights() const {
    return method == ConvMethod::depthwise && s.channels * s.group_channels() == 1;
  }

  void operator()(Frame& f) const {
    if (s.images * s.outputs * s.output_pixels == 0) return;
    float* scratch = f.scratch<float>();
    const float* weights = packed;
    if (!weights && plain_weights()) {
      weights = f.in<float>(1);
    } else if (!weights) {
      pack_conv(f, method, s, f.in<float>(1), scratch + weights_at);
      weights = scratch + weights_at;
    }
    kernels::Epilogue epilogue;
    o.activation.set_in(epilogue);
    epilogue.column_bias = f.in<float>(2);
    epilogue.residual_stride = size(z_step);
    epilogue.residual_last = o.residual && o.residual_last;
    for (int64_t first = 0; first < s.images && !f.cancelled(); first += stack) {
      const int64_t images = std::min(stack, s.images - first);
      const float* x = f.in<float>(0) + first * x_step * s.input_pixels;
      float* y = f.out<float>(0) + first * y_image;
      const float* z = o.residual ? f.in<float>(3) + first * z_image : nullptr;
      float* result = turn_y ? scratch + y_at : y;
      if (framed && strips == 0) {
        fill_frames(f, images, x, scratch + x_at);
        x = scratch + x_at;
      } else if (turn_x && !framed) {
        to_channels_last(f, images, s.channels, s.input_pixels, x, scratch + x_at);
        x = scratch + x_at;
      }
      if (turn_z) {
        to_channels_last(f, images, s.outputs, s.output_pixels, z, scratch + z_at);
        z = scratch + z_at;
      }
      epilogue.residual = z;
      run(f, images, x, weights, result, epilogue);
      if (turn_y) to_channels_first(f, images, s.outputs, s.output_pixels, result, y);
    }
  }

  void run(const Frame& f, int64_t images, const float* x, const float* weights, float* y,
           const kernels::Epilogue& epilogue) const {
    if (side())
      run_winograd(f, images, x, y, epilogue);
    else if (pointwise)
      run_pointwise(f, images, x, weights, y, epilogue);
    else if (strips)
      run_strips(f, images, x, weights, y, epilogue);
    else if (method == ConvMethod::indirect)
      run_indirect(f, images, x, weights, y, epilogue);
    else if (method == ConvMethod::few || method == ConvMethod::narrow)
      run_rows(f, images, x, weights, y, epilogue);
    else if (by_planes)
      run_planes(f, images, x, weights, y, epilogue);
    else
      run_depthwise(f, images, x, weights, y, epilogue);
  }

  static void move(kernels::Epilogue& epilogue, int64_t columns, int64_t residual) {
    if (epilogue.column_bias) epilogue.column_bias += columns;
    if (epilogue.residual) epilogue.residual += residual;
  }

  void run_pointwise(const Frame& f, int64_t images, const float* x, const float* weights, float* y,
                     const kernels::Epilogue& epilogue) const {
    const int64_t m = images * s.output_pixels, n = s.group_outputs(), k = s.group_channels();
    const GemmGrid grid = gemm_grid(gemm, s.groups, m, n, k);
    const int64_t step = gemm.packed_floats(k, n);
    // What is larger than the cache is best read from its end, which was written last.
    const bool upwards = k > n && m * k >= kFarFloats;
    const int64_t row_blocks = grid.row_blocks, panel_blocks = grid.panel_blocks;
    f.parallel_for(grid.split, [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t row_block = i / panel_blocks % row_blocks;
        const int64_t mirrored = i + (row_blocks - 1 - 2 * row_block) * panel_blocks;
        const auto [group, range] = grid.block(upwards ? mirrored : i);
        kernels::GemmArgs args{.m = size(m),
                               .n = size(n),
                               .k = size(k),
                               .a = x + group * k,
                               .lda = size(x_step),
                               .b = weights + group * step,
                               .c = y + group * n,
                               .ldc = size(y_step),
                               .epilogue = epilogue,
                               .chain = chain()};
        move(args.epilogue, group * n, group * n);
        gemm.packed(args, range);
      }
    });
  }

  // Calls conv for a range, of which no piece takes long: fewer pixels, fewer panels, then parts of
  // the sums.
  void run_conv(const Frame& f, const kernels::ConvArgs& args,
                const kernels::GemmRange& range) const {
    const auto rows = static_cast<int64_t>(range.row_end - range.row_begin);
    const std::size_t panels = range.panel_end - range.panel_begin;
    const int64_t columns = std::min(static_cast<int64_t>(panels * gemm.tiling.columns),
                                     static_cast<int64_t>(args.outputs));
    const int64_t depth = s.group_channels() * s.taps;
    // Where the pixels of a tap lie is found anew for every few panels.
    constexpr double kTapNs = 30;
    const double cost =
        gemm_cost(rows, columns, depth) + kTapNs * static_cast<double>(rows * s.taps);
    if (cost <= kLongestNs) return conv(args, range);
    if (is_over(f)) return;
    const auto least = static_cast<int64_t>(gemm.tiling.rows);
    if (rows > least || panels > 1) {
      kernels::GemmRange first = range, second = range;
      if (rows > least)
        first.row_end = second.row_begin = range.row_begin + size(round_up(rows / 2, least));
      else
        first.panel_end = second.panel_begin = range.panel_begin + panels / 2;
      run_conv(f, args, first);
      return run_conv(f, args, second);
    }
    kernels::ConvArgs part = args;
    part.parts = size(pieces_of(cost));
    for (; part.part < part.parts && !is_over(f); ++part.part) conv(part, range);
  }

  void run_indirect(const Frame& f, int64_t images, const float* x, const float* weights, float* y,
                    const kernels::Epilogue& epilogue) const {
    const int64_t n = s.group_outputs(), k = s.group_channels() * s.taps;
    const GemmGrid grid = gemm_grid(gemm, images * s.groups, s.output_pixels, n, k);
    const int64_t step = gemm.packed_floats(k, n);
    const int64_t channels = framed ? s.group_channels() * s.axes.back().taps : s.group_channels();
    f.parallel_for(grid.split, [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const auto [batch, range] = grid.block(i);
        const int64_t image = batch / s.groups, group = batch % s.groups;
        kernels::ConvArgs args{.window = window,
                               .channels = size(channels),
                               .outputs = size(n),
                               .x = x + image * x_image + group * s.group_channels(),
                               .packed = weights + group * step,
                               .y = y + image * y_image + group * n,
                               .y_step = size(y_step),
                               .epilogue = epilogue,
                               .chain = chain()};
        move(args.epilogue, group * n, image * z_image + group * n);
        run_conv(f, args, range);
      }
    });
  }

  void run_strips(const Frame& f, int64_t images, const float* x, const float* weights, float* y,
                  const kernels::Epilogue& epilogue) const {
    const AxisWindow& outer = s.axes.front();
    const int64_t pixels = s.output_pixels / outer.output;
    const int64_t rows = s.input_pixels / s.axes.back().input / std::max<int64_t>(outer.input, 1);
    const Split split = strip_split(images);
    ScratchLanes lanes(strip_lanes(split));
    f.parallel_for(split, [&](Range r) {
      const ScratchLanes::Lane lane(lanes);
      float* frame = f.scratch<float>() + work_at + lane.index() * strip_floats;
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t image = i / strips, strip = i % strips;
        const int64_t first = outer.output * strip / strips;
        const int64_t last = outer.output * (strip + 1) / strips - 1;
        const int64_t top = first * outer.stride - outer.pad_begin;
        const int64_t bottom =
            last * outer.stride - outer.pad_begin + (outer.taps - 1) * outer.dilation + 1;
        const int64_t begin = std::clamp<int64_t>(top, 0, outer.input);
        const int64_t end = std::clamp(bottom, begin, outer.input);
        fill_frame({begin * rows, end * rows}, x + image * s.channels * s.input_pixels, frame);
        kernels::ConvArgs args{.window = window,
                               .channels = size(s.channels * s.axes.back().taps),
                               .outputs = size(s.outputs),
                               .x = frame,
                               .packed = weights,
                               .y = y + image * y_image + first * pixels * y_step,
                               .y_step = size(y_step),
                               .epilogue = epilogue,
                               .chain = chain()};
        kernels::WindowAxis& axis = args.window.axis[3 - s.axes.size()];
        axis.input = size(end - begin);
        axis.output = size(last + 1 - first);
        axis.pad = begin - top;
        move(args.epilogue, 0, image * z_image + first * pixels * z_step);
        run_conv(f, args, {0, size((last + 1 - first) * pixels), 0, size(gemm.panels(s.outputs))});
      }
    });
  }

  // Some rows of outputs along the width, or a stretch of one.
  struct Rows {
    int64_t image;
    std::size_t begin, end;
    Window window;
    int64_t pixel;  // of an image's outputs: where the kernel's own count of them starts
  };

  // Calls run(rows) for all of them; few rows are cut into stretches.
  template <class F>
  void for_each_rows(const Frame& f, int64_t images, double cost, int64_t grain, F run) const {
    const int64_t width = s.axes.back().output, rows = s.output_pixels / width;
    const int64_t most = std::max(kMostStretches, width / kLongestStretch);
    const int64_t stretches =
        images * rows < kFewRows ? std::clamp<int64_t>(width / kStretch, 1, most) : 1;
    const int64_t pieces = std::max(stretches, std::min(pieces_of(cost), width));
    if (pieces == 1) {
      // Neighbouring rows share inputs.
      const auto block = static_cast<int64_t>(std::clamp(2 * kLongestNs / cost, 1.0, 1e9));
      f.parallel_ranges(split_work(images * rows, cost, grain), [&](Range r) {
        for (int64_t at = r.begin; at < r.end && !is_over(f);) {
          const int64_t image = at / rows;
          const int64_t end = std::min({r.end, (image + 1) * rows, at + block});
          run(Rows{image, size(at - image * rows), size(end - image * rows), window, 0});
          at = end;
        }
      });
      return;
    }
    f.parallel_for(split_work(images * rows * pieces, cost / static_cast<double>(pieces)),
                   [&](Range r) {
                     for (int64_t i = r.begin; i < r.end; ++i) {
                       const int64_t piece = i % pieces, row = i / pieces % rows;
                       const int64_t begin = width * piece / pieces;
                       const int64_t count = width * (piece + 1) / pieces - begin;
                       Rows stretch{i / pieces / rows, size(row), size(row + 1), window,
                                    row * width + begin - row * count};
                       kernels::WindowAxis& axis = stretch.window.axis[2];
                       axis.output = size(count);
                       axis.pad -= begin * static_cast<int64_t>(axis.stride);
                       run(stretch);
                     }
                   });
  }

  void run_depthwise(const Frame& f, int64_t images, const float* x, const float* weights, float* y,
                     const kernels::Epilogue& epilogue) const {
    // Less than a vector of channels takes as long as several: sums wait for each other.
    constexpr int64_t kWaiting = 64;
    const bool fills = s.channels >= static_cast<int64_t>(gemm.tiling.lanes);
    const int64_t row_floats = s.axes.back().output * (fills ? s.channels : kWaiting);
    const double cost =
        0.02 * static_cast<double>(row_floats * (s.taps * s.group_channels() + 4)) + 20;
    // Rows that share most of their inputs stay together.
    const int64_t taps_down = s.taps / s.axes.back().taps;
    const int64_t grain = s.axes.back().taps > 7 ? std::max<int64_t>(taps_down / 2, 1) : 1;
    for_each_rows(f, images, cost, grain, [&](const Rows& rows) {
      kernels::DepthwiseArgs args{.window = rows.window,
                                  .channels = size(s.channels),
                                  .group = size(s.group_channels()),
                                  .x = x + rows.image * x_image,
                                  .weights = weights,
                                  .y = y + rows.image * y_image + rows.pixel * y_step,
                                  .y_step = size(y_step),
                                  .epilogue = epilogue};
      move(args.epilogue, 0, rows.image * z_image + rows.pixel * z_step);
      if (tap_parts > 1)
        run_tap_parts(f, args, rows);
      else
        depthwise(args, rows.begin, rows.end);
    });
  }

  // The outermost axis of the kernel's three that has taps to be cut.
  std::size_t outer_axis() const {
    std::size_t axis = 0;
    while (axis < 2 && window.axis[axis].taps == 1) ++axis;
    return axis;
  }

  // So many taps that even a stretch of a row takes long: parts of them, between which the run may
  // end, each on top of what those before came to, in the scratch and in y by turns.
  int64_t count_tap_parts() const {
    constexpr int64_t kManyTaps = 1 << 14;
    constexpr double kLongest = 8e6, kTapNs = 0.5;  // few outputs wait for each other's sums
    if (method != ConvMethod::depthwise || s.taps < kManyTaps || by_planes) return 1;
    const int64_t pixels = std::min(s.axes.back().output, kLongestStretch);
    const double cost = kTapNs * static_cast<double>(s.taps) *
                        static_cast<double>(pixels * round_up(s.channels, 16) * s.group_channels());
    const auto taps = static_cast<int64_t>(window.axis[outer_axis()].taps);
    return std::min(static_cast<int64_t>(std::min(cost / kLongest, 1e9)) + 1, taps);
  }

  void run_tap_parts(const Frame& f, const kernels::DepthwiseArgs& all, const Rows& rows) const {
    const std::size_t outer = outer_axis(), taps = window.axis[outer].taps;
    const int64_t tap_floats =
        s.taps / static_cast<int64_t>(taps) * s.group_channels() * s.channels;
    float* other = f.scratch<float>() + parts_at + rows.image * y_image + rows.pixel * y_step;
    const float* residual = all.epilogue.residual;
    const bool adds_last = all.epilogue.residual_last;
    for (int64_t part = 0; part < tap_parts; ++part) {
      if (part > 0 && is_over(f)) return;
      const bool last = part + 1 == tap_parts, here = (tap_parts - part) % 2 == 1;
      const int64_t begin = static_cast<int64_t>(taps) * part / tap_parts;
      const int64_t end = static_cast<int64_t>(taps) * (part + 1) / tap_parts;
      kernels::DepthwiseArgs args = all;
      kernels::WindowAxis& axis = args.window.axis[outer];
      axis.taps = size(end - begin);
      axis.pad -= begin * static_cast<int64_t>(axis.dilation);
      args.weights += begin * tap_floats;
      if (!last || adds_last) args.epilogue = {};
      if (last && adds_last) args.epilogue.column_bias = all.epilogue.column_bias;
      args.epilogue.residual = part > 0 ? here ? other : all.y : adds_last ? nullptr : residual;
      args.epilogue.residual_stride = part > 0 ? args.y_step : size(z_step);
      if (!here) args.y = other;
      depthwise(args, rows.begin, rows.end);
    }
    if (!adds_last) return;
    const auto pixels = static_cast<int64_t>(rows.window.axis[2].output);
    for (int64_t i = static_cast<int64_t>(rows.begin) * pixels;
         i < static_cast<int64_t>(rows.end) * pixels; ++i)
      for (int64_t c = 0; c < s.outputs; ++c)
        all.y[i * y_step + c] =
            static_cast<float>(o.activation(all.y[i * y_step + c])) + residual[i * z_step + c];
  }

  void run_planes(const Frame& f, int64_t images, const float* x, const float* weights, float* y,
                  const kernels::Epilogue& epilogue) const {
    const kernels::DepthwisePlanesArgs args{.window = window,
                                            .channels = size(s.channels),
                                            .x = x,
                                            .weights = weights,
                                            .y = y,
                                            .epilogue = epilogue};
    const double cost = 0.02 * static_cast<double>(s.output_pixels * (s.taps + 10)) + 20;
    const int64_t planes = images * s.channels;
    const auto rows = static_cast<int64_t>(window.axis[1].output);
    // What is written for the first time takes several times as long.
    const int64_t pieces = std::min(pieces_of(4 * cost), rows);
    if (pieces == 1)
      return f.parallel_for(split_work(planes, cost),
                            [&](Range r) { depthwise_planes(args, size(r.begin), size(r.end)); });
    f.parallel_for(split_work(planes * pieces, cost / static_cast<double>(pieces)), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t plane = i / pieces, piece = i % pieces, channel = plane % s.channels;
        const int64_t begin = rows * piece / pieces;
        kernels::DepthwisePlanesArgs part = args;
        kernels::WindowAxis& axis = part.window.axis[1];
        axis.output = size(rows * (piece + 1) / pieces - begin);
        axis.pad -= begin * static_cast<int64_t>(axis.stride);
        part.x += plane * s.input_pixels;
        part.y += plane * s.output_pixels + begin * s.axes.back().output;
        part.weights += channel;
        move(part.epilogue, channel, 0);
        depthwise_planes(part, 0, 1);
      }
    });
  }

  void run_rows(const Frame& f, int64_t images, const float* x, const float* weights, float* y,
                const kernels::Epilogue& epilogue) const {
    const auto run = method == ConvMethod::few ? conv_few : conv_narrow;
    const double products = static_cast<double>(s.axes.back().output * s.outputs) *
                            static_cast<double>(s.channels * s.taps + 50);
    const int64_t taps_down = s.taps / s.axes.back().taps;
    for_each_rows(f, images, 0.015 * products + 20, taps_down, [&](const Rows& rows) {
      kernels::ConvArgs args{.window = rows.window,
                             .channels = size(s.channels),
                             .outputs = size(s.outputs),
                             .x = x + rows.image * x_image,
                             .packed = weights,
                             .y = y + rows.image * y_image + rows.pixel * y_step,
                             .y_step = size(y_step),
                             .epilogue = epilogue};
      move(args.epilogue, 0, rows.image * z_image + rows.pixel * z_step);
      run(args, rows.begin, rows.end);
    });
  }

  void run_winograd(const Frame& f, int64_t images, const float* x, float* y,
                    const kernels::Epilogue& epilogue) const {
    const int64_t tiles = images * image_tiles, blocks = winograd_blocks(images);
    float* work = f.scratch<float>() + work_at;
    kernels::WinogradArgs args = winograd;
    args.images = size(images);
    args.x = x;
    args.y = y;
    args.epilogue = epilogue;
    const auto block_range = [&](int64_t block) {
      return kernels::WinogradBlockRange{size(tiles * block / blocks),
                                         size(tiles * (block + 1) / blocks)};
    };
    if (by_blocks) {
      const Split split{blocks, std::min(blocks, kWinogradChunks)};
      ScratchLanes lanes(split.chunks);
      f.parallel_for({split.chunks, split.chunks}, [&](Range chunk) {
        const Range items = split.chunk(chunk.begin);
        const ScratchLanes::Lane lane(lanes);
        for (int64_t i = items.begin; i < items.end; ++i) {
          const auto [begin, end] = block_range(i);
          winograd_block(args, begin, end, work + lane.index() * work_floats);
        }
      });
      return;
    }
    for (int64_t i = 0; i < blocks; ++i) run_phases(f, args, block_range(i), work);
  }

  void run_phases(const Frame& f, const kernels::WinogradArgs& args,
                  const kernels::WinogradBlockRange& block, float* work) const {
    const auto tiles = static_cast<int64_t>(block.block_end - block.block_begin);
    const auto transform = [&](kernels::WinogradTransform* run, int64_t channels) {
      f.parallel_for(split_work(tiles, 6 * static_cast<double>(channels)), [&](Range r) {
        run(args, block, block.block_begin + size(r.begin), block.block_begin + size(r.end), work);
      });
    };
    transform(winograd_input, s.channels);
    if (o.side_on_the_way)
      multiply_on_the_way(f, args, block, work);
    else
      multiply_planes(f, args, block, work);
    transform(winograd_output, s.outputs);
  }

  void multiply_on_the_way(const Frame& f, const kernels::WinogradArgs& args,
                           const kernels::WinogradBlockRange& block, float* work) const {
    const auto tiles = static_cast<int64_t>(block.block_end - block.block_begin);
    const int64_t items = 2 * gemm.panels(s.outputs);
    const auto planes = static_cast<double>(kernels::winograd_planes(args.side));
    const double cost = planes * gemm_cost(tiles, s.outputs, s.channels);
    ScratchLanes lanes(weight_lanes());
    f.parallel_ranges(split_work(items, cost / static_cast<double>(items)), [&](Range r) {
      const ScratchLanes::Lane lane(lanes);
      multiply_taps(
          args, block, size(r.begin), size(r.end), work,
          work + lanes_at + lane.index() * static_cast<int64_t>(kernels::kWinogradWeightFloats));
    });
  }

  void multiply_planes(const Frame& f, const kernels::WinogradArgs& args,
                       const kernels::WinogradBlockRange& block, float* work) const {
    const auto tiles = static_cast<int64_t>(block.block_end - block.block_begin);
    const auto planes = static_cast<int64_t>(kernels::winograd_planes(args.side));
    const GemmGrid grid = gemm_grid(gemm, planes, tiles, s.outputs, s.channels);
    const double cost = gemm_cost(tiles, s.outputs, s.channels);
    f.parallel_for(split_work(planes * grid.panels, cost / static_cast<double>(grid.panels)),
                   [&](Range r) {
                     for (int64_t i = r.begin; i < r.end;) {
                       const int64_t plane = i / grid.panels, panel = i % grid.panels;
                       const int64_t end = std::min(r.end, (plane + 1) * grid.panels);
                       winograd_multiply(args, block, size(plane), size(plane + 1), size(panel),
                                         size(panel + end - i), work);
                       i = end;
                     }
                   });
  }
};

}  // namespace

kernels::WinogradArgs winograd_sizes(std::size_t side, const ConvSizes& s, int64_t x_step,
                                     int64_t y_step) {
  const AxisWindow& height = s.axes[s.axes.size() - 2];
  const AxisWindow& width = s.axes.back();
  kernels::WinogradArgs args{};
  args.side = side;
  args.height = size(height.input);
  args.width = size(width.input);
  args.output_height = size(height.output);
  args.output_width = size(width.output);
  args.pad_top = height.pad_begin;
  args.pad_left = width.pad_begin;
  args.channels = size(s.channels);
  args.outputs = size(s.outputs);
  args.x_step = size(x_step);
  args.y_step = size(y_step);
  return args;
}

bool is_depthwise(const ConvSizes& s) {
  const int64_t group = s.group_channels();
  const auto lanes = static_cast<int64_t>(GemmKernels().tiling.lanes);
  if (group != s.group_outputs() || (group & (group - 1)) != 0) return false;
  return group == 1 || (group <= std::min(kLaneChannels, lanes) && s.channels >= lanes);
}

bool has_few_outputs(const ConvSizes& s) {
  return s.groups == 1 && s.taps > 1 && s.outputs <= static_cast<int64_t>(kernels::kFewOutputs) &&
         s.channels >= static_cast<int64_t>(GemmKernels().tiling.lanes);
}

bool is_narrow(const ConvSizes& s, const kernels::Window& window) {
  const auto lanes = static_cast<int64_t>(GemmKernels().tiling.lanes);
  const auto width = static_cast<int64_t>(window.axis[2].output);
  // Lanes that are used of those that pixels fill.
  const bool filled = 4 * width >= 3 * round_up(width, lanes);
  return s.groups == 1 && window.axis[2].taps > 1 && filled &&
         s.outputs <= std::min<int64_t>(kernels::kNarrowOutputs, lanes / 2) &&
         kernels::fits_narrow(window, size(s.channels));
}

Step conv_step(PrepareContext& ctx, const ConvSizes& sizes, const ConvOptions& options,
               ConvMethod method, const float* packed) {
  ConvStep step;
  step.s = sizes;
  step.o = options;
  step.method = method;
  step.packed = packed;
  step.plan(ctx);
  return step;
}

}  // namespace sdx::ops
