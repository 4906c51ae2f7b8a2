// Normalisation of images: batch, instance and group normalisation, LRN, and
// MeanVarianceNormalization.
#include "kernels/norm.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/binary.h"
#include "kernels/unary.h"
#include "ops/broadcast.h"
#include "ops/checkpoint.h"
#include "ops/checks.h"
#include "ops/float32_adapter.h"
#include "ops/registry.h"

namespace sdx::ops {
namespace {

constexpr double kCost = 0.25;  // nanoseconds an element

// Floats of any width as doubles.
void read_doubles(DType dtype, const std::byte* data, int64_t count, double* to) {
  dispatch(FloatTypes{}, dtype, [&]<class T>() -> int {
    const T* from = reinterpret_cast<const T*>(data);
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<double>(ComputeType<T>(from[i]));
    return 0;
  });
}

// y[i] = x[i] * scale + shift.
void scale_shift(const float* x, float* y, int64_t n, double scale, double shift) {
  kernels::unary_scale_shift.resolve()(x, y, static_cast<std::size_t>(n), static_cast<float>(scale),
                                       static_cast<float>(shift));
}
void scale_shift(const double* x, double* y, int64_t n, double scale, double shift) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * scale + shift;
}

// Mean and population variance.
std::array<double, 2> moments_of(const float* x, int64_t n) {
  const auto [mean, variance] = kernels::moments.resolve()(x, static_cast<std::size_t>(n));
  return {mean, variance};
}
std::array<double, 2> moments_of(const double* x, int64_t n) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  const double mean = sum / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, squares / static_cast<double>(n)};
}

// y = (x - mean) * factor + bias; `skew` is how many deviations the mean is away from 0. Where it
// is many, x * factor and mean * factor cancel: x is then centred first, on the mean as a float,
// whose rounding the bias makes up for.
void shift_scale(const float* x, float* y, int64_t n, double mean, double factor, double bias,
                 double skew) {
  constexpr double kMuch = 4;
  if (skew < kMuch) return scale_shift(x, y, n, factor, bias - mean * factor);
  const auto centre = static_cast<float>(mean);
  kernels::binary_sub.resolve()(x, 1, &centre, 0, y, static_cast<std::size_t>(n));
  scale_shift(y, y, n, factor, bias - (mean - static_cast<double>(centre)) * factor);
}
void shift_scale(const double* x, double* y, int64_t n, double mean, double factor, double bias,
                 double) {
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * factor + bias;
}

// Runs make<float> for float32 and 16-bit floats, make<double> for float64.
template <class F>
Step float_step(PrepareContext& ctx, F&& make) {
  if (ctx.dtype(0) == DType::float64) return make.template operator()<double>();
  return in_float32(ctx, make.template operator()<float>());
}

class BatchNorm final : public Op {
 public:
  explicit BatchNorm(const OpInit& init)
      : epsilon_(init.attrs.get("epsilon", 1e-5)),
        momentum_(init.attrs.get("momentum", 0.9)),
        // Old versions train where the node has more outputs than one.
        training_(init.opset >= 14 ? init.attrs.get("training_mode", 0) != 0
                                   : init.output_count > 1 && init.attrs.get("is_test", 0) == 0),
        per_element_(init.opset < 9 && init.attrs.get("spatial", 1) == 0) {}

  void infer(InferContext& ctx) const override {
    check_given(ctx, 1, 5);
    check_all_floats(ctx);
    if (ctx.has_rank(0)) {
      const Dims& x = ctx.dims(0);
      check(!x.empty(), "expected an input of rank 1 or more");
      const Dim channels = x.size() > 1 ? x[1] : Dim(1);
      for (int i = 1; i < 5 && !per_element_; ++i) check_vector(ctx, i, channels);
    }
    ctx.set_output(0, Type(ctx.input(0)));
    for (int i = 1; i < ctx.output_count(); ++i)
      if (ctx.wants_output(i)) ctx.set_output(i, Type(ctx.input(i < 3 ? 2 + i : i)));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    int64_t inner = 1;
    for (std::size_t i = 2; i < x.size(); ++i) inner = checked_mul(inner, x[i]);
    int64_t channels = x.size() > 1 ? x[1] : 1;
    if (per_element_) {
      channels *= inner;
      inner = 1;
    }
    for (int i = 1; i < 5; ++i)
      check(ctx.count(i) == channels, "parameters of shape ", ctx.shape(i), " for ", channels,
            " channels");
    const int64_t images = x[0];
    const int64_t scratch_bytes = checked_mul(checked_mul(channels, 4), sizeof(double));
    const int64_t adapter_start = round_up(scratch_bytes, kAlignment);
    ctx.request_scratch(adapter_start);
    return float_step(ctx, [&]<class T>() -> Step {
      // The parameters are read as T where they are 16-bit floats (the adapter widens them).
      std::array<DType, 5> dtypes{};
      for (int i = 1; i < 5; ++i)
        dtypes[i] = is_half_float(ctx.dtype(i)) && ctx.dtype(0) != DType::float64 ? DType::float32
                                                                                  : ctx.dtype(i);
      std::array<DType, 5> moments{};
      for (int i = 1; i < 5 && training_; ++i)
        if (ctx.wants_output(i)) {
          check(ctx.dtype(0) != DType::float64 || !is_half_float(ctx.output_dtype(i)),
                "moments of ", ctx.output_dtype(i), " for a float64 input");
          moments[i] = is_half_float(ctx.output_dtype(i)) ? DType::float32 : ctx.output_dtype(i);
        }
      return [=, epsilon = static_cast<double>(epsilon_), momentum = static_cast<double>(momentum_),
              training = training_](Frame& f) {
        double* parameters[5] = {};  // scale, bias, mean, variance
        for (int i = 1; i < 5; ++i) {
          parameters[i] = f.scratch<double>() + (i - 1) * channels;
          read_doubles(dtypes[i], f.in<std::byte>(i), channels, parameters[i]);
        }
        const T* from = f.in<T>(0);
        if (training) train(f, from, images, channels, inner, momentum, parameters, moments);
        T* y = f.out<T>(0);
        double *scale = parameters[1], *shift = parameters[2];
        for (int64_t c = 0; c < channels; ++c) {
          scale[c] /= std::sqrt(parameters[4][c] + epsilon);
          shift[c] -= parameters[3][c] * scale[c];
        }
        const double cost = kCost * static_cast<double>(inner) + 4;
        f.parallel_for(split_work(images * channels, cost), [&](Range r) {
          for (int64_t plane = r.begin, c = r.begin % channels; plane < r.end; ++plane) {
            scale_shift(from + plane * inner, y + plane * inner, inner, scale[c], shift[c]);
            c = c + 1 == channels ? 0 : c + 1;
          }
        });
      };
    });
  }

 private:
  // Replaces mean and variance by those of the batch; writes the running ones and, for outputs 3
  // and 4, the batch's own.
  template <class T>
  static void train(const Frame& f, const T* x, int64_t images, int64_t channels, int64_t inner,
                    double momentum, double* const* parameters,
                    const std::array<DType, 5>& dtypes) {
    const auto count = static_cast<double>(images * inner);
    const auto channel = [&](int64_t c, Watch& watch) {
      double sum = 0, squares = 0;
      const auto each = [&](auto&& visit) {
        for (int64_t n = 0; n < images && !watch.over(inner); ++n)
          for (int64_t i = 0; i < inner; ++i)
            visit(static_cast<double>(x[(n * channels + c) * inner + i]));
      };
      each([&](double v) { sum += v; });
      const double mean = sum / count;
      each([&](double v) { squares += (v - mean) * (v - mean); });
      const double moments[2] = {mean, squares / count};
      const auto write = [&](int output, double value) {
        if (!f.wants_output(output)) return;
        if (dtypes[output] == DType::float64)
          f.out<double>(output)[c] = value;
        else
          f.out<float>(output)[c] = static_cast<float>(value);
      };
      for (int k = 0; k < 2; ++k) {
        const double old = parameters[3 + k][c];
        parameters[3 + k][c] = moments[k];
        write(1 + k, old * momentum + moments[k] * (1 - momentum));
        write(3 + k, moments[k]);
      }
    };
    f.parallel_for(split_work(channels, 2 * count + 10), [&](Range r) {
      Watch watch(f);
      for (int64_t c = r.begin; c < r.end; ++c) channel(c, watch);
    });
  }

  float epsilon_, momentum_;
  bool training_, per_element_;
};

// InstanceNormalization, and GroupNormalization whose scale goes by group (18) or channel (21).
class GroupNorm final : public Op {
 public:
  explicit GroupNorm(const OpInit& init)
      : by_instance_(init.type == "InstanceNormalization"),
        factors_by_group_(!by_instance_ && init.opset < 21),
        groups_(by_instance_ ? 0 : init.attrs.require<int64_t>("num_groups")),
        epsilon_(init.attrs.get("epsilon", 1e-5)) {
    check(by_instance_ || groups_ >= 1, "num_groups is ", groups_);
  }

  void infer(InferContext& ctx) const override {
    check_given(ctx, 1, 3);
    check_all_floats(ctx);
    if (ctx.has_rank(0)) {
      const Dims& x = ctx.dims(0);
      check(x.size() >= 2, "expected an input of rank 2 or more, got ", x);
      check(by_instance_ || !x[1].is_known() || x[1].value() % groups_ == 0, x[1], " channels in ",
            groups_, " groups");
      for (int i = 1; i < 3; ++i) check_vector(ctx, i, factors_by_group_ ? Dim(groups_) : x[1]);
    }
    ctx.set_output(0, Type(ctx.input(0)));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    int64_t inner = 1;
    for (std::size_t i = 2; i < x.size(); ++i) inner = checked_mul(inner, x[i]);
    const int64_t images = x[0], channels = x[1];
    const int64_t groups = by_instance_ ? channels : groups_;
    const int64_t each = groups ? channels / groups : 0;
    for (int i = 1; i < 3; ++i) {
      check(ctx.count(i) == (factors_by_group_ ? groups : channels), "factors of shape ",
            ctx.shape(i), " for ", channels, " channels in ", groups, " groups");
      if (ctx.dtype(0) == DType::float64 && ctx.dtype(i) != DType::float64)
        fail(ErrorKind::unsupported, "float64 normalised with factors of ", ctx.dtype(i));
    }
    return float_step(ctx, [&]<class T>() -> Step {
      return [=, by_group = factors_by_group_, epsilon = static_cast<double>(epsilon_)](Frame& f) {
        const T* scale = f.in<T>(1);
        const T* bias = f.in<T>(2);
        const int64_t run = each * inner;
        if (run == 0) return;
        const double cost = 2 * kCost * static_cast<double>(run) + 10;
        f.parallel_for(split_work(images * groups, cost), [&](Range r) {
          for (int64_t item = r.begin; item < r.end; ++item) {
            const int64_t group = item % groups;
            const T* from = f.in<T>(0) + item * run;
            T* to = f.out<T>(0) + item * run;
            const auto [mean, variance] = moments_of(from, run);
            const double inv_std = 1 / std::sqrt(variance + epsilon);
            for (int64_t c = 0; c < each; ++c) {
              const int64_t at = by_group ? group : group * each + c;
              const double factor = static_cast<double>(scale[at]) * inv_std;
              shift_scale(from + c * inner, to + c * inner, inner, mean, factor,
                          static_cast<double>(bias[at]), std::abs(mean) * inv_std);
            }
          }
        });
      };
    });
  }

 private:
  bool by_instance_, factors_by_group_;
  int64_t groups_;
  float epsilon_;
};

// What a channel's items are divided by: (bias + alpha * the sum of the squares of neighbouring
// channels) ^ power.
struct Response {
  double alpha, power, bias;
};

// n pixels of a channel; its neighbours and itself begin at `first`, `stride` apart.
void divide_by_response(const Response& response, const float* x, const float* first,
                        int64_t neighbours, int64_t stride, float* y, int64_t n) {
  kernels::local_response.resolve()({.x = x,
                                     .first = first,
                                     .y = y,
                                     .n = static_cast<std::size_t>(n),
                                     .neighbours = static_cast<std::size_t>(neighbours),
                                     .stride = static_cast<std::size_t>(stride),
                                     .alpha = static_cast<float>(response.alpha),
                                     .power = static_cast<float>(response.power),
                                     .bias = static_cast<float>(response.bias)});
}
void divide_by_response(const Response& response, const double* x, const double* first,
                        int64_t neighbours, int64_t stride, double* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int64_t c = 0; c < neighbours; ++c) sum += first[c * stride + i] * first[c * stride + i];
    y[i] = x[i] / std::pow(response.bias + response.alpha * sum, response.power);
  }
}

class LRN final : public Op {
 public:
  explicit LRN(const OpInit& init)
      : size_(init.attrs.require<int64_t>("size")),
        alpha_(init.attrs.get("alpha", 1e-4)),
        beta_(init.attrs.get("beta", 0.75)),
        bias_(init.attrs.get("bias", 1.0)) {
    check(size_ >= 1 && size_ < int64_t{1} << 31, "size is ", size_);
  }

  void infer(InferContext& ctx) const override {
    check_all_floats(ctx);
    if (ctx.has_rank(0)) check(ctx.rank(0) >= 2, "expected an input of rank 2 or more");
    ctx.set_output(0, Type(ctx.input(0)));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    int64_t pixels = 1;
    for (std::size_t i = 2; i < x.size(); ++i) pixels = checked_mul(pixels, x[i]);
    const int64_t images = x[0], channels = x[1];
    return float_step(ctx, [&]<class T>() -> Step {
      return [=, before = (size_ - 1) / 2, after = size_ / 2,
              response = Response{static_cast<double>(alpha_) / static_cast<double>(size_), beta_,
                                  bias_}](Frame& f) {
        constexpr int64_t kRun = 256;
        const int64_t runs = (pixels + kRun - 1) / kRun;
        if (channels == 0) return;
        const double cost = static_cast<double>(std::min(pixels, kRun) *
                                                std::min(before + after + 4, channels + 4)) /
                            4;
        f.parallel_for(split_work(images * channels * runs, cost), [&](Range r) {
          for (int64_t item = r.begin; item < r.end; ++item) {
            const int64_t begin = item % runs * kRun, n = std::min(kRun, pixels - begin);
            const int64_t channel = item / runs % channels, image = item / runs / channels;
            const int64_t at = image * channels * pixels + begin;
            const int64_t last = std::min(channel + std::min(after, channels), channels - 1);
            const int64_t first = std::max<int64_t>(channel - before, 0);
            const T* x = f.in<T>(0) + at;
            divide_by_response(response, x + channel * pixels, x + first * pixels, last + 1 - first,
                               pixels, f.out<T>(0) + at + channel * pixels, n);
          }
        });
      };
    });
  }

 private:
  int64_t size_;
  float alpha_, beta_, bias_;
};

// The sum of f(x[i]), in eight parts that the compiler makes vectors of.
template <class T, class F>
double sum_of(const T* x, int64_t n, F f) {
  constexpr int64_t kParts = 8;
  double parts[kParts] = {};
  int64_t i = 0;
  for (; i + kParts <= n; i += kParts)
    for (int64_t k = 0; k < kParts; ++k) parts[k] += f(static_cast<double>(x[i + k]));
  for (; i < n; ++i) parts[i % kParts] += f(static_cast<double>(x[i]));
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

// (x - mean) / deviation over some axes. Before opset 9, when it was experimental, attributes told
// whether to average over channels too and whether to divide.
class MeanVarianceNorm final : public Op {
 public:
  explicit MeanVarianceNorm(const OpInit& init)
      : axes_(init.attrs.ints("axes")),
        divides_(init.opset >= 9 || init.attrs.get("normalize_variance", 1) != 0) {
    if (init.attrs.has("axes")) return;
    const bool across = init.opset < 9 && init.attrs.get("across_channels", 0) != 0;
    axes_ = across ? std::vector<int64_t>{1, 2, 3} : std::vector<int64_t>{0, 2, 3};
  }

  void infer(InferContext& ctx) const override {
    check_all_floats(ctx);
    if (ctx.has_rank(0))
      for (const int64_t axis : axes_) normalize_axis(axis, ctx.rank(0));
    ctx.set_output(0, Type(ctx.input(0)));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    // The mean an element belongs to, by strides that are 0 along the reduced axes.
    Shape kept = x;
    for (const int64_t axis : axes_) kept[normalize_axis(axis, static_cast<int64_t>(x.size()))] = 1;
    const int64_t means = element_count(kept), count = element_count(x);
    ctx.request_scratch(round_up(checked_mul(means, 2 * sizeof(double)), kAlignment));
    return float_step(ctx, [&]<class T>() -> Step {
      return [=, divides = divides_, walk = Broadcast(x, {&kept})](Frame& f) {
        if (count == 0) return;
        double* mean = f.scratch<double>();
        double* deviation = mean + means;
        std::fill_n(mean, 2 * means, 0.0);
        const T* from = f.in<T>(0);
        T* y = f.out<T>(0);
        const double size = static_cast<double>(count / means);
        Watch watch(f);
        const auto each_run = [&](auto&& visit) {
          walk.for_each_run({0, count},
                            [&](int64_t first, int64_t n, const Broadcast::Offsets& at) {
                              if (!watch.over(n)) visit(first, n, at[0]);
                            });
        };
        const bool reduces = walk.step[0] == 0;  // a run has one mean, or each element its own
        each_run([&](int64_t first, int64_t n, int64_t at) {
          if (reduces)
            mean[at] += sum_of(from + first, n, [](double item) { return item; });
          else
            for (int64_t i = 0; i < n; ++i) mean[at + i] += static_cast<double>(from[first + i]);
        });
        for (int64_t i = 0; i < means; ++i) mean[i] /= size;
        each_run([&](int64_t first, int64_t n, int64_t at) {
          const auto square = [](double d) { return d * d; };
          if (reduces)
            deviation[at] += sum_of(from + first, n, [&, center = mean[at]](double item) {
              return square(item - center);
            });
          else
            for (int64_t i = 0; i < n; ++i)
              deviation[at + i] += square(static_cast<double>(from[first + i]) - mean[at + i]);
        });
        constexpr double kEpsilon = 1e-9;  // the standard's, beside the deviation
        for (int64_t i = 0; i < means; ++i)
          deviation[i] = divides ? std::sqrt(deviation[i] / size) + kEpsilon : 1;
        each_run([&](int64_t first, int64_t n, int64_t at) {
          if (reduces) {
            const double center = mean[at], scale = 1 / deviation[at];
            for (int64_t i = first; i < first + n; ++i)
              y[i] = static_cast<T>((static_cast<double>(from[i]) - center) * scale);
          } else {
            for (int64_t i = 0; i < n; ++i)
              y[first + i] = static_cast<T>((static_cast<double>(from[first + i]) - mean[at + i]) /
                                            deviation[at + i]);
          }
        });
      };
    });
  }

 private:
  std::vector<int64_t> axes_;
  bool divides_;
};

}  // namespace

[[gnu::cold]] void register_norm(OpRegistry& ops) {
  ops.add<BatchNorm>("BatchNormalization", {.since = 1});
  ops.add<GroupNorm>("InstanceNormalization", {.since = 1});
  ops.add<GroupNorm>("GroupNormalization", {.since = 18});
  ops.add<LRN>("LRN", {.since = 1});
  ops.add<MeanVarianceNorm>("MeanVarianceNormalization", {.since = 1});
}

}  // namespace sdx::ops
