// com.microsoft GatherBlockQuantized: rows of a table of narrow integers or floats in blocks, each
// with a scale and a zero point, back to floats.
#include <bit>

#include "base/error.h"
#include "ops/axes.h"
#include "ops/checks.h"
#include "ops/number_cast.h"
#include "ops/registry.h"
#include "ops/small_float.h"

namespace sdx::ops {
namespace {

constexpr int kData = 0, kIndices = 1, kScales = 2, kZeros = 3;

// Every size a number: the table as rows along its last axis.
struct Table {
  int64_t outer = 1, size = 1, inner_rows = 1;  // around the axis to gather along
  int64_t row = 1;                              // elements gathered of one row
  int64_t first = 0;                            // 1: the axis to gather along is the last
  int64_t stored_row = 1;                       // items of `data` in a row
  int64_t block = 1;
  bool quantized_last = false;
  // Where a row's scale lies: for every axis but the last, rows below it, its size, what it is
  // divided by, and the stride among scales.
  struct Axis {
    int64_t below, size, divisor, stride;
  };
  std::vector<Axis> axes;
  int64_t scale_row = 1, scale_step = 1, zero_row = 1;
};

// What the items of `data` mean.
template <class T>
struct Codes {
  int bits;              // of a code in an item
  const float* meaning;  // of small floats; null for integers

  int64_t per_item() const { return 8 / bits; }
  float at(const T* items, int64_t i) const {
    if (meaning) return meaning[static_cast<uint8_t>(items[i])];
    if (bits == 8) return static_cast<float>(items[i]);
    const int shift = static_cast<int>(i % per_item()) * bits;
    return static_cast<float>(items[i / per_item()] >> shift & ((1 << bits) - 1));
  }
};

class GatherBlockQuantized final : public Op {
 public:
  explicit GatherBlockQuantized(const OpInit& init)
      : gather_axis_(init.attrs.get("gather_axis", 0)),
        quantize_axis_(init.attrs.get("quantize_axis", 1)),
        block_(init.attrs.get("block_size", 128)),
        bits_(init.attrs.get("bits", 4)) {
    check(block_ == 0 || (block_ >= 16 && std::has_single_bit(static_cast<uint64_t>(block_))),
          "block_size is ", block_);
    check(bits_ == 2 || bits_ == 4 || bits_ == 8, "bits is ", bits_);
  }

  void infer(InferContext& ctx) const override {
    const DType stored = ctx.dtype(kData), dtype = ctx.dtype(kScales);
    check(stored == DType::uint8 || stored == DType::uint4 || stored == DType::int4 ||
              is_small_float(stored),
          "data is ", stored);
    check(dtype == DType::float32 || dtype == DType::float16 || dtype == DType::bfloat16,
          "scales are ", dtype);
    check(block_ > 0 || is_small_float(stored), "block_size is 0 for ", stored);
    check_indices(ctx, kIndices);
    if (ctx.has_input(kZeros)) {
      check(!is_small_float(stored), "zero_points go with integers, not with ", stored);
      check(ctx.dtype(kZeros) == stored, "zero_points are ", ctx.dtype(kZeros), ", not ", stored);
    }
    if (!ctx.has_rank(kData) || !ctx.has_rank(kIndices)) return ctx.set_output(0, dtype);
    Dims table = ctx.dims(kData);
    check(!table.empty(), "data is a scalar");
    const int64_t axis = normalize_axis(gather_axis_, ctx.rank(kData));
    const int64_t quantized = normalize_axis(quantize_axis_, ctx.rank(kData));
    if (stored == DType::uint8) {
      check(axis == 0 && quantized != 0, "gather_axis ", axis, " and quantize_axis ", quantized,
            " of uint8 data");
      table.back() = table.back() * Dim(8 / bits_);
    }
    check_rank(ctx, kScales, ctx.rank(kData));
    check_rank(ctx, kZeros, ctx.rank(kData));
    const Dims& picks = ctx.dims(kIndices);
    Dims dims(table.begin(), table.begin() + axis);
    dims.insert(dims.end(), picks.begin(), picks.end());
    dims.insert(dims.end(), table.begin() + axis + 1, table.end());
    ctx.set_output(0, dtype, std::move(dims));
  }

  Traffic traffic(const PrepareContext& ctx) const override { return ctx.bytes_without(kData); }

  Step prepare(PrepareContext& ctx) const override {
    const DType stored = ctx.dtype(kData);
    const Table table = table_of(ctx);
    const float* meaning = is_small_float(stored) ? small_float_values(stored) : nullptr;
    const int bits = stored == DType::uint8 ? static_cast<int>(bits_) : 8;
    const float middle = stored == DType::uint8 ? static_cast<float>(1 << (bits - 1)) : 0.0f;
    const int64_t picks = ctx.count(kIndices);
    const bool wide = ctx.dtype(kIndices) == DType::int64;
    return dispatch(TypeList<float, Half, BFloat16>{}, ctx.dtype(kScales), [&]<class T>() -> Step {
      if (stored == DType::int4)
        return step<T>(table, Codes<int8_t>{bits, meaning}, middle, picks, wide);
      return step<T>(table, Codes<uint8_t>{bits, meaning}, middle, picks, wide);
    });
  }

 private:
  Table table_of(const PrepareContext& ctx) const {
    Shape shape = ctx.shape(kData);
    const auto rank = static_cast<int64_t>(shape.size());
    const int64_t axis = normalize_axis(gather_axis_, rank), last = rank - 1;
    const int64_t quantized = normalize_axis(quantize_axis_, rank);
    Table t;
    t.stored_row = shape.back();
    const int64_t bits = ctx.dtype(kData) == DType::uint8 ? bits_ : 8;
    shape.back() *= 8 / bits;
    t.block = block_ > 0 ? block_ : std::max<int64_t>(shape[quantized], 1);
    t.quantized_last = quantized == last;
    const Shape& scales = ctx.shape(kScales);
    check(scales.size() == shape.size(), "scales of shape ", scales, " for data of rank ", rank);
    const bool spreads = is_small_float(ctx.dtype(kData));
    for (int64_t i = 0; i < rank; ++i) {
      const int64_t wanted = i == quantized ? (shape[i] + t.block - 1) / t.block : shape[i];
      check(scales[i] == wanted || (spreads && i != quantized && scales[i] == 1),
            "scales of shape ", scales, " for data of shape ", shape, " in blocks of ", t.block);
    }
    t.scale_row = scales.back();
    t.zero_row = (t.scale_row * bits + 7) / 8;
    if (ctx.has_input(kZeros)) {
      Shape zeros = scales;
      zeros.back() = t.zero_row;
      check(ctx.shape(kZeros) == zeros, "zero_points of shape ", ctx.shape(kZeros), ", expected ",
            zeros);
    }
    t.scale_step = scales.back() == 1 && quantized != last ? 0 : 1;
    int64_t below = 1, stride = 1;
    for (int64_t i = last; i-- > 0;) {
      const bool shared = scales[i] == 1 && i != quantized;
      t.axes.push_back({below, shape[i], i == quantized ? t.block : 1, shared ? 0 : stride});
      below *= shape[i];
      stride *= scales[i];
    }
    t.size = shape[axis];
    for (int64_t i = 0; i < axis; ++i) t.outer *= shape[i];
    for (int64_t i = axis + 1; i < last; ++i) t.inner_rows *= shape[i];
    t.first = axis == last ? 1 : 0;
    t.row = axis == last ? 1 : shape.back();
    return t;
  }

  template <class T, class Item>
  static Step step(const Table& t, const Codes<Item>& codes, float middle, int64_t picks,
                   bool wide) {
    return [=](Frame& f) {
      const Indices indices(f, kIndices, wide);
      const auto* zeros = f.in<Item>(kZeros);
      const auto gather = [&](int64_t row, int64_t begin, T* y) {
        int64_t scale_row = 0;
        for (const Table::Axis& axis : t.axes)
          scale_row += row / axis.below % axis.size / axis.divisor * axis.stride;
        const T* scales = f.in<T>(kScales) + scale_row * t.scale_row;
        const Item* zero = zeros ? zeros + scale_row * t.zero_row : nullptr;
        const Item* items = f.in<Item>(kData) + row * t.stored_row;
        for (int64_t c = begin; c < begin + t.row;) {
          const int64_t at = t.quantized_last ? c / t.block : c * t.scale_step;
          const int64_t end =
              std::min(begin + t.row, t.quantized_last ? (at + 1) * t.block : c + 1);
          const float offset = zero ? codes.at(zero, at) : middle;
          const auto scale = static_cast<float>(scales[at]);
          for (; c < end; ++c) *y++ = number_cast<T>((codes.at(items, c) - offset) * scale);
        }
      };
      const double cost = 5.0 + 1.5 * static_cast<double>(t.row);
      f.parallel_for(split_work(t.outer * picks * t.inner_rows, cost), [&](Range r) {
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int64_t inner = i % t.inner_rows, pick = i / t.inner_rows % picks;
          const int64_t outer = i / t.inner_rows / picks;
          T* y = f.out<T>(0) + i * t.row;
          int64_t at = indices[pick];
          if (at < 0) at += t.size;
          if (at < 0 || at >= t.size)
            std::fill_n(y, t.row, T{});
          else if (t.first)
            gather(outer, at, y);
          else
            gather((outer * t.size + at) * t.inner_rows + inner, 0, y);
        }
      });
    };
  }

  int64_t gather_axis_, quantize_axis_, block_, bits_;
};

}  // namespace

[[gnu::cold]] void register_gather_block_quantized(OpRegistry& ops) {
  ops.add<GatherBlockQuantized>("GatherBlockQuantized", {.since = 1}, "com.microsoft");
}

}  // namespace sdx::ops
