// GridSample, AffineGrid.
#include <cmath>

#include "ops/axes.h"
#include "ops/checks.h"
#include "ops/complex_types.h"
#include "ops/number_cast.h"

namespace sdx::ops {
namespace {

enum class Mode { nearest, linear, cubic };
enum class Padding { zeros, border, reflection };

// Weighted positions along one axis; a weight of 0 where one lies outside and counts as zero.
struct Taps {
  int count = 0;
  int64_t at[4];
  double weight[4];
};

class GridSampler {
 public:
  Mode mode = Mode::linear;
  Padding padding = Padding::zeros;
  bool align_corners = false;

  // The place in pixels of a coordinate in [-1, 1] of an axis of `size` >= 1.
  double pixel(double coordinate, int64_t size) const {
    const auto length = static_cast<double>(size);
    return align_corners ? (coordinate + 1) * 0.5 * (length - 1)
                         : ((coordinate + 1) * length - 1) * 0.5;
  }

  Taps taps(double coordinate, int64_t size) const {
    const auto length = static_cast<double>(size);
    double x = pixel(coordinate, size);
    if (!std::isfinite(x)) x = -4;
    if (mode == Mode::nearest) x = std::nearbyint(x);
    const double low = align_corners ? 0 : -0.5, high = length - (align_corners ? 1 : 0.5);
    if (x < low || x > high) {
      if (padding == Padding::border) x = std::clamp(x, 0.0, length - 1);
      if (padding == Padding::reflection) x = reflect(x, low, high);
    }
    x = std::clamp(x, -4.0, length + 4);
    Taps taps;
    if (mode == Mode::nearest) {
      add(taps, static_cast<int64_t>(x), 1, size);
      return taps;
    }
    auto first = static_cast<int64_t>(x);
    first -= static_cast<double>(first) > x;  // the floor, without a call
    const double t = x - static_cast<double>(first);
    if (mode == Mode::linear) {
      add(taps, first, 1 - t, size);
      add(taps, first + 1, t, size);
    } else {
      for (int k = -1; k <= 2; ++k) add(taps, first + k, cubic(std::abs(t - k)), size);
    }
    return taps;
  }

 private:
  static double cubic(double t) {
    constexpr double a = -0.75;
    return t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  }

  static double reflect(double x, double low, double high) {
    const double range = high - low;
    if (!(range > 0)) return low;
    const double place = std::fmod(std::abs(x - low), 2 * range);
    return low + std::min(place, 2 * range - place);
  }

  void add(Taps& taps, int64_t at, double weight, int64_t size) const {
    if (at < 0 || at >= size) {
      if (padding == Padding::zeros) weight = 0;
      if (padding == Padding::reflection) {
        const double low = align_corners ? 0 : -0.5;
        const double high = static_cast<double>(size) - (align_corners ? 1 : 0.5);
        at = static_cast<int64_t>(reflect(static_cast<double>(at), low, high));
      }
      at = std::clamp<int64_t>(at, 0, size - 1);
    }
    taps.at[taps.count] = at;
    taps.weight[taps.count++] = weight;
  }
};

constexpr std::size_t kMaxAxes = 3;  // of space
constexpr int kMaxTaps = 64;
constexpr int64_t kPlanes = 8;  // that are sampled together

// What some points of the grid read, found once for all channels and for all types that are weighed
// alike.
template <class Weight>
class Block {
 public:
  static constexpr int kUses = 1024;

  // How many points fit.
  int64_t room(const GridSampler& sampler) const {
    return sampler.mode == Mode::cubic ? kUses / kMaxTaps : kUses / 8;
  }

  // Point `p` of the block, whose coordinates come last axis first.
  void place(const GridSampler& sampler, const Shape& space, const double* point, int64_t p) {
    if (p == 0) ends[0] = 0;
    if (space.size() == 2 && place_inside(sampler, space, point, p)) return;
    int64_t places[kMaxTaps];
    double factors[kMaxTaps];
    places[0] = 0;
    factors[0] = 1;
    int count = 1;
    for (std::size_t d = 0; d < space.size(); ++d) {
      const Taps taps = sampler.taps(point[space.size() - 1 - d], space[d]);
      // Backwards, so that what is read is not yet overwritten.
      for (int i = count; i-- > 0;)
        for (int k = taps.count; k-- > 0;) {
          places[i * taps.count + k] = places[i] * space[d] + taps.at[k];
          factors[i * taps.count + k] = factors[i] * taps.weight[k];
        }
      count *= taps.count;
    }
    int end = ends[p];
    for (int i = 0; i < count; ++i) {
      if (factors[i] == 0) continue;  // what lies there, be it NaN, does not count
      offsets[end] = places[i];
      weights[end++] = static_cast<Weight>(factors[i]);
    }
    ends[p + 1] = end;
  }

  int ends[kUses / 8 + 1];  // where the uses of a point end, after those of the one before
  int64_t offsets[kUses];
  Weight weights[kUses];

 private:
  // The usual case without detours: amid four pixels of an image. False where it is another.
  bool place_inside(const GridSampler& sampler, const Shape& space, const double* point,
                    int64_t p) {
    if (sampler.mode != Mode::linear) return false;
    const double x = sampler.pixel(point[0], space[1]);
    const double y = sampler.pixel(point[1], space[0]);
    if (!(x > 0 && x < static_cast<double>(space[1] - 1) && y > 0 &&
          y < static_cast<double>(space[0] - 1)))
      return false;
    const auto left = static_cast<int64_t>(x), top = static_cast<int64_t>(y);
    const double u = x - static_cast<double>(left), v = y - static_cast<double>(top);
    if (u == 0 || v == 0) return false;
    const int end = ends[p];
    int64_t* at = offsets + end;
    Weight* weight = weights + end;
    at[0] = top * space[1] + left;
    at[1] = at[0] + 1;
    at[2] = at[0] + space[1];
    at[3] = at[2] + 1;
    weight[0] = static_cast<Weight>((1 - v) * (1 - u));
    weight[1] = static_cast<Weight>((1 - v) * u);
    weight[2] = static_cast<Weight>(v * (1 - u));
    weight[3] = static_cast<Weight>(v * u);
    ends[p + 1] = end + 4;
    return true;
  }
};

template <class T>
using GridWeight = std::conditional_t<std::is_same_v<T, float>, float, double>;

template <class T>
T weighted(const T* x, const int64_t* offsets, const GridWeight<T>* weights, int count) {
  if (count == 0) return T();
  if constexpr (std::is_same_v<T, std::string>) {
    return x[offsets[0]];
  } else {
    using C = SumType<T>;
    // Large integers are exact where one of them is all there is.
    if (std::is_integral_v<T> && count == 1 && weights[0] == 1) return x[offsets[0]];
    C sum = 0;
    for (int i = 0; i < count; ++i)
      sum += static_cast<C>(weights[i]) * static_cast<C>(x[offsets[i]]);
    if constexpr (std::is_integral_v<T>)
      return number_cast<T>(sum);
    else
      return static_cast<T>(sum);
  }
}

// Which points of which planes are sampled. Planes lie `plane` items apart, their results `points`.
struct Samples {
  int64_t plane, points;
  int64_t x_first, y_first, planes, count;
};

template <class T>
void sample(const Block<GridWeight<T>>& block, const Samples& s, const void* input, void* output) {
  const T* x = static_cast<const T*>(input) + s.x_first;
  T* y = static_cast<T*>(output) + s.y_first;
  for (int64_t p = 0; p < s.count; ++p) {
    const int begin = block.ends[p], uses = block.ends[p + 1] - begin;
    const int64_t* at = block.offsets + begin;
    const GridWeight<T>* weight = block.weights + begin;
    if constexpr (std::is_same_v<T, float>) {
      if (uses == 4) {  // the usual case: what all planes share stays in registers
        const float *x0 = x + at[0], *x1 = x + at[1], *x2 = x + at[2], *x3 = x + at[3];
        const float w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3];
        for (int64_t i = 0, from = 0; i < s.planes; ++i, from += s.plane)
          y[i * s.points + p] = (w0 * x0[from] + w1 * x1[from]) + (w2 * x2[from] + w3 * x3[from]);
        continue;
      }
    }
    for (int64_t i = 0; i < s.planes; ++i)
      y[i * s.points + p] = weighted(x + i * s.plane, at, weight, uses);
  }
}

template <class Weight>
using SampleBlock = void(const Block<Weight>&, const Samples&, const void*, void*);

// Coordinates [first, first + count) of a grid.
using ReadGrid = void(const void* grid, int64_t first, int64_t count, double* to);

template <class G>
void read_grid(const void* grid, int64_t first, int64_t count, double* to) {
  const G* from = static_cast<const G*>(grid) + first;
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<double>(from[i]);
}

// What a step walks: `axes` of space, all `points` of the results' planes.
struct SampleSizes {
  Shape space;
  int64_t batches, channels, plane, points;
};

template <class Weight>
Step sample_step(const GridSampler& sampler, SampleSizes sizes, ReadGrid* read,
                 SampleBlock<Weight>* run) {
  return [=](Frame& f) {
    const double cost = 40.0 + 2.0 * static_cast<double>(sizes.channels);
    f.parallel_for(split_work(sizes.batches * sizes.points, cost), [&](Range r) {
      Block<Weight> block;
      double coordinates[Block<Weight>::kUses / 8 * kMaxAxes];
      for (int64_t i = r.begin; i < r.end;) {
        const int64_t batch = i / sizes.points, first = i % sizes.points;
        const int64_t count = std::min({r.end - i, sizes.points - first, block.room(sampler)});
        const auto axes = static_cast<int64_t>(sizes.space.size());
        read(f.in<std::byte>(1), i * axes, count * axes, coordinates);
        for (int64_t p = 0; p < count; ++p)
          block.place(sampler, sizes.space, coordinates + p * axes, p);
        for (int64_t c = 0; c < sizes.channels; c += kPlanes) {
          const int64_t plane = batch * sizes.channels + c;
          run(block,
              {sizes.plane, sizes.points, plane * sizes.plane, plane * sizes.points + first,
               std::min(kPlanes, sizes.channels - c), count},
              f.in<std::byte>(0), f.out<std::byte>(0));
        }
        i += count;
      }
    });
  };
}

class GridSample final : public Op {
 public:
  explicit GridSample(const OpInit& init) {
    const std::string mode = init.attrs.get("mode", init.opset < 20 ? "bilinear" : "linear");
    if (mode == "nearest")
      sampler_.mode = Mode::nearest;
    else if (mode == "linear" || mode == "bilinear")
      sampler_.mode = Mode::linear;
    else if (mode == "cubic" || mode == "bicubic")
      sampler_.mode = Mode::cubic;
    else
      fail(ErrorKind::invalid_model, "mode '", mode, "' is none of linear, nearest, cubic");
    const std::string padding = init.attrs.get("padding_mode", "zeros");
    if (padding == "border")
      sampler_.padding = Padding::border;
    else if (padding == "reflection")
      sampler_.padding = Padding::reflection;
    else
      check(padding == "zeros", "padding_mode '", padding,
            "' is none of zeros, border, reflection");
    sampler_.align_corners = init.attrs.get("align_corners", 0) != 0;
  }

  void infer(InferContext& ctx) const override {
    check(is_float(ctx.dtype(1)), "expected a grid of a float type, got ", ctx.dtype(1));
    if (!ctx.has_rank(0) || !ctx.has_rank(1)) return ctx.set_output(0, ctx.dtype(0));
    const Dims &x = ctx.dims(0), &grid = ctx.dims(1);
    check(x.size() == grid.size() && x.size() >= 3, "an input of shape ", x,
          " does not fit a grid of shape ", grid);
    if (x.size() - 2 > kMaxAxes)
      fail(ErrorKind::unsupported, "more than ", kMaxAxes, " axes of space");
    check(may_equal(x[0], grid[0]), "batches differ: ", x[0], " and ", grid[0]);
    check(may_equal(grid.back(), Dim(static_cast<int64_t>(x.size()) - 2)), "a grid of shape ", grid,
          " has no coordinates for ", x.size() - 2, " axes");
    Dims dims{x[0], x[1]};
    dims.insert(dims.end(), grid.begin() + 1, grid.end() - 1);
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape &shape = ctx.shape(0), &result = ctx.output_shape(0);
    if (element_count(result) == 0) return [](Frame&) {};
    check(ctx.count(0) > 0, "there is nothing to sample in shape ", shape);
    const Shape space(shape.begin() + 2, shape.end());
    const int64_t points = element_count(std::span<const int64_t>(result).subspan(2));
    const SampleSizes sizes{space, shape[0], shape[1], element_count(space), points};
    const DType dtype = ctx.dtype(0);
    check(dtype != DType::string || sampler_.mode == Mode::nearest,
          "strings are sampled in mode 'nearest' only");
    ReadGrid* read = dispatch(FloatTypes{}, ctx.dtype(1), []<class G>() { return &read_grid<G>; });
    if (dtype == DType::float32) return sample_step<float>(sampler_, sizes, read, &sample<float>);
    SampleBlock<double>* run =
        dispatch(RealComplexAndStringTypes{}, dtype, []<class T>() -> SampleBlock<double>* {
          if constexpr (std::is_same_v<GridWeight<T>, double>)
            return &sample<T>;
          else
            return nullptr;
        });
    return sample_step<double>(sampler_, sizes, read, run);
  }

 private:
  GridSampler sampler_;
};

class AffineGrid final : public Op {
 public:
  explicit AffineGrid(const OpInit& init)
      : align_corners_(init.attrs.get("align_corners", 0) != 0) {}

  void infer(InferContext& ctx) const override {
    check(is_float(ctx.dtype(0)), "expected theta of a float type, got ", ctx.dtype(0));
    const auto size = shape_from_input(ctx, 1);
    if (!size) return ctx.set_output(0, ctx.dtype(0));
    check_dims(*size);
    check(size->size() == 4 || size->size() == 5, "expected 4 or 5 sizes, got ", size->size());
    const auto axes = static_cast<int64_t>(size->size()) - 2;
    if (ctx.has_rank(0))
      check(may_equal(ctx.dims(0), {(*size)[0], axes, axes + 1}), "theta of shape ", ctx.dims(0),
            " does not fit size ", *size);
    Dims dims{(*size)[0]};
    dims.insert(dims.end(), size->begin() + 2, size->end());
    dims.push_back(axes);
    ctx.set_output(0, ctx.dtype(0), std::move(dims));
    if (!to_shape(*size) && !ctx.at_load()) ctx.defer();
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& result = ctx.output_shape(0);
    const Shape space(result.begin() + 1, result.end() - 1);
    const int64_t points = element_count(space), batches = result[0];
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      return [=, align = align_corners_](Frame& f) {
        const auto axes = static_cast<int64_t>(space.size());
        f.parallel_for(split_work(batches * points, 12), [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i) {
            double place[3];  // last axis first, as theta takes it
            int64_t rest = i % points;
            for (int64_t d = axes; d-- > 0; rest /= space[d]) {
              const auto p = static_cast<double>(rest % space[d]);
              const auto size = static_cast<double>(space[d]);
              place[axes - 1 - d] =
                  align ? (size > 1 ? -1 + 2 * p / (size - 1) : -1) : (2 * p + 1) / size - 1;
            }
            const T* theta = f.in<T>(0) + i / points * axes * (axes + 1);
            T* y = f.out<T>(0) + i * axes;
            for (int64_t row = 0; row < axes; ++row) {
              const T* factors = theta + row * (axes + 1);
              auto sum = static_cast<double>(factors[axes]);
              for (int64_t d = 0; d < axes; ++d) sum += static_cast<double>(factors[d]) * place[d];
              y[row] = static_cast<T>(static_cast<ComputeType<T>>(sum));
            }
          }
        });
      };
    });
  }

 private:
  bool align_corners_;
};

}  // namespace

[[gnu::cold]] void register_grid_sample(OpRegistry& ops) {
  ops.add<GridSample>("GridSample", {.since = 16});
  ops.add<AffineGrid>("AffineGrid", {.since = 20});
}

}  // namespace sdx::ops
