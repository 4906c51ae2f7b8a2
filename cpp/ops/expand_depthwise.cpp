// ExpandDepthwise: a pointwise convolution and the depthwise one behind it as one step, by blocks
// of channels and strips of rows, so that what lies between the two stays in cache.
#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/depthwise.h"
#include "ops/activation.h"
#include "ops/checks.h"
#include "ops/gemm_plan.h"
#include "ops/registry.h"
#include "ops/scratch.h"
#include "ops/window.h"

namespace sdx::ops {
namespace {

// Inputs: X and of both convolutions weights and bias.
enum Input { kX = 0, kExpand = 1, kExpandBias = 2, kFilters = 3, kBias = 4 };
enum Slot { kPackedExpand = 0, kPackedFilters = 1 };

constexpr int64_t kStripFloats = 65536;  // lie well in a second-level cache
constexpr int64_t kEnoughChunks = 6;
constexpr int64_t kLeastRows = 8;  // of results a chunk: the first of them expand their halo anew
// Images of so many rows are cut into an upper and a lower half, as the operators around cut them,
// so that a thread finds most of what it reads in its own cache.
constexpr int64_t kHalvedRows = 14;

std::size_t size(int64_t value) { return static_cast<std::size_t>(value); }

// Channels that go together: whole panels of every tier.
constexpr int64_t kBlock = 64;

struct ExpandDepthwiseStep {
  GemmKernels gemm;
  kernels::Depthwise* depthwise = kernels::depthwise.resolve();
  const float* expand = nullptr;
  const float* filters = nullptr;
  FusedActivation expand_activation, activation;
  int64_t images = 0, inputs = 0, channels = 0;
  AxisWindow height, width;

  int64_t blocks = 0, row_blocks = 1, strip = 1, lane_floats = 0;
  Split split;

  int64_t taps() const { return height.taps * width.taps; }
  // Floats in front of all lanes, so that products may count columns from channel 0.
  int64_t lead() const { return blocks * kBlock; }
  int64_t extent() const { return (height.taps - 1) * height.dilation + 1; }

  void plan(PrepareContext& ctx) {
    blocks = (channels + kBlock - 1) / kBlock;
    if (images * channels * height.output * width.output == 0) return;
    const int64_t row_floats = std::max<int64_t>(checked_mul(width.input, kBlock), 1);
    const int64_t lane_rows =
        std::min(height.input, std::max(kStripFloats / row_floats, extent() + height.stride));
    strip = std::max<int64_t>(1, (lane_rows - extent()) / height.stride + 1);
    if (lane_rows == height.input) strip = height.output;
    lane_floats = round_up(checked_mul(lane_rows, row_floats), 16);
    const double cost =
        static_cast<double>(images) *
        (gemm_cost(height.input * width.input, channels, inputs) +
         0.02 * static_cast<double>(height.output * width.output * channels * (taps() + 4)));
    if (height.output >= kHalvedRows && width.input >= kHalvedRows) row_blocks = 2;
    while (images * blocks * row_blocks < kEnoughChunks &&
           height.output >= 2 * row_blocks * kLeastRows)
      row_blocks *= 2;
    const int64_t items = images * row_blocks * blocks;
    split = split_work(items, cost / static_cast<double>(items));
    ctx.request_scratch(checked_mul(
        checked_add(lead(), checked_mul(lane_floats, ScratchLanes::count(split.chunks))),
        sizeof(float)));
  }

  void operator()(Frame& f) const {
    if (split.items == 0) return;
    ScratchLanes lanes(split.chunks);
    const auto row_at = [&](int64_t row_block) { return height.output * row_block / row_blocks; };
    // Items are numbered with blocks of channels fastest.
    f.parallel_ranges(split, [&](Range items) {
      const ScratchLanes::Lane lane(lanes);
      float* expanded = f.scratch<float>() + lead() + lane.index() * lane_floats;
      for (int64_t i = items.begin; i < items.end;) {
        const int64_t block = i % blocks, row_block = i / blocks % row_blocks;
        const int64_t image = i / blocks / row_blocks;
        // Blocks of rows with all their channels go together, without a halo between them.
        const int64_t whole = std::min((items.end - i) / blocks, row_blocks - row_block);
        if (block > 0 || whole == 0) {
          run(f, image, block * kBlock, {row_at(row_block), row_at(row_block + 1)}, expanded);
          ++i;
          continue;
        }
        for (int64_t b = 0; b < blocks; ++b)
          run(f, image, b * kBlock, {row_at(row_block), row_at(row_block + whole)}, expanded);
        i += whole * blocks;
      }
    });
  }

  // Rows of results of an image and of the block of channels from `first_channel` on.
  void run(const Frame& f, int64_t image, int64_t first_channel, Range rows,
           float* expanded) const {
    const int64_t count = std::min(kBlock, channels - first_channel);
    const int64_t row_floats = width.input * count;
    kernels::GemmArgs product{.m = 0,
                              .n = size(channels),
                              .k = size(inputs),
                              .a = nullptr,
                              .lda = size(inputs),
                              .b = expand,
                              .c = nullptr,
                              .ldc = size(count)};
    expand_activation.set_in(product.epilogue);
    product.epilogue.column_bias = f.in<float>(kExpandBias);
    const std::size_t panel = size(gemm.panels(first_channel));
    const std::size_t panel_end = size(gemm.panels(first_channel + count));
    kernels::DepthwiseArgs args{
        .window = kernel_window({height, width}, count),
        .channels = size(count),
        .x = expanded,
        .weights = filters + first_channel * taps(),
        .y = f.out<float>(0) + image * height.output * width.output * channels + first_channel,
        .y_step = size(channels)};
    activation.set_in(args.epilogue);
    if (const auto* bias = f.in<float>(kBias)) args.epilogue.column_bias = bias + first_channel;
    const kernels::WindowAxis whole = args.window.axis[1];

    Range held;  // rows of the expanded image
    for (int64_t row = rows.begin; row < rows.end; row += strip) {
      const int64_t end = std::min(rows.end, row + strip);
      const int64_t top = row * height.stride - height.pad_begin;
      const int64_t bottom = (end - 1) * height.stride - height.pad_begin + extent();
      const Range needed{std::clamp<int64_t>(top, 0, height.input),
                         std::clamp<int64_t>(bottom, 0, height.input)};
      const int64_t from = std::clamp(held.end, needed.begin, needed.end);
      if (held.begin < needed.begin && from > needed.begin)
        std::copy(expanded + (needed.begin - held.begin) * row_floats,
                  expanded + (from - held.begin) * row_floats, expanded);
      if (from < needed.end) {
        product.m = size((needed.end - from) * width.input);
        product.a = f.in<float>(kX) + (image * height.input + from) * width.input * inputs;
        product.c = expanded + (from - needed.begin) * row_floats - first_channel;
        gemm.packed(product, {0, product.m, panel, panel_end});
      }
      held = needed;
      args.window.axis[1].input = whole.input - size(needed.begin);
      args.window.axis[1].pad = whole.pad + needed.begin;
      depthwise(args, size(row), size(end));
    }
  }
};

class ExpandDepthwise final : public Op {
 public:
  explicit ExpandDepthwise(const OpInit& init)
      : window_(init.attrs), activation_(read_activation(init.attrs)) {
    constexpr std::string_view kPrefix = "expand_";
    Attributes expand;
    for (const auto& [name, value] : init.attrs.all())
      if (name.starts_with(kPrefix)) expand.set(name.substr(kPrefix.size()), value);
    expand_activation_ = read_activation(expand);
  }

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(kX);
    check(dtype == DType::float32, "expected a float32 input, got ", dtype);
    check_dtypes(ctx, dtype);
    for (const int i : {kX, kExpand, kFilters}) {
      check(ctx.has_input(i) && ctx.has_rank(i), "the rank of input ", i, " is not known");
      check_rank(ctx, i, 4);
    }
    window_.check_axes(2);
    const Dims& x = ctx.dims(kX);
    const Dims& expand = ctx.dims(kExpand);
    const Dims& filters = ctx.dims(kFilters);
    const Dim& channels = expand[0];
    check(may_equal(expand, {channels, x[3], Dim(1), Dim(1)}) &&
              may_equal(filters, {channels, Dim(1), filters[2], filters[3]}),
          "weights ", expand, " and ", filters, " for an input ", x);
    check_vector(ctx, kExpandBias, channels);
    check_vector(ctx, kBias, channels);
    const Dims taps = window_.taps(2, &filters);
    ctx.set_output(
        0, dtype,
        {x[0], window_.output(0, x[1], taps[0]), window_.output(1, x[2], taps[1]), channels});
  }

  void pack(PackContext& ctx) const override {
    const Tensor* expand = ctx.constant(kExpand);
    const Tensor* filters = ctx.constant(kFilters);
    if (!expand || !filters) return;
    const int64_t channels = expand->shape()[0], inputs = expand->shape()[1];
    const int64_t taps = checked_mul(filters->shape()[2], filters->shape()[3]);
    if (channels * inputs * taps == 0) return;
    const GemmKernels gemm;
    const auto allocate = [&](Slot slot, int64_t floats) {
      return static_cast<float*>(ctx.allocate(slot, size(checked_mul(floats, sizeof(float)))));
    };
    float* products = allocate(kPackedExpand, gemm.packed_floats(inputs, channels));
    float* lanes = allocate(kPackedFilters, checked_mul(channels, taps));
    gemm.pack_b({.k = size(inputs),
                 .n = size(channels),
                 .b = expand->data<float>(),
                 .ldb = size(inputs),
                 .transposed = true,
                 .packed = products},
                0, size(gemm.panels(channels)));
    for (int64_t first = 0; first < channels; first += kBlock) {
      const int64_t count = std::min(kBlock, channels - first);
      for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t c = 0; c < count; ++c)
          lanes[first * taps + tap * count + c] = filters->data<float>()[(first + c) * taps + tap];
    }
    ctx.release_input(kExpand);
    ctx.release_input(kFilters);
  }

  double flops(const PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(kX);
    const int64_t expanded = x[0] * x[1] * x[2] * ctx.shape(kExpand)[0];
    return window_flops(ctx.shape(kExpand), expanded) +
           window_flops(ctx.shape(kFilters), element_count(ctx.output_shape(0)));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(kX);
    const Shape& filters = ctx.shape(kFilters);
    ExpandDepthwiseStep step;
    step.images = x[0];
    step.inputs = x[3];
    step.channels = filters[0];
    step.height = resolve_axis(window_, 0, x[1], filters[2]);
    step.width = resolve_axis(window_, 1, x[2], filters[3]);
    step.expand = ctx.packed<float>(kPackedExpand);
    step.filters = ctx.packed<float>(kPackedFilters);
    step.expand_activation = expand_activation_;
    step.activation = activation_;
    if (!step.expand && element_count(ctx.output_shape(0)) != 0)
      fail(ErrorKind::unsupported, "weights that are empty or no constants are not supported");
    if (step.expand) step.plan(ctx);
    return step;
  }

 private:
  WindowAttributes window_;
  FusedActivation activation_, expand_activation_;
};

}  // namespace

[[gnu::cold]] void register_expand_depthwise(OpRegistry& ops) {
  // Made by a pass: (X, W, bias?, filters, bias?), channels last, attributes of the depthwise
  // convolution and, with `expand_` in front, the activation of the other one.
  ops.add<ExpandDepthwise>("ExpandDepthwise", {.since = 1}, "sardonyx");
}

}  // namespace sdx::ops
