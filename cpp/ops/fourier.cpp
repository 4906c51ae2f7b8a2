// DFT and STFT, computed in float where that holds the elements, or else in double.
#include <algorithm>
#include <memory>
#include <optional>

#include "base/checked.h"
#include "ops/axes.h"
#include "ops/checks.h"
#include "ops/fourier_transform.h"
#include "ops/number_cast.h"

namespace sdx::ops {
namespace {

// Most parts the transforms of one step are cut into: each has its own scratch.
constexpr int64_t kMostParts = 32;

struct TransformKind {
  int64_t size = 0;
  bool complex_input = false, inverse = false, onesided = false;

  bool real_output() const { return inverse && onesided; }
};

Dim output_size(const Dim& size, bool inverse, bool onesided) {
  return onesided && !inverse ? floor_div(size, 2) + 1 : size;
}

// One line of values through a tensor: reals, or pairs of real and imaginary parts.
template <class T>
struct Line {
  T* data = nullptr;
  int64_t count = 0, stride = 0;  // both in values
};

// The transforms of one step, ready to run, in the arithmetic of U: the element's ComputeType.
template <class U>
class LineTransform {
 public:
  using Value = Complex<U>;

  explicit LineTransform(const TransformKind& kind) : kind_(kind) {
    if (kind.complex_input && !kind.onesided) {
      complex_.emplace(kind.size);
      scratch_ = checked_add(kind.size, complex_->work_count());
    } else {
      real_.emplace(kind.size);
      scratch_ = checked_add(kind.size + real_->bins(), real_->work_count());
    }
  }

  int64_t scratch_count() const { return scratch_; }
  const TransformKind& kind() const { return kind_; }

  // Values the line lacks are zeros, those it has too many are not read. The window may be null.
  template <class T>
  void run(const Line<const T>& x, const T* window, const Line<T>& y, Value* scratch) const {
    if (complex_)
      run_complex(x, window, y, scratch);
    else if (kind_.complex_input)
      run_to_real(x, y, scratch);
    else
      run_from_real(x, window, y, scratch);
  }

  double cost() const { return 12.0 * static_cast<double>(kind_.size) + 20; }

 private:
  template <class T>
  static U wide(T x) {
    return static_cast<U>(x);
  }
  template <class T>
  static Value load(const Line<const T>& x, int64_t i) {
    const T* pair = x.data + 2 * i * x.stride;
    return {wide(pair[0]), wide(pair[1])};
  }
  template <class T>
  static void store(const Line<T>& y, int64_t i, U re, U im) {
    T* pair = y.data + 2 * i * y.stride;
    pair[0] = number_cast<T>(re);
    pair[1] = number_cast<T>(im);
  }

  template <class T>
  void run_complex(const Line<const T>& x, const T* window, const Line<T>& y, Value* z) const {
    const int64_t n = kind_.size, given = std::min(n, x.count);
    for (int64_t i = 0; i < given; ++i) {
      const Value value = load(x, i);
      const U factor = window ? wide(window[i]) : 1;
      z[i] = {value.re * factor, value.im * factor};
      // An inverse transform is a forward one with real and imaginary parts exchanged.
      if (kind_.inverse) std::swap(z[i].re, z[i].im);
    }
    std::fill(z + given, z + n, Value{});
    const Value* result = complex_->run(z, z + n);
    const auto divisor = static_cast<U>(n);
    for (int64_t i = 0; i < n; ++i) {
      if (kind_.inverse)
        store(y, i, result[i].im / divisor, result[i].re / divisor);
      else
        store(y, i, result[i].re, result[i].im);
    }
  }

  template <class T>
  void run_from_real(const Line<const T>& x, const T* window, const Line<T>& y,
                     Value* scratch) const {
    const int64_t n = kind_.size, given = std::min(n, x.count);
    auto* signal = reinterpret_cast<U*>(scratch);
    for (int64_t i = 0; i < given; ++i)
      signal[i] = wide(x.data[i * x.stride]) * (window ? wide(window[i]) : 1);
    std::fill(signal + given, signal + n, U{0});
    Value* bins = scratch + n;
    real_->forward(signal, bins, bins + real_->bins());
    const U divisor = kind_.inverse ? static_cast<U>(n) : 1;
    for (int64_t k = 0; k < real_->bins(); ++k) {
      const Value bin = kind_.inverse ? conj(bins[k]) : bins[k];
      store(y, k, bin.re / divisor, bin.im / divisor);
      if (!kind_.onesided && k > 0 && k < n - k)
        store(y, n - k, bin.re / divisor, -bin.im / divisor);
    }
  }

  template <class T>
  void run_to_real(const Line<const T>& x, const Line<T>& y, Value* scratch) const {
    const int64_t n = kind_.size, bins = real_->bins(), given = std::min(bins, x.count);
    auto* signal = reinterpret_cast<U*>(scratch);
    Value* spectrum = scratch + n;
    for (int64_t i = 0; i < given; ++i) spectrum[i] = load(x, i);
    std::fill(spectrum + given, spectrum + bins, Value{});
    real_->inverse(spectrum, signal, spectrum + bins);
    const auto divisor = static_cast<U>(n);
    for (int64_t i = 0; i < n; ++i) y.data[i * y.stride] = number_cast<T>(signal[i] / divisor);
  }

  TransformKind kind_;
  std::optional<FourierTransform<U>> complex_;
  std::optional<RealFourierTransform<U>> real_;
  int64_t scratch_ = 0;
};

// A step that calls each(frame, transform, line number, scratch) for `lines` lines.
template <class U, class F>
Step line_step(PrepareContext& ctx, const TransformKind& kind, int64_t lines, F each) {
  if (lines == 0) return [](Frame&) {};
  auto transform = std::make_shared<const LineTransform<U>>(kind);
  Split split = split_work(lines, transform->cost());
  if (split.chunks > kMostParts) {
    split.step = (lines + kMostParts - 1) / kMostParts;
    split.chunks = (lines + split.step - 1) / split.step;
  }
  const int64_t scratch = transform->scratch_count();
  ctx.request_scratch(checked_mul(checked_mul(scratch, split.chunks), sizeof(Complex<U>)));
  return [=](Frame& f) {
    f.parallel_for({split.chunks, split.chunks}, [&](Range parts) {
      for (int64_t part = parts.begin; part < parts.end; ++part) {
        const Range r = split.chunk(part);
        for (int64_t i = r.begin; i < r.end; ++i)
          each(f, *transform, i, f.scratch<Complex<U>>() + part * scratch);
      }
    });
  };
}

// The element of an optional integer input: `fallback` where it is left out, unknown (and the node
// deferred) where nobody knows it yet.
Dim infer_scalar(InferContext& ctx, int i, std::string_view what, const Dim& fallback) {
  if (!ctx.has_input(i)) return fallback;
  check_indices(ctx, i);
  const Dim given = one_element(ctx, i, what);
  check(given.value_or(1) > 0, "a ", what, " of ", given);
  return given;
}

int64_t known_scalar(const PrepareContext& ctx, int i, std::string_view what) {
  const int64_t value = known_integers(ctx, i)[0];
  check(value > 0, "a ", what, " of ", value);
  return value;
}

// Whether the last axis holds reals (1) or complex pairs (2).
bool holds_pairs(int64_t last) {
  check(last == 1 || last == 2, "the last axis has size ", last,
        ", expected 1 (real) or 2 (complex)");
  return last == 2;
}

class DiscreteFourierTransform final : public Op {
 public:
  explicit DiscreteFourierTransform(const OpInit& init)
      : inverse_(init.attrs.get("inverse", 0) != 0),
        onesided_(init.attrs.get("onesided", 0) != 0),
        axis_is_input_(init.opset >= 20),
        axis_(axis_is_input_ ? -2 : init.attrs.get("axis", 1)) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(0);
    check(is_float(dtype), "expected a float input, got ", dtype);
    const Dim length = infer_scalar(ctx, 1, "dft_length", Dim::unknown());
    bool axis_known = true;
    int64_t axis = axis_;
    if (axis_is_input_ && ctx.has_input(2)) {
      check_indices(ctx, 2);
      if (const auto given = ctx.integers(2)) {
        check(given->size() == 1, "expected one axis, got ", given->size());
        axis = (*given)[0];
      } else {
        axis_known = false;
        ctx.defer();
      }
    }
    if (!ctx.has_rank(0)) return ctx.set_output(0, dtype);
    Dims dims = ctx.dims(0);
    check(dims.size() >= 2, "expected rank 2 or more, got ", dims.size());
    if (dims.back().is_known()) check_kind(holds_pairs(dims.back().value()));
    dims.back() = onesided_ && inverse_ ? 1 : 2;
    if (axis_known) {
      Dim& dim = dims[signal_axis(axis, dims.size())];
      Dim size = ctx.has_input(1) ? length : default_length(dim);
      check(size.value_or(1) > 0, "a transform of length ", size);
      dim = output_size(size, inverse_, onesided_);
    } else {
      std::fill(dims.begin(), dims.end() - 1, Dim::unknown());
    }
    ctx.set_output(0, dtype, std::move(dims));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape &shape = ctx.shape(0), &y_shape = ctx.output_shape(0);
    const int64_t given = axis_is_input_ && ctx.has_input(2) ? known_integers(ctx, 2)[0] : axis_;
    const std::size_t axis = signal_axis(given, shape.size());
    TransformKind kind{
        .complex_input = holds_pairs(shape.back()), .inverse = inverse_, .onesided = onesided_};
    check_kind(kind.complex_input);
    kind.size = ctx.has_input(1) ? known_scalar(ctx, 1, "dft_length")
                                 : default_length(Dim(shape[axis])).value();
    check(kind.size > 0, "a transform of length ", kind.size);
    int64_t outer = 1, inner = 1;
    for (std::size_t i = 0; i < axis; ++i) outer *= shape[i];
    for (std::size_t i = axis + 1; i + 1 < shape.size(); ++i) inner *= shape[i];
    const int64_t x_size = shape[axis], y_size = y_shape[axis];
    const int64_t x_width = shape.back(), y_width = y_shape.back();
    return dispatch(FloatTypes{}, ctx.dtype(0), [&]<class T>() -> Step {
      using U = ComputeType<T>;
      return line_step<U>(
          ctx, kind, outer * inner,
          [=](Frame& f, const LineTransform<U>& transform, int64_t i, Complex<U>* scratch) {
            const int64_t block = i / inner, offset = i % inner;
            transform.template run<T>(
                {f.in<T>(0) + (block * x_size * inner + offset) * x_width, x_size, inner}, nullptr,
                {f.out<T>(0) + (block * y_size * inner + offset) * y_width, y_size, inner},
                scratch);
          });
    });
  }

 private:
  static std::size_t signal_axis(int64_t axis, std::size_t rank) {
    const auto result = static_cast<std::size_t>(normalize_axis(axis, static_cast<int64_t>(rank)));
    check(result + 1 < rank, "axis ", axis, " is the last axis, of real and imaginary parts");
    return result;
  }
  Dim default_length(const Dim& dim) const {
    return inverse_ && onesided_ ? Dim(2) * (dim - Dim(1)) : dim;
  }
  void check_kind(bool complex_input) const {
    if (onesided_)
      check(complex_input == inverse_, "onesided transforms go from real to complex values, or ",
            "from complex to real ones with inverse");
  }

  bool inverse_, onesided_, axis_is_input_;
  int64_t axis_;
};

class ShortTimeFourierTransform final : public Op {
 public:
  explicit ShortTimeFourierTransform(const OpInit& init)
      : onesided_(init.attrs.get("onesided", 1) != 0) {}

  void infer(InferContext& ctx) const override {
    const DType dtype = ctx.dtype(kSignal);
    check(is_float(dtype), "expected a float input, got ", dtype);
    check_rank(ctx, kSignal, 3);
    check_rank(ctx, kWindow, 1);
    check(ctx.has_input(kFrameStep), "frame_step is missing");
    if (ctx.has_input(kWindow))
      check(ctx.dtype(kWindow) == dtype, "a signal of ", dtype, " with a window of ",
            ctx.dtype(kWindow));
    Dims signal = ctx.has_rank(kSignal) ? ctx.dims(kSignal) : unknown_dims(3);
    if (signal[2].is_known()) check_kind(holds_pairs(signal[2].value()));
    Dim fallback = signal[1];
    if (ctx.has_input(kWindow))
      fallback = ctx.has_rank(kWindow) ? ctx.dims(kWindow)[0] : Dim::unknown();
    const Dim step = infer_scalar(ctx, kFrameStep, "frame_step", Dim::unknown());
    const Dim length = infer_scalar(ctx, kFrameLength, "frame_length", fallback);
    check(may_equal(length, fallback) || !ctx.has_input(kWindow), "a window of size ", fallback,
          " for frames of ", length);
    check(length.value_or(1) > 0, "frames of length ", length);
    Dim frames = Dim::unknown();
    if (step.is_known()) frames = floor_div(signal[1] - length, step) + 1;
    check(frames.value_or(1) > 0, "frames of length ", length, " in a signal of ", signal[1]);
    ctx.set_output(0, dtype, {signal[0], frames, output_size(length, false, onesided_), 2});
  }

  Step prepare(PrepareContext& ctx) const override {
    const Shape& signal = ctx.shape(kSignal);
    const int64_t samples = signal[1], width = signal[2], frames = ctx.output_shape(0)[1];
    const int64_t step = known_scalar(ctx, kFrameStep, "frame_step");
    TransformKind kind{.size = samples, .complex_input = holds_pairs(width), .onesided = onesided_};
    check_kind(kind.complex_input);
    if (ctx.has_input(kWindow)) kind.size = ctx.shape(kWindow)[0];
    if (ctx.has_input(kFrameLength)) kind.size = known_scalar(ctx, kFrameLength, "frame_length");
    check(kind.size > 0 && kind.size <= samples, "frames of length ", kind.size, " in a signal of ",
          samples);
    if (ctx.has_input(kWindow))
      check(ctx.shape(kWindow)[0] == kind.size, "a window of size ", ctx.shape(kWindow)[0],
            " for frames of ", kind.size);
    const int64_t bins = ctx.output_shape(0)[2];
    return dispatch(FloatTypes{}, ctx.dtype(kSignal), [&]<class T>() -> Step {
      using U = ComputeType<T>;
      return line_step<U>(
          ctx, kind, signal[0] * frames,
          [=](Frame& f, const LineTransform<U>& transform, int64_t i, Complex<U>* scratch) {
            const int64_t first = i / frames * samples + i % frames * step;
            transform.template run<T>({f.in<T>(kSignal) + first * width, transform.kind().size, 1},
                                      f.in<T>(kWindow), {f.out<T>(0) + 2 * i * bins, bins, 1},
                                      scratch);
          });
    });
  }

 private:
  static constexpr int kSignal = 0, kFrameStep = 1, kWindow = 2, kFrameLength = 3;

  void check_kind(bool complex_input) const {
    check(!onesided_ || !complex_input, "the spectrum of a complex signal is not onesided");
  }

  bool onesided_;
};

}  // namespace

[[gnu::cold]] void register_fourier(OpRegistry& ops) {
  ops.add<DiscreteFourierTransform>("DFT", {.since = 17});
  ops.add<ShortTimeFourierTransform>("STFT", {.since = 17});
}

}  // namespace sdx::ops
