// MaxPool, AveragePool, LpPool, their global forms, and MaxUnpool.
#include "kernels/pool.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/quantize.h"
#include "kernels/reduce.h"
#include "ops/checkpoint.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"
#include "ops/window.h"

namespace sdx::ops {
namespace {

enum class Pooling { max, average, norm };

struct PoolSizes {
  int64_t images = 0, channels = 0;
  int64_t input_pixels = 1, output_pixels = 1, taps = 1;
  std::vector<AxisWindow> axes;

  int64_t planes() const { return images * channels; }
};

using PoolTypes = TypeList<float, double, int8_t, uint8_t>;

// Outputs of an axis, among `outputs`, whose window meets the image at one tap; `shift` is where
// output 0 meets it.
Range outputs_inside(const AxisWindow& axis, int64_t shift, Range outputs) {
  const int64_t first = shift < 0 ? (-shift + axis.stride - 1) / axis.stride : 0;
  const int64_t behind = shift < axis.input ? (axis.input - 1 - shift) / axis.stride + 1 : 0;
  const int64_t begin = std::clamp(first, outputs.begin, outputs.end);
  return {begin, std::clamp(behind, begin, outputs.end)};
}

// Visits the taps that windows along one row of outputs share, in the order of the standard:
// f(those whose tap lies inside the image, where output 0 would find it in the plane).
template <class F>
void for_taps(const PoolSizes& s, int64_t row, Range outputs, Watch& watch, F&& f) {
  constexpr int64_t kTaps = 256, kTapWork = 10;  // nanoseconds, beside those of each output
  const AxisWindow& last = s.axes.back();
  for (int64_t above = 0; above < s.taps / last.taps; ++above) {
    int64_t o = row, t = above, base = 0, step = last.input;
    bool inside = true;
    for (std::size_t i = s.axes.size() - 1; i-- > 0;) {
      const AxisWindow& axis = s.axes[i];
      const int64_t at =
          o % axis.output * axis.stride + t % axis.taps * axis.dilation - axis.pad_begin;
      inside &= at >= 0 && at < axis.input;
      base += at * step;
      step *= axis.input;
      o /= axis.output;
      t /= axis.taps;
    }
    for (int64_t first = 0; inside && first < last.taps; first += kTaps) {
      const int64_t end = std::min(first + kTaps, last.taps);
      if (watch.over((end - first) * (kTapWork + outputs.size()))) return;
      for (int64_t tap = first; tap < end; ++tap) {
        const int64_t shift = tap * last.dilation - last.pad_begin;
        f(outputs_inside(last, shift, outputs), base + shift);
      }
    }
  }
}

// Taps of output `o` of an axis that count: those inside the image, or those that are not past the
// padding at its end.
int64_t taps_counted(const AxisWindow& axis, int64_t o, bool padding) {
  const int64_t first = o * axis.stride - axis.pad_begin;
  const int64_t end = padding ? axis.input + axis.pad_end : axis.input;
  // How many taps lie below a place.
  const auto below = [&](int64_t place) {
    return first < place ? std::min(axis.taps, (place - first + axis.dilation - 1) / axis.dilation)
                         : 0;
  };
  return std::max<int64_t>(below(end) - (padding ? 0 : below(0)), 0);
}

// The pixel's number where the last spatial axis moves slowest.
int64_t column_major(const PoolSizes& s, int64_t pixel) {
  int64_t result = 0;
  for (std::size_t i = s.axes.size(); i-- > 0;) {
    int64_t below = 1;
    for (std::size_t j = 0; j < i; ++j) below *= s.axes[j].input;
    result += pixel % s.axes[i].input * below;
    pixel /= s.axes[i].input;
  }
  return result;
}

// One of two numbers, without a branch.
template <class T>
T choose(bool first, T a, T b) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t,
                                  std::conditional_t<sizeof(T) == 4, uint32_t, uint8_t>>;
  const auto mask = static_cast<Bits>(-static_cast<Bits>(first));
  return std::bit_cast<T>(
      static_cast<Bits>((std::bit_cast<Bits>(a) & mask) | (std::bit_cast<Bits>(b) & ~mask)));
}

// Any type, any number of axes, channels first.
template <class T>
struct PlainPool {
  PoolSizes s;
  Pooling pooling;
  bool count_padding = false, columns_first = false;
  double power = 2;

  // Outputs of a row that are pooled together.
  static constexpr int64_t kTile = 64;

  T finish(double sum, double count) const {
    if (pooling == Pooling::average) return static_cast<T>(sum / count);
    if (power == 2) return static_cast<T>(std::sqrt(sum));
    return static_cast<T>(power == 1 ? sum : std::pow(sum, 1 / power));
  }

  // For `outputs` of one row of a plane; `index` may be null.
  void pool_largest(const T* x, int64_t row, Range outputs, Watch& watch, T* y,
                    int64_t* index) const {
    T best[kTile];
    int64_t where[kTile];
    std::fill_n(best, outputs.size(),
                std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                     : std::numeric_limits<T>::lowest());
    std::fill_n(where, outputs.size(), -1);
    const int64_t stride = s.axes.back().stride;
    for_taps(s, row, outputs, watch, [&](Range inside, int64_t at) {
      for (int64_t o = inside.begin; o < inside.end; ++o) {
        const int64_t pixel = at + o * stride, i = o - outputs.begin;
        const T value = x[pixel];
        const bool wins =
            (where[i] < 0) | (value > best[i]) | ((value != value) & (best[i] == best[i]));
        // Chosen by masks: which values win is past predicting.
        best[i] = choose(wins, value, best[i]);
        where[i] = choose(wins, pixel, where[i]);
      }
    });
    std::copy_n(best, outputs.size(), y);
    for (int64_t i = 0; index && i < outputs.size(); ++i) index[i] = std::max<int64_t>(where[i], 0);
  }

  void pool_sums(const T* x, int64_t row, Range outputs, Watch& watch, T* y) const {
    double sums[kTile] = {};
    const int64_t stride = s.axes.back().stride;
    for_taps(s, row, outputs, watch, [&](Range inside, int64_t at) {
      const auto add = [&](auto&& term) {
        for (int64_t o = inside.begin; o < inside.end; ++o)
          sums[o - outputs.begin] += term(static_cast<double>(x[at + o * stride]));
      };
      if (pooling == Pooling::average)
        add([](double v) { return v; });
      else if (power == 2)
        add([](double v) { return v * v; });
      else if (power == 1)
        add([](double v) { return std::abs(v); });
      else
        add([&](double v) { return std::pow(std::abs(v), power); });
    });
    int64_t count = 1, above = row;
    for (std::size_t i = s.axes.size() - 1; i-- > 0; above /= s.axes[i].output)
      count *= taps_counted(s.axes[i], above % s.axes[i].output, count_padding);
    for (int64_t i = 0; i < outputs.size(); ++i)
      y[i] =
          finish(sums[i], static_cast<double>(count * taps_counted(s.axes.back(), outputs.begin + i,
                                                                   count_padding)));
  }

  void operator()(Frame& f) const {
    if (s.output_pixels == 0) return;
    const int64_t width = s.axes.back().output, rows = s.output_pixels / width;
    const double cost = 1.5 * static_cast<double>(s.taps) * static_cast<double>(width) + 10;
    f.parallel_for(split_work(s.planes() * rows, cost), [&](Range r) {
      int64_t* indices = pooling == Pooling::max ? f.out<int64_t>(1) : nullptr;
      Watch watch(f);
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t before = i / rows * s.input_pixels;
        const T* x = f.in<T>(0) + before;
        for (int64_t o = 0; o < width; o += kTile) {
          const Range outputs{o, std::min(o + kTile, width)};
          T* y = f.out<T>(0) + i * width + o;
          if (pooling != Pooling::max) {
            pool_sums(x, i % rows, outputs, watch, y);
            continue;
          }
          int64_t* index = indices ? indices + i * width + o : nullptr;
          pool_largest(x, i % rows, outputs, watch, y, index);
          for (int64_t k = 0; index && k < outputs.size(); ++k)
            index[k] = before + (columns_first ? column_major(s, index[k]) : index[k]);
        }
      }
    });
  }
};

// Outputs, of `cost` nanoseconds each, after which to ask whether the run should end.
int64_t outputs_at_a_time(double cost, int64_t most) {
  constexpr double kLongest = 4e6;
  return std::clamp<int64_t>(static_cast<int64_t>(kLongest / cost), 1, std::max<int64_t>(most, 1));
}

// Channels first, large windows over large planes: rows of outputs, or parts of them, one at a
// time.
Step pool_in_blocks(const PoolSizes& s, const kernels::PlanePoolArgs& planes,
                    kernels::PlanePool* run, double cost) {
  const int64_t width = s.axes.back().output, block = outputs_at_a_time(cost, width);
  const int64_t blocks = (width + block - 1) / block, rows = s.output_pixels / width;
  const double block_cost = cost * static_cast<double>(block);
  return [=](Frame& f) {
    // Chunks ask themselves whether the run should end; passing over millions would take long too.
    constexpr int64_t kMostChunks = 4096;
    Split split = split_work(s.planes() * rows * blocks, block_cost);
    split.chunks = std::min(split.chunks, kMostChunks);
    f.parallel_for(split, [&](Range r) {
      Watch watch(f);
      for (int64_t i = r.begin; i < r.end && !watch.over(static_cast<int64_t>(block_cost)); ++i) {
        const int64_t plane = i / blocks / rows, row = i / blocks % rows;
        const int64_t first = i % blocks * block;
        kernels::PlanePoolArgs args = planes;
        args.pool.x = f.in<float>(0);
        args.pool.y = f.out<float>(0) + row * width + first;
        // A window whose first output is the one wanted.
        int64_t above = row;
        for (std::size_t d = s.axes.size(); d-- > 0;) {
          const AxisWindow& axis = s.axes[d];
          const bool along = d + 1 == s.axes.size();
          kernels::WindowAxis& part = args.pool.window.axis[3 - s.axes.size() + d];
          part.pad -= (along ? first : above % axis.output) * axis.stride;
          part.output = along ? static_cast<std::size_t>(std::min(block, width - first)) : 1;
          if (!along) above /= axis.output;
        }
        run(args, static_cast<std::size_t>(plane), static_cast<std::size_t>(plane + 1));
      }
    });
  };
}

// Channels last, pixels lie `x_step` and `y_step` apart.
Step prepare_float_pool(const PoolSizes& s, Pooling pooling, bool count_padding, bool channels_last,
                        int64_t x_step, int64_t y_step) {
  kernels::PoolArgs pool{};
  pool.window = kernel_window(s.axes, channels_last ? x_step : 1);
  pool.count_padding = count_padding;
  for (std::size_t i = 0; i < s.axes.size(); ++i)
    pool.pad_end[3 - s.axes.size() + i] = s.axes[i].pad_end;
  const double cost = 0.1 * static_cast<double>(s.taps) + 0.5;  // nanoseconds an output
  if (channels_last) {
    pool.channels = static_cast<std::size_t>(s.channels);
    pool.y_step = static_cast<std::size_t>(y_step);
    const auto run =
        (pooling == Pooling::max ? kernels::max_pool : kernels::average_pool).resolve();
    const double pixel_cost = cost * static_cast<double>(s.channels) + 2;
    const int64_t block = outputs_at_a_time(pixel_cost, s.output_pixels);
    return [=](Frame& f) {
      f.parallel_for(split_work(s.images * s.output_pixels, pixel_cost), [&](Range r) {
        Watch watch(f);
        for (int64_t i = r.begin; i < r.end;) {
          const int64_t image = i / s.output_pixels, first = image * s.output_pixels;
          const int64_t end = std::min({r.end, first + s.output_pixels, i + block});
          if (watch.over(static_cast<int64_t>(pixel_cost * static_cast<double>(end - i)))) return;
          kernels::PoolArgs args = pool;
          args.x = f.in<float>(0) + image * s.input_pixels * x_step;
          args.y = f.out<float>(0) + image * s.output_pixels * y_step;
          run(args, static_cast<std::size_t>(i - first), static_cast<std::size_t>(end - first));
          i = end;
        }
      });
    };
  }
  const auto run =
      (pooling == Pooling::max ? kernels::max_pool_planes : kernels::average_pool_planes).resolve();
  pool.channels = static_cast<std::size_t>(s.planes());
  const kernels::PlanePoolArgs planes{pool, static_cast<std::size_t>(s.input_pixels),
                                      static_cast<std::size_t>(s.output_pixels)};
  if (outputs_at_a_time(cost, s.output_pixels) < s.output_pixels) {
    // Neighbouring outputs share the sums of columns, but for windows too wide to hold them.
    constexpr int64_t kWide = 1024;
    const AxisWindow& axis = s.axes.back();
    const bool shared = (axis.taps - 1) * axis.dilation < kWide;
    return pool_in_blocks(s, planes, run, shared ? cost : 10 * cost);
  }
  return [=](Frame& f) {
    if (s.output_pixels == 0) return;
    kernels::PlanePoolArgs args = planes;
    args.pool.x = f.in<float>(0);
    args.pool.y = f.out<float>(0);
    f.parallel_for(split_work(s.planes(), cost * static_cast<double>(s.output_pixels) + 10),
                   [&](Range r) {
                     run(args, static_cast<std::size_t>(r.begin), static_cast<std::size_t>(r.end));
                   });
  };
}

// Whole planes, channels first.
Step prepare_global(const PoolSizes& s, Pooling pooling) {
  const auto run =
      (pooling == Pooling::max ? kernels::reduce_max_rows : kernels::reduce_sum_rows).resolve();
  const auto count = static_cast<float>(s.input_pixels);
  return [=, planes = s.planes(), pixels = s.input_pixels](Frame& f) {
    f.parallel_for(split_work(planes, 0.1 * static_cast<double>(pixels) + 5), [&](Range r) {
      float* y = f.out<float>(0);
      run(f.in<float>(0) + r.begin * pixels, y + r.begin, static_cast<std::size_t>(r.size()),
          static_cast<std::size_t>(pixels));
      if (pooling == Pooling::average)
        for (int64_t i = r.begin; i < r.end; ++i) y[i] /= count;
    });
  };
}

Pooling pooling_of(std::string_view type) {
  if (type.find("Max") != std::string_view::npos) return Pooling::max;
  return type.find("Average") != std::string_view::npos ? Pooling::average : Pooling::norm;
}

// The p of LpPool, which was a float at first.
double power_of(const OpInit& init) {
  double power = 2;
  if (init.attrs.has("p"))
    power = init.opset < 2 ? static_cast<double>(init.attrs.require<float>("p"))
                           : static_cast<double>(init.attrs.require<int64_t>("p"));
  check(power >= 1, "p is ", power);
  return power;
}

// Channels-last maximum of bytes over one or two axes.
template <class T>
Step byte_pool(const PoolSizes& s, void (*max_into)(const T*, T*, std::size_t)) {
  const AxisWindow height = s.axes.size() == 2 ? s.axes[0] : AxisWindow{};
  const AxisWindow width = s.axes.back();
  return [=](Frame& f) {
    const auto channels = static_cast<std::size_t>(s.channels);
    const double cost = 0.05 * static_cast<double>(s.taps * s.channels) + 5;
    f.parallel_for(split_work(s.images * s.output_pixels, cost), [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const T* x = f.in<T>(0) + i / s.output_pixels * s.input_pixels * s.channels;
        T* y = f.out<T>(0) + i * s.channels;
        const int64_t pixel = i % s.output_pixels;
        std::fill(y, y + channels, std::numeric_limits<T>::lowest());
        for (int64_t th = 0; th < height.taps; ++th) {
          const int64_t row =
              pixel / width.output * height.stride + th * height.dilation - height.pad_begin;
          if (row < 0 || row >= height.input) continue;
          for (int64_t tw = 0; tw < width.taps; ++tw) {
            const int64_t column =
                pixel % width.output * width.stride + tw * width.dilation - width.pad_begin;
            if (column < 0 || column >= width.input) continue;
            max_into(x + (row * width.input + column) * s.channels, y, channels);
          }
        }
      }
    });
  };
}

class Pool final : public Op {
 public:
  explicit Pool(const OpInit& init)
      : pooling_(pooling_of(init.type)),
        channels_last_(is_channels_last(init.attrs)),
        global_(init.type.starts_with("Global")),
        count_padding_(init.attrs.get("count_include_pad", 0) != 0),
        columns_first_(init.attrs.get("storage_order", 0) != 0),
        power_(pooling_ == Pooling::norm ? power_of(init) : 2),
        window_(init.attrs) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype) ||
              (pooling_ == Pooling::max && (dtype == DType::int8 || dtype == DType::uint8)),
          "cannot pool ", dtype);
    check(global_ || !window_.kernel_shape.empty(), "attribute 'kernel_shape' is missing");
    Type result = Type::tensor(dtype);
    if (ctx.has_rank(0)) {
      Dims dims = ctx.dims(0);
      check(dims.size() >= (global_ ? 2 : 3), "cannot pool an input of shape ", dims);
      const std::size_t axes = dims.size() - 2, first = channels_last_ ? 1 : 2;
      if (!global_) window_.check_axes(static_cast<int64_t>(axes));
      for (std::size_t i = 0; i < axes; ++i) {
        Dim& dim = dims[first + i];
        dim = global_ ? Dim(1) : window_.output(i, dim, Dim(window_.kernel_shape[i]));
      }
      result = Type::tensor(dtype, std::move(dims));
    }
    if (ctx.wants_output(1)) {
      Type indices = result;
      indices.dtype = DType::int64;
      ctx.set_output(1, std::move(indices));
    }
    ctx.set_output(0, std::move(result));
  }

  bool reads_rows(const PrepareContext& ctx, int, int64_t length) const override {
    return channels_last_ && ctx.dtype(0) == DType::float32 && length == ctx.shape(0).back();
  }
  bool writes_rows(const PrepareContext& ctx, int, int64_t length) const override {
    return reads_rows(ctx, 0, length);
  }

  Step prepare(PrepareContext& ctx) const override {
    const PoolSizes s = sizes(ctx.shape(0));
    const bool plain = pooling_ == Pooling::norm || ctx.wants_output(1) ||
                       (ctx.dtype(0) != DType::float32 && !is_half_float(ctx.dtype(0)));
    check(!plain || s.taps > 0 || s.images * s.channels == 0, "there is nothing to pool in shape ",
          ctx.shape(0));
    if (!plain && takes_whole_planes(s) && !channels_last_)
      return in_float32(ctx, prepare_global(s, pooling_));
    if (!plain)
      return in_float32(
          ctx, prepare_float_pool(s, pooling_, count_padding_, channels_last_,
                                  ctx.step(0, s.channels), ctx.output_step(0, s.channels)));
    if (channels_last_ && !ctx.wants_output(1) && s.axes.size() <= 2) {
      if (ctx.dtype(0) == DType::uint8) return byte_pool(s, kernels::max_into_u8.resolve());
      if (ctx.dtype(0) == DType::int8) return byte_pool(s, kernels::max_into_s8.resolve());
    }
    if (channels_last_)
      fail(ErrorKind::unsupported, "channels-last pooling of ", ctx.dtype(0), " is not supported");
    const DType dtype = is_half_float(ctx.dtype(0)) ? DType::float32 : ctx.dtype(0);
    Step step = dispatch(PoolTypes{}, dtype, [&]<class T>() -> Step {
      return PlainPool<T>{s, pooling_, count_padding_, columns_first_, power_};
    });
    return in_float32(ctx, std::move(step));
  }

 private:
  static bool takes_whole_planes(const PoolSizes& s) {
    return std::all_of(s.axes.begin(), s.axes.end(), [](const AxisWindow& axis) {
      return axis.taps == axis.input && axis.output == 1 && axis.pad_begin == 0 &&
             axis.pad_end == 0 && axis.dilation == 1;
    });
  }

  PoolSizes sizes(const Shape& x) const {
    PoolSizes s;
    s.images = x[0];
    s.channels = x[channels_last_ ? x.size() - 1 : 1];
    for (std::size_t i = 0; i + 2 < x.size(); ++i) {
      const int64_t input = x[(channels_last_ ? 1 : 2) + i];
      AxisWindow axis{.input = input, .output = 1, .taps = input};
      if (!global_) axis = resolve_axis(window_, i, input, window_.kernel_shape[i]);
      s.input_pixels = checked_mul(s.input_pixels, axis.input);
      s.output_pixels = checked_mul(s.output_pixels, axis.output);
      s.taps = checked_mul(s.taps, axis.taps);
      s.axes.push_back(axis);
    }
    if (global_) {  // one axis serves, and any rank is served
      s.axes = {{.input = s.input_pixels, .output = 1, .taps = s.input_pixels}};
      s.output_pixels = 1;
    }
    return s;
  }

  Pooling pooling_;
  bool channels_last_, global_, count_padding_, columns_first_;
  double power_;
  WindowAttributes window_;
};

// MaxUnpool (X, indices, output_shape?): values go back to where MaxPool found them.
class MaxUnpool final : public Op {
 public:
  explicit MaxUnpool(const OpInit& init) : window_(init.attrs) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype), "expected a float input, got ", dtype);
    check(ctx.dtype(1) == DType::int64, "expected int64 indices, got ", ctx.dtype(1));
    if (!ctx.has_rank(0)) return ctx.set_output(0, dtype);
    const Dims& x = ctx.dims(0);
    check(x.size() >= 3, "cannot unpool an input of shape ", x);
    window_.check_axes(static_cast<int64_t>(x.size()) - 2);
    check(!window_.kernel_shape.empty(), "attribute 'kernel_shape' is missing");
    if (!ctx.has_input(2)) return ctx.set_output(0, dtype, unpooled(x));
    const auto wanted = ctx.integers(2);
    if (!wanted) return ctx.set_output(0, dtype, Dims(x.size(), Dim::unknown()));
    check(wanted->size() == x.size(), "output_shape has ", wanted->size(), " entries, expected ",
          x.size());
    for (const int64_t size : *wanted) check(size >= 0, "output_shape holds ", size);
    ctx.set_output(0, dtype, to_dims(*wanted));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const Shape& y = ctx.output_shape(0);
    check(ctx.shape(1) == x, "indices of shape ", ctx.shape(1), " for an input ", x);
    const auto inner = to_shape(unpooled(to_dims(x)));
    element_count(y);  // refuses what no strides could tell
    for (std::size_t i = 0; i < x.size(); ++i)
      check((*inner)[i] >= 0 && (*inner)[i] <= y[i], "an output ", y, " cannot hold ", *inner);
    return in_float32(
        ctx, dispatch(TypeList<float, double>{},
                      ctx.dtype(0) == DType::float64 ? DType::float64 : DType::float32,
                      [&]<class T>() -> Step {
                        return [from = Shape(*inner), to = row_major_strides(y),
                                count = ctx.count(0), most = element_count(*inner),
                                total = element_count(y), same = Shape(*inner) == y](Frame& f) {
                          const T* x = f.in<T>(0);
                          const int64_t* indices = f.in<int64_t>(1);
                          T* y = f.out<T>(0);
                          std::fill_n(y, total, T{});
                          Checkpoint checkpoint;
                          constexpr int64_t kBlock = 1024;
                          for (int64_t begin = 0; begin < count; begin += kBlock) {
                            const int64_t end = std::min(begin + kBlock, count);
                            checkpoint(10 * kBlock);
                            check_indices(indices + begin, end - begin, most);
                            if (same)
                              for (int64_t i = begin; i < end; ++i) y[indices[i]] = x[i];
                            else
                              for (int64_t i = begin; i < end; ++i)
                                y[place_of(indices[i], from, to)] = x[i];
                          }
                        };
                      }));
  }

 private:
  static void check_indices(const int64_t* indices, int64_t count, int64_t most) {
    const auto is_outside = [=](int64_t index) { return index < 0 || index >= most; };
    // Negative where an index is, or what is left above it; no branch for each.
    int64_t signs = 0;
    for (int64_t i = 0; i < count; ++i)
      signs |= indices[i] | static_cast<int64_t>(static_cast<uint64_t>(most - 1) -
                                                 static_cast<uint64_t>(indices[i]));
    if (signs >= 0) return;
    fail(ErrorKind::invalid_argument, "index ", *std::find_if(indices, indices + count, is_outside),
         " is outside [0, ", most, ")");
  }

  // Where the element of a tensor of shape `from` lies in a larger one with strides `to`.
  static int64_t place_of(int64_t index, const Shape& from, const Shape& to) {
    int64_t at = 0;
    for (std::size_t axis = from.size(); axis-- > 0; index /= from[axis])
      at += index % from[axis] * to[axis];
    return at;
  }

  Dims unpooled(const Dims& x) const {
    Dims result = x;
    for (std::size_t i = 0; i + 2 < x.size(); ++i)
      result[2 + i] = (x[2 + i] - Dim(1)) * Dim(window_.stride(i)) +
                      Dim(window_.kernel_shape[i] - window_.pad_begin(i) - window_.pad_end(i));
    return result;
  }

  WindowAttributes window_;
};

}  // namespace

[[gnu::cold]] void register_pool(OpRegistry& ops) {
  for (const char* name : {"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"}) {
    ops.add<Pool>(name, {.since = 1});
    // The same, which a pass may give `layout` "NHWC".
    ops.add<Pool>(name, {.since = 1}, "sardonyx");
  }
  ops.add<Pool>("LpPool", {.since = 1});
  ops.add<Pool>("GlobalLpPool", {.since = 1});
  ops.add<MaxUnpool>("MaxUnpool", {.since = 9});
}

}  // namespace sdx::ops
