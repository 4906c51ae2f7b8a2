// DeformConv: convolution whose taps are moved by offsets and weighted by a mask (Dai et al.,
// "Deformable Convolutional Networks", 2017; Zhu et al., "Deformable ConvNets v2", 2018).
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

constexpr int kX = 0, kW = 1, kOffset = 2, kBias = 3, kMask = 4;
constexpr std::size_t kMaxAxes = 4;  // of space
// Output points whose sampled columns are multiplied with the weights at once, and the most blocks
// of them that have scratch at a time.
constexpr int64_t kBlock = 128, kMostParts = 32;

struct Geometry {
  Shape in, out, kernel;           // of space
  Shape strides, dilations, pads;  // pads: in front
  int64_t batch, channels, out_channels, groups, offset_groups;

  int64_t taps() const { return element_count(kernel); }
  int64_t points() const { return element_count(out); }
  int64_t plane() const { return element_count(in); }
  int64_t group_channels() const { return channels / groups; }
  int64_t column() const { return group_channels() * taps(); }
};

// Where one tap of one output point reads, and with which weights.
template <class T>
struct Corners {
  int count = 0;
  int64_t at[1 << kMaxAxes];
  T weight[1 << kMaxAxes];
};

template <class T>
Corners<T> corners_of(const Geometry& g, const T* offsets, int64_t tap, int64_t point, T factor) {
  Corners<T> corners;
  corners.count = 1;
  corners.at[0] = 0;
  corners.weight[0] = factor;
  const std::size_t axes = g.in.size();
  int64_t tap_at[kMaxAxes], point_at[kMaxAxes], rest_tap = tap, rest_point = point;
  for (std::size_t d = axes; d-- > 0;) {
    tap_at[d] = rest_tap % g.kernel[d];
    rest_tap /= g.kernel[d];
    point_at[d] = rest_point % g.out[d];
    rest_point /= g.out[d];
  }
  for (std::size_t d = 0; d < axes; ++d) {
    const int64_t grid = point_at[d] * g.strides[d] - g.pads[d] + tap_at[d] * g.dilations[d];
    const int64_t row = tap * static_cast<int64_t>(axes) + static_cast<int64_t>(d);
    // Double: what lies behind the point decides the weights.
    const double x =
        static_cast<double>(grid) + static_cast<double>(offsets[row * g.points() + point]);
    if (!(x > -1 && x < static_cast<double>(g.in[d]))) {  // NaN too reads nothing
      corners.count = 0;
      return corners;
    }
    const double below = std::floor(x);
    const auto first = static_cast<int64_t>(below);
    const double share = x - below;
    int count = 0;
    Corners<T> next;
    for (int i = 0; i < corners.count; ++i)
      for (int side = 0; side < 2; ++side) {
        const int64_t at = first + side;
        const T weight = static_cast<T>(side ? share : 1 - share);
        if (at < 0 || at >= g.in[d] || weight == 0) continue;
        next.at[count] = corners.at[i] * g.in[d] + at;
        next.weight[count++] = corners.weight[i] * weight;
      }
    next.count = count;
    corners = next;
  }
  return corners;
}

class DeformConv final : public Op {
 public:
  explicit DeformConv(const OpInit& init)
      : strides_(init.attrs.ints("strides")),
        dilations_(init.attrs.ints("dilations")),
        pads_(init.attrs.ints("pads")),
        kernel_(init.attrs.ints("kernel_shape")),
        groups_(init.attrs.get("group", 1)),
        offset_groups_(init.attrs.get("offset_group", 1)) {
    for (const auto* list : {&strides_, &dilations_, &kernel_})
      for (const int64_t item : *list)
        check(item >= 1 && item < (1 << 30), "a stride, dilation or kernel size of ", item);
    for (const int64_t pad : pads_) check(pad >= 0 && pad < (1 << 30), "a pad of ", pad);
    check(groups_ >= 1 && offset_groups_ >= 1, "groups of ", groups_, " and ", offset_groups_);
  }

  void infer(InferContext& ctx) const override {
    check_all_floats(ctx);
    check_given(ctx, kX, kOffset + 1);
    const DType dtype = ctx.dtype(kX);
    check_dtypes(ctx, dtype);
    if (!ctx.has_rank(kX) || !ctx.has_rank(kW)) return ctx.set_output(0, dtype);
    const Dims &x = ctx.dims(kX), &w = ctx.dims(kW);
    check(x.size() >= 3 && x.size() == w.size(), "an input of shape ", x, " with weights of shape ",
          w);
    const std::size_t axes = x.size() - 2;
    if (axes > kMaxAxes) fail(ErrorKind::unsupported, "more than ", kMaxAxes, " axes of space");
    for (const int i : {kOffset, kMask}) check_rank(ctx, i, static_cast<int64_t>(x.size()));
    check_vector(ctx, kBias, w[0]);
    Dims dims{x[0], w[0]};
    for (std::size_t i = 0; i < axes; ++i) {
      check(kernel_.empty() || (kernel_.size() == axes && may_equal(w[i + 2], kernel_[i])),
            "kernel_shape does not fit weights of shape ", w);
      const Dim reach = (w[i + 2] - 1) * Dim(item(dilations_, i, axes, 1)) + 1;
      const Dim span =
          x[i + 2] + Dim(item(pads_, i, 2 * axes, 0) + item(pads_, i + axes, 2 * axes, 0)) - reach;
      check(span.value_or(0) >= 0, "a kernel of size ", reach, " on an axis of size ", x[i + 2]);
      dims.push_back(floor_div(span, item(strides_, i, axes, 1)) + 1);
    }
    ctx.set_output(0, dtype, std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Geometry g = geometry(ctx);
    if (element_count(ctx.output_shape(0)) == 0) return [](Frame&) {};
    ctx.count_flops(2.0 * static_cast<double>(ctx.count(kW)) *
                    static_cast<double>(g.points() * g.batch));
    if (ctx.dtype(kX) == DType::float64) return step<double>(ctx, g);
    return in_float32(ctx, step<float>(ctx, g));
  }

 private:
  static int64_t item(const std::vector<int64_t>& list, std::size_t i, std::size_t count,
                      int64_t usual) {
    check(list.empty() || list.size() == count, "expected ", count, " numbers, got ", list.size());
    return list.empty() ? usual : list[i];
  }

  Geometry geometry(const PrepareContext& ctx) const {
    const Shape &x = ctx.shape(kX), &w = ctx.shape(kW), &y = ctx.output_shape(0);
    const std::size_t axes = x.size() - 2;
    Geometry g;
    g.in = Shape(x.begin() + 2, x.end());
    g.out = Shape(y.begin() + 2, y.end());
    g.kernel = Shape(w.begin() + 2, w.end());
    for (std::size_t i = 0; i < axes; ++i) {
      g.strides.push_back(item(strides_, i, axes, 1));
      g.dilations.push_back(item(dilations_, i, axes, 1));
      g.pads.push_back(item(pads_, i, 2 * axes, 0));
    }
    g.batch = x[0];
    g.channels = x[1];
    g.out_channels = w[0];
    g.groups = groups_;
    g.offset_groups = offset_groups_;
    check(
        g.channels % groups_ == 0 && w[1] == g.channels / groups_ && g.out_channels % groups_ == 0,
        "weights of shape ", w, " for ", g.channels, " channels in ", groups_, " groups");
    check(g.channels % offset_groups_ == 0, g.channels, " channels in ", offset_groups_,
          " groups of offsets");
    const auto check_moves = [&](int i, int64_t per_tap) {
      if (!ctx.has_input(i)) return;
      Shape wanted{g.batch, checked_mul(checked_mul(offset_groups_, g.taps()), per_tap)};
      for (const int64_t size : g.out) wanted.push_back(size);
      check(ctx.shape(i) == wanted, "input ", i, " has shape ", ctx.shape(i), ", expected ",
            wanted);
    };
    check_moves(kOffset, static_cast<int64_t>(axes));
    check_moves(kMask, 1);
    return g;
  }

  template <class T>
  static Step step(PrepareContext& ctx, const Geometry& g) {
    const int64_t blocks = (g.points() + kBlock - 1) / kBlock;
    const int64_t items = checked_mul(g.batch * g.groups, blocks);
    const int64_t each = checked_mul(g.column(), kBlock);
    const double cost = static_cast<double>(g.column()) * kBlock *
                        (4 + 0.1 * static_cast<double>(g.out_channels / g.groups));
    Split split = split_work(items, cost);
    if (split.chunks > kMostParts) {
      split.step = (items + kMostParts - 1) / kMostParts;
      split.chunks = (items + split.step - 1) / split.step;
    }
    ctx.request_scratch(checked_mul(checked_mul(each, split.chunks), sizeof(T)));
    return [=](Frame& f) {
      f.parallel_for({split.chunks, split.chunks}, [&](Range parts) {
        for (int64_t part = parts.begin; part < parts.end; ++part) {
          const Range r = split.chunk(part);
          for (int64_t i = r.begin; i < r.end; ++i) {
            const int64_t first = i % blocks * kBlock;
            run_block<T>(f, g, i / blocks / g.groups, i / blocks % g.groups,
                         {first, std::min(first + kBlock, g.points())},
                         f.scratch<T>() + part * each);
          }
        }
      });
    };
  }

  // The points of one block for one group of channels: sampled columns, then a product.
  template <class T>
  static void run_block(const Frame& f, const Geometry& g, int64_t image, int64_t group,
                        Range points, T* columns) {
    const int64_t taps = g.taps(), plane = g.plane(), width = points.size(), all = g.points();
    const int64_t per_offset = g.channels / g.offset_groups, channels = g.group_channels();
    const T* x = f.in<T>(kX) + (image * g.channels + group * channels) * plane;
    const auto axes = static_cast<int64_t>(g.in.size());
    for (int64_t c = 0; c < channels;) {
      const int64_t set = (group * channels + c) / per_offset;
      const int64_t end = std::min(channels, (set + 1) * per_offset - group * channels);
      const int64_t row = (image * g.offset_groups + set) * taps;
      const T* offsets = f.in<T>(kOffset) + row * axes * all;
      const T* mask = f.in<T>(kMask);
      for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t p = 0; p < width; ++p) {
          const int64_t point = points.begin + p;
          const T factor = mask ? mask[(row + tap) * all + point] : T(1);
          const Corners<T> corners = corners_of(g, offsets, tap, point, factor);
          for (int64_t k = c; k < end; ++k) {
            T sum = 0;
            for (int i = 0; i < corners.count; ++i)
              sum += corners.weight[i] * x[k * plane + corners.at[i]];
            columns[(k * taps + tap) * width + p] = sum;
          }
        }
      c = end;
    }
    using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const int64_t rows = g.out_channels / g.groups, first = group * rows;
    const Eigen::Map<const Matrix> weights(f.in<T>(kW) + first * g.column(), rows, g.column());
    const Eigen::Map<const Matrix> sampled(columns, g.column(), width);
    Eigen::Map<Matrix, 0, Eigen::OuterStride<>> y(
        f.out<T>(0) + (image * g.out_channels + first) * all + points.begin, rows, width,
        Eigen::OuterStride<>(all));
    if (const T* bias = f.in<T>(kBias))
      for (int64_t i = 0; i < rows; ++i) y.row(i).setConstant(bias[first + i]);
    else
      y.setZero();
    y.noalias() += weights * sampled;
  }

  std::vector<int64_t> strides_, dilations_, pads_, kernel_;
  int64_t groups_, offset_groups_;
};

}  // namespace

[[gnu::cold]] void register_deform_conv(OpRegistry& ops) {
  ops.add<DeformConv>("DeformConv", {.since = 19});
}

}  // namespace sdx::ops
