// Operators of object detection: NonMaxSuppression, RoiAlign.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "ops/axes.h"
#include "ops/checkpoint.h"
#include "ops/checks.h"
#include "ops/counted_vector.h"

namespace sdx::ops {
namespace {

struct Box {
  float x1, y1, x2, y2;
  float area() const { return (x2 - x1) * (y2 - y1); }
};

Box read_box(const float* b, bool center) {
  if (center) return {b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2};
  return {std::min(b[1], b[3]), std::min(b[0], b[2]), std::max(b[1], b[3]), std::max(b[0], b[2])};
}

// Intersection over union exceeds the threshold.
bool overlap(const Box& a, const Box& b, float threshold) {
  const float width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const float height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (!(width > 0 && height > 0)) return false;
  const float common = width * height, whole = a.area() + b.area() - common;
  return a.area() > 0 && b.area() > 0 && whole > 0 && common / whole > threshold;
}

// A number of 32 bits that falls as a score, which is no NaN, rises; both zeros have the same.
uint64_t falling_key(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0F);
  return bits >> 31 ? bits : ~bits & 0x7fffffff;
}

// Sorts by the upper halves, equal ones by the lower, in which they rise already.
void sort_by_key(CountedVector<uint64_t>& items, CountedVector<uint64_t>& spare,
                 Checkpoint& checkpoint) {
  constexpr int kDigitBits = 11;
  constexpr std::size_t kFew = 200, kDigits = std::size_t{1} << kDigitBits;
  if (items.size() < kFew) return std::sort(items.begin(), items.end());
  spare.resize(items.size());
  for (int shift = 32; shift < 64; shift += kDigitBits) {
    uint32_t starts[kDigits + 1] = {};
    const auto digit = [&](uint64_t item) { return item >> shift & (kDigits - 1); };
    for (const uint64_t item : items) ++starts[digit(item) + 1];
    for (std::size_t d = 0; d < kDigits; ++d) starts[d + 1] += starts[d];
    for (const uint64_t item : items) spare[starts[digit(item)]++] = item;
    items.swap(spare);
    checkpoint(4 * static_cast<int64_t>(items.size()));
  }
}

class NonMaxSuppression final : public Op {
 public:
  explicit NonMaxSuppression(const OpInit& init)
      : center_(init.attrs.get("center_point_box", 0) != 0) {}

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::float32 && ctx.dtype(1) == DType::float32,
          "expected boxes and scores of float32");
    for (int i = 2; i < 5; ++i)
      check(!ctx.has_input(i) || ctx.dtype(i) == (i == 2 ? DType::int64 : DType::float32), "input ",
            i, " has elements of another type than it should");
    check_rank(ctx, 0, 3);
    check_rank(ctx, 1, 3);
    if (ctx.has_rank(0)) check(may_equal(ctx.dims(0)[2], Dim(4)), "boxes of shape ", ctx.dims(0));
    if (ctx.has_rank(0) && ctx.has_rank(1)) {
      const Dims &boxes = ctx.dims(0), &scores = ctx.dims(1);
      check(may_equal(boxes[0], scores[0]) && may_equal(boxes[1], scores[2]), "boxes of shape ",
            boxes, " do not fit scores of shape ", scores);
    }
    ctx.set_output(0, DType::int64, {Dim::unknown(), 3});
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t batches = ctx.shape(1)[0], classes = ctx.shape(1)[1], boxes = ctx.shape(1)[2];
    check(boxes <= std::numeric_limits<int32_t>::max(), boxes, " boxes");
    bool given[5];
    for (int i = 2; i < 5; ++i) given[i] = ctx.has_input(i) && ctx.count(i) > 0;
    return [=, center = center_, limited = given[2], cuts = given[3], scored = given[4]](Frame& f) {
      const int64_t most = limited ? *f.in<int64_t>(2) : 0;
      const float threshold = cuts ? *f.in<float>(3) : 0;
      check_argument(threshold >= 0 && threshold <= 1, "an iou_threshold of ", threshold);
      const float lowest = scored ? *f.in<float>(4) : -INFINITY;
      CountedVector<int64_t> rows;
      CountedVector<uint64_t> order, spare;
      CountedVector<Box> kept;
      Checkpoint checkpoint;
      for (int64_t b = 0; b < batches && most > 0; ++b) {
        const float* corners = f.in<float>(0) + b * boxes * 4;
        for (int64_t c = 0; c < classes; ++c) {
          const float* scores = f.in<float>(1) + (b * classes + c) * boxes;
          order.clear();
          for (int64_t begin = 0; begin < boxes; begin += kRun) {
            const int64_t end = std::min(begin + kRun, boxes);
            checkpoint(kRun);
            if (scored && !any_above(scores + begin, end - begin, lowest)) continue;
            for (int64_t i = begin; i < end; ++i)
              if (scored ? scores[i] > lowest : scores[i] == scores[i])
                order.push_back(falling_key(scores[i]) << 32 | static_cast<uint64_t>(i));
          }
          sort_by_key(order, spare, checkpoint);
          kept.clear();
          for (const uint64_t item : order) {
            const auto i = static_cast<int64_t>(item & 0xffffffff);
            if (static_cast<int64_t>(kept.size()) >= most) break;
            checkpoint(static_cast<int64_t>(16 + 4 * kept.size()));
            const Box box = read_box(corners + 4 * i, center);
            const auto hides = [&](const Box& other) { return overlap(box, other, threshold); };
            if (std::any_of(kept.begin(), kept.end(), hides)) continue;
            kept.push_back(box);
            rows.insert(rows.end(), {b, c, i});
          }
        }
      }
      const auto count = static_cast<int64_t>(rows.size() / 3);
      f.set_output(0, Tensor::of(std::span<const int64_t>(rows), Shape{count, 3}));
    };
  }

 private:
  // Most scores are too low; runs of those are passed over together.
  static constexpr int64_t kRun = 16;
  static bool any_above(const float* scores, int64_t count, float lowest) {
    if (count < kRun) return true;
    int above = 0;
    for (int64_t i = 0; i < kRun; ++i) above |= scores[i] > lowest ? 1 : 0;
    return above != 0;
  }

  bool center_;
};

class RoiAlign final : public Op {
 public:
  explicit RoiAlign(const OpInit& init)
      : height_(init.attrs.get("output_height", 1)),
        width_(init.attrs.get("output_width", 1)),
        sampling_(init.attrs.get("sampling_ratio", 0)),
        scale_(init.attrs.get("spatial_scale", 1.0)) {
    const std::string mode = init.attrs.get("mode", "avg");
    check(mode == "avg" || mode == "max", "mode '", mode, "' is neither avg nor max");
    max_ = mode == "max";
    const std::string transform = init.attrs.get(
        "coordinate_transformation_mode", init.opset < 16 ? "output_half_pixel" : "half_pixel");
    check(transform == "half_pixel" || transform == "output_half_pixel",
          "coordinate_transformation_mode '", transform, "'");
    half_pixel_ = transform == "half_pixel";
    check(height_ >= 0 && width_ >= 0, "an output of ", height_, " x ", width_);
    check(sampling_ >= 0 && sampling_ <= kMaxGrid, "a sampling_ratio of ", sampling_);
  }

  void infer(InferContext& ctx) const override {
    check(is_float(ctx.dtype(0)), "expected a float input, got ", ctx.dtype(0));
    check(ctx.dtype(1) == ctx.dtype(0), "rois of ", ctx.dtype(1), " for data of ", ctx.dtype(0));
    check(ctx.dtype(2) == DType::int64, "expected batch indices of int64, got ", ctx.dtype(2));
    check_rank(ctx, 0, 4);
    check_rank(ctx, 1, 2);
    check_rank(ctx, 2, 1);
    Dim rois = Dim::unknown(), channels = Dim::unknown();
    if (ctx.has_rank(0)) channels = ctx.dims(0)[1];
    if (ctx.has_rank(1)) {
      rois = ctx.dims(1)[0];
      check(may_equal(ctx.dims(1)[1], Dim(4)), "rois of shape ", ctx.dims(1));
      check_vector(ctx, 2, rois);
    }
    ctx.set_output(0, ctx.dtype(0), {rois, channels, height_, width_});
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape x = ctx.shape(0), y = ctx.output_shape(0);
    if (element_count(y) == 0) return [](Frame&) {};
    check(x[2] > 0 && x[3] > 0, "there is nothing to sample in shape ", x);
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return [=, this](Frame& f) {
        const int64_t blocks = (y[1] + kChannelBlock - 1) / kChannelBlock;
        const double cost =
            12.0 * static_cast<double>(height_ * width_ * std::min(y[1], kChannelBlock));
        f.parallel_for(split_work(y[0] * blocks, cost), [&](Range r) {
          Watch watch(f);
          for (int64_t i = r.begin; i < r.end; ++i) {
            const int64_t roi = i / blocks, channel = i % blocks * kChannelBlock;
            const int64_t batch = checked_index(f.in<int64_t>(2)[roi], x[0], 0);
            align(f.in<T>(0) + (batch * x[1] + channel) * x[2] * x[3], x[2], x[3],
                  std::min(y[1] - channel, kChannelBlock), f.in<T>(1) + roi * 4,
                  f.out<T>(0) + (roi * y[1] + channel) * height_ * width_, watch);
          }
        });
      };
    });
  }

 private:
  static constexpr int64_t kMaxGrid = 4096;     // samples along an axis of a bin
  static constexpr int64_t kChannelBlock = 64;  // channels that share the places of their samples

  // Where a region lies along one axis, and how densely its bins are sampled.
  struct Extent {
    double start, bin;
    int64_t samples;
    double at(int64_t bin_index, int64_t sample) const {
      return start + bin * (static_cast<double>(bin_index) +
                            (static_cast<double>(sample) + 0.5) / static_cast<double>(samples));
    }
  };
  Extent extent(double begin, double end, int64_t bins) const {
    const double shift = half_pixel_ ? 0.5 : 0, start = begin * scale_ - shift;
    double length = end * scale_ - shift - start;
    if (!half_pixel_) length = std::max(length, 1.0);  // malformed regions count as one pixel
    const double bin = length / static_cast<double>(bins);
    check_argument(std::abs(bin) <= kMaxGrid, "a region from ", begin, " to ", end);
    return {start, bin, sampling_ > 0 ? sampling_ : std::max<int64_t>(0, std::ceil(bin))};
  }

  // The pixels around a coordinate and the weight of the second; false outside.
  static bool place(double x, int64_t size, int64_t* low, int64_t* high, double* t) {
    if (!(x >= -1 && x <= static_cast<double>(size))) return false;
    x = std::max(x, 0.0);
    *low = std::min(static_cast<int64_t>(x), size - 1);
    *high = std::min(*low + 1, size - 1);
    *t = *low == size - 1 ? 0 : x - static_cast<double>(*low);
    return true;
  }

  // Between four pixels of a plane.
  template <class C>
  struct Sample {
    int64_t at[4];
    C weights[4];
  };
  static constexpr int64_t kSamples = 64;  // that are found before channels take them
  static constexpr int64_t kPlaceWork = 5, kSampleWork = 5;  // nanoseconds

  // Of some samples of one plane, on top of `total`, which is none where they are the `first`.
  template <class C, class T>
  C pool(const T* x, const Sample<C>* samples, int64_t count, C total, bool first) const {
    for (int64_t i = 0; i < count; ++i) {
      const Sample<C>& s = samples[i];
      const auto part = [&](int k) { return s.weights[k] * static_cast<C>(x[s.at[k]]); };
      if (!max_) {
        total += (part(0) + part(1)) + (part(2) + part(3));
        continue;
      }
      const C peak = std::max({part(0), part(1), part(2), part(3)});
      total = first && i == 0 ? peak : std::max(total, peak);
    }
    return total;
  }

  template <class T>
  void align(const T* x, int64_t height, int64_t width, int64_t channels, const T* roi, T* y,
             Watch& watch) const {
    using C = ComputeType<T>;
    const Extent columns = extent(roi[0], roi[2], width_), rows = extent(roi[1], roi[3], height_);
    const int64_t all = rows.samples * columns.samples, plane = height * width;
    const C divide_by = max_ ? C(1) : static_cast<C>(std::max<int64_t>(all, 1));
    Sample<C> samples[kSamples];
    for (int64_t h = 0; h < height_; ++h)
      for (int64_t w = 0; w < width_; ++w, ++y) {
        C totals[kChannelBlock] = {};
        int64_t count = 0;
        bool first = true, outside = false;
        const auto take = [&] {
          for (int64_t c = 0; count > 0 && c < channels; ++c)
            totals[c] = pool(x + c * plane, samples, count, totals[c], first);
          first = first && count == 0;
          count = 0;
        };
        for (int64_t i = 0; i < rows.samples; ++i) {
          if (watch.over(columns.samples * (kPlaceWork + channels * kSampleWork))) return;
          int64_t top = 0, bottom = 0, left, right;
          double v = 0, u;
          const bool inside = place(rows.at(h, i), height, &top, &bottom, &v);
          for (int64_t k = 0; k < columns.samples; ++k) {
            if (!inside || !place(columns.at(w, k), width, &left, &right, &u)) {
              outside = true;
              continue;
            }
            samples[count++] = {{top * width + left, top * width + right, bottom * width + left,
                                 bottom * width + right},
                                {static_cast<C>((1 - v) * (1 - u)), static_cast<C>((1 - v) * u),
                                 static_cast<C>(v * (1 - u)), static_cast<C>(v * u)}};
            if (count == kSamples) take();
          }
        }
        take();
        for (int64_t c = 0; c < channels; ++c) {
          if (max_ && outside) totals[c] = std::max(totals[c], C(0));  // what lies there is 0
          y[c * height_ * width_] = static_cast<T>(totals[c] / divide_by);
        }
      }
  }

  int64_t height_, width_, sampling_;
  double scale_;
  bool max_, half_pixel_;
};

}  // namespace

[[gnu::cold]] void register_detection(OpRegistry& ops) {
  ops.add<NonMaxSuppression>("NonMaxSuppression", {.since = 10});
  ops.add<RoiAlign>("RoiAlign", {.since = 10});
}

}  // namespace sdx::ops
