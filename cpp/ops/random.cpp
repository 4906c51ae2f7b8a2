// Random numbers: RandomNormal, RandomUniform (and Like), Bernoulli, Multinomial. A seed makes the
// sequence of a session's runs repeatable; without one every session draws its own.
#include <bit>
#include <cmath>
#include <numbers>
#include <optional>

#include "base/checked.h"
#include "ops/axes.h"
#include "ops/checkpoint.h"
#include "ops/random_bits.h"

namespace sdx::ops {
namespace {

// The bits of a float attribute as the seed of a node.
std::optional<uint64_t> seed_attribute(const Attributes& attrs) {
  const float* seed = attrs.find<float>("seed");
  return seed ? std::optional<uint64_t>(std::bit_cast<uint32_t>(*seed)) : std::nullopt;
}

std::optional<DType> dtype_attribute(const Attributes& attrs) {
  if (!attrs.has("dtype")) return std::nullopt;
  const int64_t code = attrs.get("dtype", 1);
  check(is_known_dtype(code), "dtype ", code, " is no element type");
  return static_cast<DType>(code);
}

class RandomTensor final : public Op {
 public:
  explicit RandomTensor(const OpInit& init)
      : normal_(init.type.starts_with("RandomNormal")),
        like_(init.type.ends_with("Like")),
        dtype_(dtype_attribute(init.attrs)),
        shape_(init.attrs.ints("shape")),
        a_(normal_ ? init.attrs.get("mean", 0.0) : init.attrs.get("low", 0.0)),
        b_(normal_ ? init.attrs.get("scale", 1.0) : init.attrs.get("high", 1.0)),
        keys_(seed_attribute(init.attrs)) {
    check(like_ || init.attrs.has("shape"), "attribute 'shape' is missing");
  }

  void infer(InferContext& ctx) const override {
    if (!like_) {
      const Dims dims = to_dims(shape_);
      check_dims(dims);
      return ctx.set_output(0, dtype_.value_or(DType::float32), dims);
    }
    Type type = ctx.input(0);
    type.dtype = dtype_.value_or(ctx.dtype(0));
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t count = element_count(ctx.output_shape(0));
    return dispatch(FloatTypes{}, ctx.output_dtype(0), [&]<class T>() -> Step {
      return [=, normal = normal_, a = a_, b = b_, keys = &keys_](Frame& f) {
        const uint64_t key = keys->next();
        T* y = f.out<T>(0);
        f.parallel_for(split_work(count, normal ? 40 : 3), [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i) {
            double value = random_unit(key, 2 * i);
            if (normal)  // Box and Muller; 1 - value is never 0
              value = std::sqrt(-2 * std::log(1 - value)) *
                      std::cos(2 * std::numbers::pi * random_unit(key, 2 * i + 1));
            y[i] = static_cast<T>(
                static_cast<ComputeType<T>>(normal ? a + b * value : a + (b - a) * value));
          }
        });
      };
    });
  }

 private:
  bool normal_, like_;
  std::optional<DType> dtype_;
  std::vector<int64_t> shape_;
  double a_, b_;
  mutable KeySequence keys_;
};

class Bernoulli final : public Op {
 public:
  explicit Bernoulli(const OpInit& init)
      : dtype_(dtype_attribute(init.attrs)), keys_(seed_attribute(init.attrs)) {}

  void infer(InferContext& ctx) const override {
    check(is_float(ctx.dtype(0)), "expected probabilities of a float type, got ", ctx.dtype(0));
    Type type = ctx.input(0);
    type.dtype = dtype_.value_or(ctx.dtype(0));
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t count = ctx.count(0);
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class P>() -> Step {
      return dispatch(NumberAndBoolTypes{}, ctx.output_dtype(0), [&]<class T>() -> Step {
        return [count, keys = &keys_](Frame& f) {
          const uint64_t key = keys->next();
          const P* probability = f.in<P>(0);
          T* y = f.out<T>(0);
          f.parallel_for(split_work(count, 3), [&](Range r) {
            for (int64_t i = r.begin; i < r.end; ++i)
              y[i] = static_cast<T>(
                  random_unit(key, i) < static_cast<double>(probability[i]) ? 1.0f : 0.0f);
          });
        };
      });
    });
  }

 private:
  std::optional<DType> dtype_;
  mutable KeySequence keys_;
};

class Multinomial final : public Op {
 public:
  explicit Multinomial(const OpInit& init)
      : dtype_(dtype_attribute(init.attrs).value_or(DType::int32)),
        samples_(init.attrs.get("sample_size", 1)),
        keys_(seed_attribute(init.attrs)) {
    check(dtype_ == DType::int32 || dtype_ == DType::int64, "dtype ", dtype_,
          " is neither int32 nor int64");
    check(samples_ >= 0, "a sample_size of ", samples_);
  }

  void infer(InferContext& ctx) const override {
    if (!ctx.has_rank(0)) return ctx.set_output(0, dtype_, {Dim::unknown(), samples_});
    check(ctx.rank(0) == 2, "expected a matrix, got shape ", ctx.dims(0));
    check(!(ctx.dims(0)[1] == Dim(0)), "there are no classes to choose from");
    ctx.set_output(0, dtype_, {ctx.dims(0)[0], samples_});
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t batches = ctx.shape(0)[0], classes = ctx.shape(0)[1];
    ctx.request_scratch(checked_mul(ctx.count(0), sizeof(double)));
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class P>() -> Step {
      return dispatch(TypeList<int32_t, int64_t>{}, dtype_, [&]<class T>() -> Step {
        return [=, samples = samples_, keys = &keys_](Frame& f) {
          const uint64_t key = keys->next();
          Checkpoint checkpoint;
          for (int64_t b = 0; b < batches; ++b) {
            double* sums = f.scratch<double>() + b * classes;
            accumulate(f.in<P>(0) + b * classes, classes, sums, checkpoint);
            T* y = f.out<T>(0) + b * samples;
            for (int64_t i = 0; i < samples; ++i) {
              checkpoint(kDrawWork);
              const double drawn = random_unit(key, b * samples + i) * sums[classes - 1];
              const auto at = std::upper_bound(sums, sums + classes, drawn) - sums;
              y[i] = static_cast<T>(std::min<int64_t>(at, classes - 1));
            }
          }
        };
      });
    });
  }

 private:
  // Running sums of the probabilities, of any scale, whose logarithms are given.
  template <class P>
  static void accumulate(const P* logs, int64_t classes, double* sums, Checkpoint& checkpoint) {
    double largest = static_cast<double>(logs[0]), sum = 0;
    for (int64_t c = 1; c < classes; ++c) largest = std::max(largest, static_cast<double>(logs[c]));
    for (int64_t c = 0; c < classes; ++c) {
      checkpoint(kClassWork);
      sum += std::exp(static_cast<double>(logs[c]) - largest);
      sums[c] = sum;
    }
  }

  // Nanoseconds that one class and one sample take, for checkpoints.
  static constexpr int64_t kClassWork = 10, kDrawWork = 50;

  DType dtype_;
  int64_t samples_;
  mutable KeySequence keys_;
};

}  // namespace

[[gnu::cold]] void register_random(OpRegistry& ops) {
  for (const char* name :
       {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"})
    ops.add<RandomTensor>(name, {.pure = false});
  ops.add<Bernoulli>("Bernoulli", {.since = 15, .pure = false});
  ops.add<Multinomial>("Multinomial", {.since = 7, .pure = false});
}

}  // namespace sdx::ops
