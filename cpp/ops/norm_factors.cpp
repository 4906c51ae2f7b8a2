// sardonyx::NormFactors: what instance and group normalisation multiply channels by and add to
// them. The rest is a product and a sum, which join with other elementwise operators.
#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "kernels/norm.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

constexpr int64_t kBlockItems = 4096;  // of an image channels-last that are summed at once

// Inputs: x [n, c, ...], or [n, ..., c] with layout "NHWC"; scale [c]; bias [c]. Outputs: factor
// and shift, of x's rank with the sizes of pixels 1.
class NormFactors final : public Op {
 public:
  explicit NormFactors(const OpInit& init)
      : groups_(init.attrs.get("groups", 0)),
        epsilon_(init.attrs.get("epsilon", 1e-5)),
        channels_last_(init.attrs.get("layout", "NCHW") == "NHWC") {
    check(groups_ >= 0, "groups is ", groups_);
  }

  void infer(InferContext& ctx) const override {
    for (int i = 0; i < 3; ++i)
      check(ctx.dtype(i) == DType::float32, "expected float32, got ", ctx.dtype(i));
    const Dims& x = ctx.dims(0);
    check(x.size() >= 3, "expected an input of rank 3 or more, got ", x);
    Dims result(x.size(), Dim(1));
    const std::size_t axis = channels_last_ ? x.size() - 1 : 1;
    result[0] = x[0];
    result[axis] = x[axis];
    check(groups_ == 0 || x[axis].value_or(0) % groups_ == 0, x[axis], " channels in ", groups_,
          " groups");
    for (int i = 1; i < 3; ++i) check_vector(ctx, i, x[axis]);
    ctx.set_output(0, DType::float32, result);
    ctx.set_output(1, DType::float32, std::move(result));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& x = ctx.shape(0);
    const int64_t images = x[0], channels = channels_last_ ? x.back() : x[1];
    const int64_t pixels = element_count(x) == 0 ? 0 : element_count(x) / (images * channels);
    for (int i = 1; i < 3; ++i)
      check(ctx.count(i) == channels, "factors of shape ", ctx.shape(i), " for ", channels,
            " channels");
    check(groups_ == 0 || channels % groups_ == 0, channels, " channels in ", groups_, " groups");
    if (images * channels * pixels == 0) return [](Frame&) {};
    const Sizes sizes{images, channels, pixels, groups_ ? groups_ : channels};
    return channels_last_ ? last_step(ctx, sizes) : first_step(sizes);
  }

 private:
  struct Sizes {
    int64_t images, channels, pixels, groups;
    int64_t each() const { return channels / groups; }
  };

  // The elements of a group: rows of them, `stride` apart.
  struct Elements {
    const float* x;
    int64_t rows, width, stride;

    bool are_equal() const {
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t i = 0; i < width; ++i)
          if (x[r * stride + i] != x[0]) return false;
      return true;
    }
  };

  // Factor and shift of the channels of one group.
  static void write(const Frame& f, const Sizes& sizes, int64_t image, int64_t group, double mean,
                    double variance, double epsilon, const Elements& elements) {
    // Where all are equal the bias is all that is left of them. A product and a sum would miss it
    // by what they round, and that is much: the deviation is only the root of epsilon.
    const bool equal = epsilon > 0 && variance <= 1e-12 * mean * mean && elements.are_equal();
    const double inverse = equal ? 0 : 1 / std::sqrt(variance + epsilon);
    for (int64_t c = group * sizes.each(); c < (group + 1) * sizes.each(); ++c) {
      const double factor = static_cast<double>(f.in<float>(1)[c]) * inverse;
      f.out<float>(0)[image * sizes.channels + c] = static_cast<float>(factor);
      f.out<float>(1)[image * sizes.channels + c] =
          static_cast<float>(static_cast<double>(f.in<float>(2)[c]) - mean * factor);
    }
  }

  Step first_step(const Sizes& sizes) const {
    const int64_t run = sizes.each() * sizes.pixels;
    const Split split =
        split_work(sizes.images * sizes.groups, 0.15 * static_cast<double>(run) + 10);
    return [=, epsilon = static_cast<double>(epsilon_)](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        const auto moments = kernels::moments.resolve();
        for (int64_t i = r.begin; i < r.end; ++i) {
          const float* x = f.in<float>(0) + i * run;
          const auto [mean, variance] = moments(x, static_cast<std::size_t>(run));
          write(f, sizes, i / sizes.groups, i % sizes.groups, mean, variance, epsilon,
                {x, 1, run, run});
        }
      });
    };
  }

  // Mean and variance of the channels of blocks of pixels, then of groups of those.
  Step last_step(PrepareContext& ctx, const Sizes& sizes) const {
    const int64_t rows = std::clamp<int64_t>(kBlockItems / sizes.channels, 8, 256);
    const int64_t blocks = (sizes.pixels + rows - 1) / rows;
    ctx.request_scratch(checked_mul(checked_mul(sizes.images * blocks, 2 * sizes.channels),
                                    static_cast<int64_t>(sizeof(float))));
    const Split split =
        split_work(sizes.images * blocks, 0.15 * static_cast<double>(rows * sizes.channels) + 10);
    return [=, epsilon = static_cast<double>(epsilon_)](Frame& f) {
      float* all = f.scratch<float>();
      const int64_t channels = sizes.channels;
      const auto rows_of = [&](int64_t block) {
        return std::min(rows, sizes.pixels - block * rows);
      };
      f.parallel_for(split, [&](Range r) {
        const auto moments = kernels::moments_columns.resolve();
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int64_t block = i % blocks;
          const int64_t pixel = i / blocks * sizes.pixels + block * rows;
          float* mean = all + 2 * i * channels;
          moments(f.in<float>(0) + pixel * channels, static_cast<std::size_t>(channels),
                  static_cast<std::size_t>(rows_of(block)), static_cast<std::size_t>(channels),
                  mean, mean + channels);
        }
      });
      const int64_t each = sizes.each();
      for (int64_t i = 0; i < sizes.images * sizes.groups; ++i) {
        const int64_t image = i / sizes.groups, group = i % sizes.groups;
        const float* means = all + 2 * image * blocks * channels + group * each;
        const auto sum = [&](auto&& term) {
          double total = 0;
          for (int64_t b = 0; b < blocks; ++b) {
            double block = 0;
            for (int64_t c = 0; c < each; ++c) block += term(means + 2 * b * channels + c);
            total += block * static_cast<double>(rows_of(b));
          }
          return total / static_cast<double>(each * sizes.pixels);
        };
        const double mean = sum([](const float* m) { return static_cast<double>(*m); });
        const double variance = sum([&](const float* m) {
          const double distance = *m - mean;
          return static_cast<double>(m[channels]) + distance * distance;
        });
        const float* x = f.in<float>(0) + image * sizes.pixels * channels + group * each;
        write(f, sizes, image, group, mean, variance, epsilon, {x, sizes.pixels, each, channels});
      }
    };
  }

  int64_t groups_;  // 0: a channel is a group
  float epsilon_;
  bool channels_last_;
};

}  // namespace

[[gnu::cold]] void register_norm_factors(OpRegistry& ops) {
  ops.add<NormFactors>("NormFactors", {}, "sardonyx");
}

}  // namespace sdx::ops
