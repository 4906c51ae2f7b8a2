// GridSample, AffineGrid.
#include <cmath>
#include <complex>

#include "ops/axes.h"
#include "ops/checks.h"
#include "ops/number_cast.h"

namespace sdx::ops {
namespace {

enum class Mode { nearest, linear, cubic };
enum class Padding { zeros, border, reflection };

// What values of T are weighted and summed as: integers and bools as doubles.
template <class T>
struct SumOf {
  using type = std::conditional_t<std::is_integral_v<T>, double, ComputeType<T>>;
};
template <class R>
struct SumOf<std::complex<R>> {
  using type = std::complex<R>;
};

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

  // For a coordinate in [-1, 1] of an axis of `size` >= 1.
  Taps taps(double coordinate, int64_t size) const {
    const auto length = static_cast<double>(size);
    double x =
        align_corners ? (coordinate + 1) / 2 * (length - 1) : ((coordinate + 1) * length - 1) / 2;
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
    const double below = std::floor(x), t = x - below;
    const auto first = static_cast<int64_t>(below);
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
    const int64_t plane = element_count(space), channels = shape[1];
    const int64_t points = element_count(std::span<const int64_t>(result).subspan(2));
    const DType dtype = ctx.dtype(0);
    if (dtype == DType::string && sampler_.mode != Mode::nearest)
      fail(ErrorKind::unsupported, "strings are sampled in mode 'nearest' only");
    const auto make = [&]<class T>() -> Step {
      return dispatch(FloatTypes{}, ctx.dtype(1), [&]<class G>() -> Step {
        return [=, batches = shape[0], sampler = sampler_](Frame& f) {
          const double cost = 40.0 + 8.0 * static_cast<double>(channels);
          f.parallel_for(split_work(batches * points, cost), [&](Range r) {
            for (int64_t i = r.begin; i < r.end; ++i) {
              const int64_t batch = i / points;
              sample(sampler, space, f.in<G>(1) + i * static_cast<int64_t>(space.size()),
                     f.in<T>(0) + batch * channels * plane, channels, plane,
                     f.out<T>(0) + batch * channels * points + i % points, points);
            }
          });
        };
      });
    };
    if (dtype == DType::string) return make.template operator()<std::string>();
    if (dtype == DType::complex64) return make.template operator()<std::complex<float>>();
    if (dtype == DType::complex128) return make.template operator()<std::complex<double>>();
    return dispatch(NumberAndBoolTypes{}, dtype, make);
  }

 private:
  // All channels at one point of the grid, whose coordinates come last axis first.
  template <class T, class G>
  static void sample(const GridSampler& sampler, const Shape& space, const G* point, const T* x,
                     int64_t channels, int64_t plane, T* y, int64_t points) {
    int64_t offsets[kMaxTaps] = {0};
    double weights[kMaxTaps] = {1};
    int count = 1;
    for (std::size_t d = 0; d < space.size(); ++d) {
      const Taps taps = sampler.taps(static_cast<double>(point[space.size() - 1 - d]), space[d]);
      // Backwards, so that what is read is not yet overwritten.
      for (int i = count; i-- > 0;)
        for (int k = taps.count; k-- > 0;) {
          offsets[i * taps.count + k] = offsets[i] * space[d] + taps.at[k];
          weights[i * taps.count + k] = weights[i] * taps.weight[k];
        }
      count *= taps.count;
    }
    int uses = 0;
    for (int i = 0; i < count; ++i) {
      if (weights[i] == 0) continue;  // what lies there, be it NaN, does not count
      offsets[uses] = offsets[i];
      weights[uses++] = weights[i];
    }
    for (int64_t c = 0; c < channels; ++c)
      y[c * points] = weighted(x + c * plane, offsets, weights, uses);
  }

  template <class T>
  static T weighted(const T* x, const int64_t* offsets, const double* weights, int count) {
    if (count == 0) return T();
    if constexpr (std::is_same_v<T, std::string>) {
      return x[offsets[0]];
    } else {
      using C = typename SumOf<T>::type;
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

void register_grid_sample(OpRegistry& ops) {
  ops.add<GridSample>("GridSample", {.since = 16});
  ops.add<AffineGrid>("AffineGrid", {.since = 20});
}

}  // namespace sdx::ops
