// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear; one scale for a tensor, an axis, or
// blocks along an axis.
#include "kernels/quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "base/error.h"
#include "ir/graph.h"
#include "ops/checks.h"
#include "ops/dynamic_quantize.h"
#include "ops/number_cast.h"
#include "ops/registry.h"
#include "ops/small_float.h"

namespace sdx::ops {
namespace {

enum class Granularity { tensor, axis, block };

// Which scale goes with which element: x seen as [outer, size, inner] around the axis.
struct ScaleMap {
  Granularity granularity = Granularity::tensor;
  int64_t outer = 1, size = 1, inner = 1;
  int64_t block = 1, blocks = 1;

  // Number of runs of elements that share a scale, and their length.
  int64_t runs() const {
    return granularity == Granularity::tensor ? 1
           : granularity == Granularity::axis ? outer * size
                                              : outer * size * inner;
  }
  int64_t run_length() const {
    return granularity == Granularity::tensor ? outer * size * inner
           : granularity == Granularity::axis ? inner
                                              : 1;
  }
  int64_t scale_of(int64_t run) const {
    if (granularity == Granularity::tensor) return 0;
    if (granularity == Granularity::axis) return run % size;
    const int64_t column = run % inner, at = run / inner % size, row = run / inner / size;
    return (row * blocks + at / block) * inner + column;
  }
};

struct QuantizeAttributes {
  explicit QuantizeAttributes(const OpInit& init)
      : axis(init.attrs.get("axis", 1)),
        block_size(init.attrs.get("block_size", 0)),
        output_dtype(read_dtype(init, "output_dtype")),
        precision(read_dtype(init, "precision")),
        saturate(init.attrs.get("saturate", 1) != 0) {
    check(block_size >= 0, "block_size is ", block_size);
  }

  void check_scale(const InferContext& ctx) const {
    const DType dtype = ctx.dtype(1);
    check(is_float(dtype) || dtype == DType::float8e8m0 || dtype == DType::int32, "the scale is ",
          dtype);
    if (!ctx.has_rank(1)) return;
    const Dims& scale = ctx.dims(1);
    if (ctx.has_input(2) && ctx.has_rank(2)) {
      const Dims& zero = ctx.dims(2);
      check((may_be_single(zero) && may_be_single(scale)) || may_equal(zero, scale),
            "the zero point has shape ", zero, ", the scale ", scale);
    }
    if (may_be_single(scale) || !ctx.has_rank(0)) return;
    const Dims& x = ctx.dims(0);
    const int64_t at = normalize_axis(axis, static_cast<int64_t>(x.size()));
    if (block_size == 0) {
      check(scale.size() == 1, "expected one scale, or one for each index of axis ", axis,
            ", got shape ", scale);
      check(!scale[0].is_known() || !x[at].is_known() || scale[0] == x[at], "scale has ", scale[0],
            " elements, axis ", axis, " has ", x[at]);
    } else {
      check(scale.size() == x.size(), "blocked scale of rank ", scale.size(), " for rank ",
            x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        const Dim wanted = static_cast<int64_t>(i) == at ? ceil_div(x[i], Dim(block_size)) : x[i];
        check(!scale[i].is_known() || !wanted.is_known() || scale[i] == wanted, "blocked scale ",
              scale, " does not fit ", x, " in blocks of ", block_size);
      }
    }
  }

  ScaleMap map(const Shape& x, const Shape& scale) const {
    ScaleMap result;
    if (scale.empty() || (scale.size() == 1 && scale[0] == 1)) {
      result.inner = element_count(x);
      return result;
    }
    const AxisSplit split = split_at(x, axis);
    result.granularity = block_size == 0 ? Granularity::axis : Granularity::block;
    result.outer = split.outer;
    result.size = split.size;
    result.inner = split.inner;
    if (block_size > 0) {
      result.block = block_size;
      result.blocks =
          scale[static_cast<std::size_t>(normalize_axis(axis, static_cast<int64_t>(x.size())))];
    }
    return result;
  }

  // One for the whole tensor, however written; what is not known yet is checked when it is.
  static bool may_be_single(const Dims& dims) {
    return dims.empty() || (dims.size() == 1 && dims[0].value_or(1) == 1);
  }

  static DType read_dtype(const OpInit& init, const char* name) {
    const int64_t number = init.attrs.get(name, 0);
    check(number == 0 || is_known_dtype(number), name, " is ", number);
    return static_cast<DType>(number);
  }

  int64_t axis, block_size;
  DType output_dtype, precision;  // undefined where not given
  bool saturate;
};

// Elements of any quantised type as numbers. Small floats by table.
double load_quantized(DType dtype, const void* data, int64_t i) {
  switch (dtype) {
    case DType::uint8:
    case DType::uint4:
    case DType::uint2:
      return static_cast<const uint8_t*>(data)[i];
    case DType::int8:
    case DType::int4:
    case DType::int2:
      return static_cast<const int8_t*>(data)[i];
    case DType::uint16:
      return static_cast<const uint16_t*>(data)[i];
    case DType::int16:
      return static_cast<const int16_t*>(data)[i];
    case DType::int32:
      return static_cast<const int32_t*>(data)[i];
    default:
      return small_float_values(dtype)[static_cast<const uint8_t*>(data)[i]];
  }
}

bool is_quantized(DType dtype) {
  const bool wide = dtype == DType::uint32 || dtype == DType::uint64 || dtype == DType::int64;
  return (is_integer(dtype) && !wide) || is_small_float(dtype);
}

double load_scale(DType dtype, const void* scales, int64_t i) {
  switch (dtype) {
    case DType::float32:
      return static_cast<const float*>(scales)[i];
    case DType::float64:
      return static_cast<const double*>(scales)[i];
    case DType::float16:
      return static_cast<float>(static_cast<const Half*>(scales)[i]);
    case DType::bfloat16:
      return static_cast<float>(static_cast<const BFloat16*>(scales)[i]);
    case DType::int32:
      return static_cast<const int32_t*>(scales)[i];
    default:
      return small_float_values(dtype)[static_cast<const uint8_t*>(scales)[i]];
  }
}

// A quotient as it comes out of a division in that type.
double rounded(double quotient, DType precision) {
  if (precision == DType::float64) return quotient;
  if (precision == DType::float16) return static_cast<float>(number_cast<Half>(quotient));
  if (precision == DType::bfloat16) return static_cast<float>(number_cast<BFloat16>(quotient));
  return static_cast<float>(quotient);
}

struct IntegerRange {
  int32_t low, high;
};

IntegerRange integer_range(DType dtype) {
  switch (dtype) {
    case DType::uint8:
      return {0, 255};
    case DType::int8:
      return {-128, 127};
    case DType::uint16:
      return {0, 65535};
    case DType::int16:
      return {-32768, 32767};
    case DType::uint4:
      return {0, 15};
    case DType::int4:
      return {-8, 7};
    case DType::uint2:
      return {0, 3};
    case DType::int2:
      return {-2, 1};
    default:
      fail(ErrorKind::unsupported, "quantisation to ", dtype, " is not supported");
  }
}

using FloatOrInt = TypeList<float, double, Half, BFloat16, int32_t>;

class QuantizeLinear final : public Op {
 public:
  explicit QuantizeLinear(const OpInit& init) : attrs_(init) {}

  void infer(InferContext& ctx) const override {
    attrs_.check_scale(ctx);
    DType dtype = DType::uint8;
    if (ctx.has_input(2))
      dtype = ctx.dtype(2);
    else if (attrs_.output_dtype != DType::undefined)
      dtype = attrs_.output_dtype;
    check(is_quantized(dtype), "quantisation to ", dtype, " is not defined");
    Type type = ctx.input(0);
    type.dtype = dtype;
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    const ScaleMap map = attrs_.map(ctx.shape(0), ctx.shape(1));
    const DType from = ctx.dtype(0), to = ctx.output_dtype(0), scale_type = ctx.dtype(1);
    const bool has_zero = ctx.has_input(2);
    if (from == DType::float32 && scale_type == DType::float32 &&
        (to == DType::uint8 || to == DType::int8) && map.granularity != Granularity::block)
      return to == DType::uint8 ? fast<uint8_t>(kernels::quantize_u8.resolve(), map, has_zero)
                                : fast<int8_t>(kernels::quantize_s8.resolve(), map, has_zero);
    const bool small = is_small_float(to);
    const DType precision = attrs_.precision == DType::undefined ? scale_type : attrs_.precision;
    const IntegerRange range = small ? IntegerRange{0, 0} : integer_range(to);
    return dispatch(FloatOrInt{}, from, [&]<class T>() -> Step {
      return [=, saturate = attrs_.saturate](Frame& f) {
        const T* x = f.in<T>(0);
        const void* scales = f.in<std::byte>(1);
        const void* zeros = has_zero ? f.in<std::byte>(2) : nullptr;
        const int64_t length = map.run_length();
        f.parallel_for(split_work(map.runs() * length, 3.0), [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i) {
            const int64_t s = map.scale_of(i / length);
            const double ratio = rounded(static_cast<double>(static_cast<ComputeType<T>>(x[i])) /
                                             load_scale(scale_type, scales, s),
                                         precision);
            const double zero = zeros ? load_quantized(to, zeros, s) : 0.0;
            if (small) {
              f.out<uint8_t>(0)[i] =
                  to_small_float(ratio + zero, to, saturate, SmallFloatMode::nearest);
              continue;
            }
            store(to, f.out<std::byte>(0), i, range, std::nearbyint(ratio) + zero);
          }
        });
      };
    });
  }

 private:
  static void store(DType to, void* y, int64_t i, IntegerRange range, double value) {
    // NaN is stored as the lowest value.
    const double clamped = value > range.high ? range.high : value >= range.low ? value : range.low;
    const auto code = static_cast<int32_t>(clamped);
    if (to == DType::uint16 || to == DType::int16)
      static_cast<uint16_t*>(y)[i] = static_cast<uint16_t>(code);
    else
      static_cast<uint8_t*>(y)[i] = static_cast<uint8_t>(code);
  }

  template <class T, class Kernel>
  static Step fast(Kernel* run, const ScaleMap& map, bool has_zero) {
    return [=](Frame& f) {
      const float *x = f.in<float>(0), *scale = f.in<float>(1);
      const T* zero = has_zero ? f.in<T>(2) : nullptr;
      T* y = f.out<T>(0);
      const auto one = [&](int64_t begin, int64_t end, int64_t s) {
        run(x + begin, y + begin, static_cast<std::size_t>(end - begin), scale[s],
            zero ? zero[s] : 0);
      };
      if (map.granularity == Granularity::tensor) {
        f.parallel_for(split_work(map.run_length(), 0.3, 64),
                       [&](Range r) { one(r.begin, r.end, 0); });
        return;
      }
      const int64_t length = map.run_length();
      f.parallel_for(split_work(map.runs(), 5.0 + 0.3 * static_cast<double>(length)), [&](Range r) {
        for (int64_t run_index = r.begin; run_index < r.end; ++run_index)
          one(run_index * length, (run_index + 1) * length, map.scale_of(run_index));
      });
    };
  }

  QuantizeAttributes attrs_;
};

class DequantizeLinear final : public Op {
 public:
  explicit DequantizeLinear(const OpInit& init) : attrs_(init) {}

  void infer(InferContext& ctx) const override {
    attrs_.check_scale(ctx);
    if (ctx.has_input(2))
      check(ctx.dtype(2) == ctx.dtype(0), "the zero point is ", ctx.dtype(2), ", the input ",
            ctx.dtype(0));
    check(is_quantized(ctx.dtype(0)), "the input is ", ctx.dtype(0), ", not quantised");
    Type type = ctx.input(0);
    type.dtype = attrs_.output_dtype != DType::undefined ? attrs_.output_dtype : ctx.dtype(1);
    ctx.set_output(0, std::move(type));
  }

  Step prepare(PrepareContext& ctx) const override {
    const ScaleMap map = attrs_.map(ctx.shape(0), ctx.shape(1));
    const DType from = ctx.dtype(0), scale_type = ctx.dtype(1);
    const bool has_zero = ctx.has_input(2);
    if (ctx.output_dtype(0) == DType::float32 && scale_type == DType::float32 &&
        map.granularity != Granularity::block) {
      if (from == DType::uint8)
        return fast<uint8_t>(kernels::dequantize_u8.resolve(), map, has_zero);
      if (from == DType::int8) return fast<int8_t>(kernels::dequantize_s8.resolve(), map, has_zero);
      if (from == DType::int32)
        return fast<int32_t>(kernels::dequantize_s32.resolve(), map, has_zero);
    }
    return dispatch(FloatTypes{}, ctx.output_dtype(0), [&]<class T>() -> Step {
      return [=](Frame& f) {
        const void* x = f.in<std::byte>(0);
        const void* scales = f.in<std::byte>(1);
        const void* zeros = has_zero ? f.in<std::byte>(2) : nullptr;
        T* y = f.out<T>(0);
        const int64_t length = map.run_length();
        f.parallel_for(split_work(map.runs() * length, 3.0), [&](Range r) {
          for (int64_t i = r.begin; i < r.end; ++i) {
            const int64_t s = map.scale_of(i / length);
            const double zero = zeros ? load_quantized(from, zeros, s) : 0.0;
            const double difference = load_quantized(from, x, i) - zero;
            y[i] = number_cast<T>(difference * load_scale(scale_type, scales, s));
          }
        });
      };
    });
  }

 private:
  template <class T, class Kernel>
  static Step fast(Kernel* run, const ScaleMap& map, bool has_zero) {
    return [=](Frame& f) {
      const T* x = f.in<T>(0);
      const float* scale = f.in<float>(1);
      const T* zero = has_zero ? f.in<T>(2) : nullptr;
      float* y = f.out<float>(0);
      const int64_t length = map.run_length();
      if (map.granularity == Granularity::tensor) {
        f.parallel_for(split_work(length, 0.2, 64), [&](Range r) {
          run(x + r.begin, y + r.begin, static_cast<std::size_t>(r.size()), scale[0],
              zero ? zero[0] : 0);
        });
        return;
      }
      f.parallel_for(split_work(map.runs(), 5.0 + 0.2 * static_cast<double>(length)), [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int64_t s = map.scale_of(i);
          run(x + i * length, y + i * length, static_cast<std::size_t>(length), scale[s],
              zero ? zero[s] : 0);
        }
      });
    };
  }

  QuantizeAttributes attrs_;
};

class DynamicQuantizeLinear final : public Op {
 public:
  explicit DynamicQuantizeLinear(const OpInit&) {}

  void infer(InferContext& ctx) const override {
    check(ctx.dtype(0) == DType::float32, "expected float32, got ", ctx.dtype(0));
    Type type = ctx.input(0);
    type.dtype = DType::uint8;
    ctx.set_output(0, std::move(type));
    ctx.set_output(1, DType::float32, {});
    ctx.set_output(2, DType::uint8, {});
  }

  Step prepare(PrepareContext& ctx) const override {
    const int64_t count = ctx.count(0);
    ctx.request_scratch(dynamic_quantize_scratch(count));
    return [=](Frame& f) {
      const DynamicScale found =
          dynamic_quantize(f, f.in<float>(0), count, f.out<uint8_t>(0), f.scratch());
      if (f.wants_output(1)) *f.out<float>(1) = found.scale;
      if (f.wants_output(2)) *f.out<uint8_t>(2) = static_cast<uint8_t>(found.zero_point);
    };
  }
};

}  // namespace

[[gnu::cold]] void register_quantize(OpRegistry& ops) {
  ops.add<QuantizeLinear>("QuantizeLinear", {.since = 10});
  ops.add<DequantizeLinear>("DequantizeLinear", {.since = 10});
  ops.add<DynamicQuantizeLinear>("DynamicQuantizeLinear", {.since = 11});
  ops.add<QuantizeLinear>("QuantizeLinear", {.since = 1}, "com.microsoft");
  ops.add<DequantizeLinear>("DequantizeLinear", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
