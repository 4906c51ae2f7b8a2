// One step of a gradient descent: Adagrad, Adam, Momentum (ai.onnx.preview.training).
#include <cmath>

#include "base/checked.h"
#include "ops/axes.h"
#include "ops/checks.h"

namespace sdx::ops {
namespace {

// Inputs are R (learning rate), T (steps done), then for n tensors: all X, all gradients, all first
// states and, for Adam, all second states. Outputs are the new X and states in that order.
enum class Method : uint8_t { adagrad, adam, momentum, nesterov };

Method method_of(const OpInit& init) {
  if (init.type == "Adagrad") return Method::adagrad;
  if (init.type == "Adam") return Method::adam;
  const auto mode = init.attrs.require<std::string>("mode");
  check(mode == "standard" || mode == "nesterov", "mode is '", mode,
        "', expected 'standard' or 'nesterov'");
  return mode == "standard" ? Method::momentum : Method::nesterov;
}

struct Coefficients {
  double norm, norm_post, alpha, beta, decay, epsilon;
};

// The elements of one tensor and its states; what a method does not have is null.
template <class T>
struct Slot {
  const T *x, *gradient, *first, *second;
  T *new_x, *new_first, *new_second;
};

template <class T>
void update(Method method, const Coefficients& c, double rate, int64_t steps, const Slot<T>& s,
            Range r) {
  switch (method) {
    case Method::adagrad: {
      const double scaled = rate / (1 + static_cast<double>(steps) * c.decay);
      for (int64_t i = r.begin; i < r.end; ++i) {
        const double g = c.norm * s.x[i] + s.gradient[i];
        const double h = s.first[i] + g * g;
        s.new_x[i] = static_cast<T>(s.x[i] - scaled * g / (std::sqrt(h) + c.epsilon));
        s.new_first[i] = static_cast<T>(h);
      }
      return;
    }
    case Method::adam: {
      const auto t = static_cast<double>(steps);
      const double scaled =
          steps > 0 ? rate * std::sqrt(1 - std::pow(c.beta, t)) / (1 - std::pow(c.alpha, t)) : rate;
      for (int64_t i = r.begin; i < r.end; ++i) {
        const double g = c.norm * s.x[i] + s.gradient[i];
        const double v = c.alpha * s.first[i] + (1 - c.alpha) * g;
        const double h = c.beta * s.second[i] + (1 - c.beta) * g * g;
        const double x = s.x[i] - scaled * v / (std::sqrt(h) + c.epsilon);
        s.new_x[i] = static_cast<T>((1 - c.norm_post) * x);
        s.new_first[i] = static_cast<T>(v);
        s.new_second[i] = static_cast<T>(h);
      }
      return;
    }
    case Method::momentum:
    case Method::nesterov: {
      const double beta = steps > 0 ? c.beta : 1;
      for (int64_t i = r.begin; i < r.end; ++i) {
        const double g = c.norm * s.x[i] + s.gradient[i];
        const double v = c.alpha * s.first[i] + beta * g;
        const double direction = method == Method::momentum ? v : g + c.alpha * v;
        s.new_x[i] = static_cast<T>(s.x[i] - rate * direction);
        s.new_first[i] = static_cast<T>(v);
      }
      return;
    }
  }
}

class Optimizer final : public Op {
 public:
  explicit Optimizer(const OpInit& init)
      : method_(method_of(init)), groups_(method_ == Method::adam ? 4 : 3) {
    const bool adam = method_ == Method::adam;
    const bool momentum = method_ == Method::momentum || method_ == Method::nesterov;
    const auto number = [&](const char* name, bool required, float otherwise) -> double {
      return required ? init.attrs.require<float>(name) : init.attrs.get(name, otherwise);
    };
    coefficients_ = {.norm = number("norm_coefficient", momentum, 0),
                     .norm_post = number("norm_coefficient_post", false, 0),
                     .alpha = number("alpha", momentum, 0.9F),
                     .beta = number("beta", momentum, 0.999F),
                     .decay = number("decay_factor", false, 0),
                     .epsilon = number("epsilon", false, 1e-6F)};
    const int given = init.input_count - kFirst;
    check(given > 0 && given % groups_ == 0, "expected a learning rate, a step count and ", groups_,
          " inputs for each tensor, got ", init.input_count, " inputs");
    tensors_ = given / groups_;
    const int expected = tensors_ * (adam ? 3 : 2);
    check(init.output_count <= expected, "expected ", expected, " outputs, got ",
          init.output_count);
  }

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::float32 || ctx.dtype(0) == DType::float64, "the learning rate is ",
          ctx.dtype(0), ", expected float32 or float64");
    check(ctx.dtype(1) == DType::int64, "the step count is ", ctx.dtype(1), ", expected int64");
    for (int i = 0; i < 2; ++i)
      if (ctx.has_rank(i))
        check(may_equal(product(ctx.dims(i)), 1), "input ", i, " has shape ", ctx.dims(i),
              ", expected one element");
    for (int n = 0; n < tensors_; ++n) {
      const DType dtype = ctx.dtype(kFirst + n);
      check(dtype == DType::float32 || dtype == DType::float64, "tensor ", n, " is ", dtype,
            ", expected float32 or float64");
      for (int group = 1; group < groups_; ++group) {
        const int i = kFirst + group * tensors_ + n;
        check(ctx.dtype(i) == dtype, "element types differ: ", dtype, " and ", ctx.dtype(i));
        if (ctx.has_rank(i) && ctx.has_rank(kFirst + n))
          check(may_equal(ctx.dims(i), ctx.dims(kFirst + n)),
                "shapes differ: ", ctx.dims(kFirst + n), " and ", ctx.dims(i));
      }
      for (int out = n; out < ctx.output_count(); out += tensors_)
        if (ctx.wants_output(out)) ctx.set_output(out, ctx.input(kFirst + n));
    }
  }

  Step prepare(PrepareContext& ctx) const override {
    // Outputs left out are written to scratch.
    int64_t spare = 0;
    for (int n = 0; n < tensors_; ++n) spare = std::max(spare, ctx.count(kFirst + n));
    ctx.request_scratch(checked_mul(spare, sizeof(double)));
    std::vector<Part> parts;
    for (int n = 0; n < tensors_; ++n)
      parts.push_back(
          {split_work(ctx.count(kFirst + n), 8, 16), ctx.dtype(kFirst + n) == DType::float64});
    return [this, parts, wide_rate = ctx.dtype(0) == DType::float64](Frame& f) {
      const double rate = wide_rate ? *f.in<double>(0) : *f.in<float>(0);
      for (int n = 0; n < tensors_; ++n) {
        const Part& part = parts[static_cast<std::size_t>(n)];
        part.wide ? run<double>(f, n, part.split, rate) : run<float>(f, n, part.split, rate);
      }
    };
  }

 private:
  static constexpr int kFirst = 2;

  struct Part {
    Split split;
    bool wide;
  };

  template <class T>
  void run(Frame& f, int n, const Split& split, double rate) const {
    const auto in = [&](int group) { return f.in<T>(kFirst + group * tensors_ + n); };
    const auto out = [&](int group) {
      const int i = group * tensors_ + n;
      return f.wants_output(i) ? f.out<T>(i) : f.scratch<T>();
    };
    const bool adam = method_ == Method::adam;
    const Slot<T> slot{
        in(0), in(1), in(2), adam ? in(3) : nullptr, out(0), out(1), adam ? out(2) : nullptr};
    f.parallel_for(
        split, [&](Range r) { update(method_, coefficients_, rate, *f.in<int64_t>(1), slot, r); });
  }

  Method method_;
  int groups_;  // of inputs: X, gradients, states
  Coefficients coefficients_{};
  int tensors_ = 0;
};

}  // namespace

[[gnu::cold]] void register_optimizer(OpRegistry& ops) {
  for (const char* name : {"Adagrad", "Adam", "Momentum"})
    ops.add<Optimizer>(name, {}, "ai.onnx.preview.training");
}

}  // namespace sdx::ops
