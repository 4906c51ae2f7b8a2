// Softmax, LogSoftmax, Hardmax.
#include "kernels/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/binary.h"
#include "kernels/reduce.h"
#include "kernels/unary.h"
#include "ops/broadcast.h"
#include "ops/checkpoint.h"
#include "ops/float32_adapter.h"
#include "ops/half_block.h"

namespace sdx::ops {
namespace {

// [outer, size, inner], normalised along the middle.
using Block = AxisSplit;

// Softmax down `size` rows that lie `stride` apart, for n columns next to each other.
class ColumnSoftmax {
 public:
  explicit ColumnSoftmax(bool log) : log_(log) {}

  static constexpr int64_t kTile = 256;

  void operator()(const float* x, float* y, int64_t size, int64_t stride, std::size_t n) const {
    float largest[kTile], total[kTile], terms[kTile];
    max_(x, static_cast<std::size_t>(stride), largest, static_cast<std::size_t>(size), n);
    std::fill_n(total, n, 0.0F);
    for (int64_t k = 0; k < size; ++k) {
      float* row = y + k * stride;
      subtract_(x + k * stride, 1, largest, 1, row, n);
      float* exponentials = log_ ? terms : row;
      exp_(row, exponentials, n, 0, 0);
      add_(total, 1, exponentials, 1, total, n);
    }
    if (log_) logarithm_(total, total, n, 0, 0);
    const auto normalize = log_ ? subtract_ : divide_;
    for (int64_t k = 0; k < size; ++k) normalize(y + k * stride, 1, total, 1, y + k * stride, n);
  }

 private:
  bool log_;
  kernels::ReduceColumns* max_ = kernels::reduce_max_columns.resolve();
  kernels::BinaryF32* subtract_ = kernels::binary_sub.resolve();
  kernels::BinaryF32* add_ = kernels::binary_add.resolve();
  kernels::BinaryF32* divide_ = kernels::binary_div.resolve();
  kernels::UnaryF32* exp_ = kernels::unary_exp.resolve();
  kernels::UnaryF32* logarithm_ = kernels::unary_log.resolve();
};

Step float_softmax(const Block& block, bool log) {
  if (block.inner == 1) {
    const auto rows = log ? kernels::log_softmax_rows.resolve() : kernels::softmax_rows.resolve();
    return [rows, cols = block.size,
            split = split_work(block.outer, 1.0 * static_cast<double>(block.size) + 5)](Frame& f) {
      f.parallel_for(split, [&](Range r) {
        rows(f.in<float>(0) + r.begin * cols, f.out<float>(0) + r.begin * cols,
             static_cast<std::size_t>(r.size()), static_cast<std::size_t>(cols));
      });
    };
  }
  static constexpr int64_t kTile = ColumnSoftmax::kTile;
  const int64_t tiles = (block.inner + kTile - 1) / kTile;
  const double cost = 1.5 * static_cast<double>(block.size * std::min(kTile, block.inner)) + 20;
  return [block, tiles, softmax = ColumnSoftmax(log),
          split = split_work(block.outer * tiles, cost)](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t column = i % tiles * kTile;
        const int64_t first = i / tiles * block.size * block.inner + column;
        softmax(f.in<float>(0) + first, f.out<float>(0) + first, block.size, block.inner,
                static_cast<std::size_t>(std::min(kTile, block.inner - column)));
      }
    });
  };
}

// Calls visit(k) for every position of a line.
template <class Visit>
void each_item(int64_t size, Watch& watch, Visit visit) {
  constexpr int64_t kBlock = 1 << 12, kItemWork = 10;
  for (int64_t begin = 0; begin < size && !watch.over(kBlock * kItemWork); begin += kBlock)
    for (int64_t k = begin, end = std::min(size, begin + kBlock); k < end; ++k) visit(k);
}

void softmax_line(const double* x, double* y, int64_t size, int64_t stride, bool log,
                  Watch& watch) {
  double largest = -std::numeric_limits<double>::infinity(), total = 0;
  each_item(size, watch, [&](int64_t k) {
    largest = x[k * stride] > largest || std::isnan(x[k * stride]) ? x[k * stride] : largest;
  });
  each_item(size, watch, [&](int64_t k) {
    const double term = std::exp(x[k * stride] - largest);
    y[k * stride] = log ? x[k * stride] - largest : term;
    total += term;
  });
  const double log_total = std::log(total);
  each_item(size, watch, [&](int64_t k) {
    y[k * stride] = log ? y[k * stride] - log_total : y[k * stride] / total;
  });
}

// 1 where the largest item of a line first stands; a NaN is the largest.
template <class T>
void hardmax_line(const T* x, T* y, int64_t size, int64_t stride, Watch& watch) {
  int64_t best = 0;
  each_item(size, watch, [&](int64_t k) {
    const T item = x[k * stride], largest = x[best * stride];
    if (largest == largest && (item > largest || item != item)) best = k;
  });
  each_item(size, watch, [&](int64_t k) { y[k * stride] = T(k == best); });
}

// The same of contiguous rows.
Step hardmax_rows(const Block& block) {
  return [block, run = kernels::argmax_rows.resolve(),
          split = split_work(block.outer, 0.3 * static_cast<double>(block.size) + 5)](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      constexpr int64_t kRows = 64;
      int64_t places[kRows];
      for (int64_t row = r.begin; row < r.end; row += kRows) {
        const int64_t n = std::min(kRows, r.end - row);
        float* y = f.out<float>(0) + row * block.size;
        run(f.in<float>(0) + row * block.size, places, static_cast<std::size_t>(n),
            static_cast<std::size_t>(block.size), kernels::ArgTie::first);
        std::fill_n(y, n * block.size, 0.0f);
        for (int64_t i = 0; i < n; ++i) y[i * block.size + places[i]] = 1;
      }
    });
  };
}

// line(x, y, size, stride, watch) for every line of the block.
template <class T, class Line>
Step each_line(const Block& block, double cost, Line line) {
  return [block, line,
          split = split_work(block.outer * block.inner, cost * static_cast<double>(block.size) + 5,
                             16)](Frame& f) {
    f.parallel_for(split, [&](Range r) {
      Watch watch(f);
      for (int64_t i = r.begin; i < r.end; ++i) {
        const int64_t first = i / block.inner * block.size * block.inner + i % block.inner;
        line(f.in<T>(0) + first, f.out<T>(0) + first, block.size, block.inner, watch);
      }
    });
  };
}

// Rows of 16-bit floats as the standard's function body has them: the exponentials, their sum and
// the quotients are each rounded to the type.
Step half_softmax(DType dtype, const Block& block) {
  return
      [half = half_conversion(dtype), cols = static_cast<std::size_t>(block.size),
       largest_of = kernels::reduce_max_rows.resolve(), sum_of = kernels::reduce_sum_rows.resolve(),
       exp = kernels::unary_exp.resolve(), scale_shift = kernels::unary_scale_shift.resolve(),
       divide = kernels::binary_div.resolve(),
       split = split_work(block.outer, 1.5 * static_cast<double>(block.size) + 10)](Frame& f) {
        const auto rounded = [&](float value) {
          uint16_t bits;
          half.narrow(&value, &bits, 1);
          half.widen(&bits, &value, 1);
          return value;
        };
        f.parallel_for(split, [&](Range r) {
          for (int64_t row = r.begin; row < r.end; ++row) {
            const uint16_t* x = f.in<uint16_t>(0) + row * static_cast<int64_t>(cols);
            uint16_t* y = f.out<uint16_t>(0) + row * static_cast<int64_t>(cols);
            float largest = -std::numeric_limits<float>::infinity(), total = 0, part,
                  floats[kHalfBlock];
            for_each_half_block(cols, [&](std::size_t i, std::size_t n) {
              half.widen(x + i, floats, n);
              largest_of(floats, &part, 1, n);
              largest = part > largest || std::isnan(part) ? part : largest;
            });
            for_each_half_block(cols, [&](std::size_t i, std::size_t n) {
              half.widen(x + i, floats, n);
              scale_shift(floats, floats, n, 1, -largest);
              exp(floats, floats, n, 0, 0);
              half.narrow(floats, y + i, n);
              half.widen(y + i, floats, n);
              sum_of(floats, &part, 1, n);
              total += part;
            });
            total = rounded(total);
            map_halves(half, y, y, cols,
                       [&](float* terms, std::size_t n) { divide(terms, 1, &total, 0, terms, n); });
          }
        });
      };
}

enum class Kind : uint8_t { softmax, log_softmax, hardmax };

class Softmax final : public Op {
 public:
  explicit Softmax(const OpInit& init)
      : kind_(init.type == "Softmax"      ? Kind::softmax
              : init.type == "LogSoftmax" ? Kind::log_softmax
                                          : Kind::hardmax),
        flattens_(init.opset < 13),
        axis_(init.attrs.get("axis", flattens_ ? 1 : -1)) {}

  void infer(InferContext& ctx) const override {
    check(is_float(ctx.dtype(0)), "expected floats, got ", ctx.dtype(0));
    if (ctx.has_rank(0)) check_axis(ctx.rank(0));
    ctx.set_output(0, ctx.input(0));
  }

  Step prepare(PrepareContext& ctx) const override {
    const Block block = block_of(ctx.shape(0));
    if (ctx.count(0) == 0) return [](Frame&) {};
    if (is_half_float(ctx.dtype(0)) && kind_ == Kind::softmax && block.inner == 1)
      return half_softmax(ctx.dtype(0), block);
    return in_float32(ctx, make_step(ctx.dtype(0) == DType::float64, block));
  }

 private:
  // Old versions flatten at the axis, which may then stand behind the last one.
  void check_axis(int64_t rank) const {
    const bool at_end = flattens_ && axis_ == rank;
    if (!at_end && !(rank == 0 && (axis_ == -1 || axis_ == 0))) normalize_axis(axis_, rank);
  }

  Block block_of(const Shape& shape) const {
    const auto rank = static_cast<int64_t>(shape.size());
    if (rank == 0) return {};
    if (!flattens_) return split_at(shape, axis_);
    const int64_t axis = axis_ < 0 ? axis_ + rank : axis_;
    Block block;
    for (int64_t i = 0; i < rank; ++i) (i < axis ? block.outer : block.size) *= shape[i];
    return block;
  }

  Step make_step(bool is_double, const Block& block) const {
    if (kind_ == Kind::hardmax && !is_double && block.inner == 1) return hardmax_rows(block);
    if (kind_ == Kind::hardmax)
      return is_double ? each_line<double>(block, 1, &hardmax_line<double>)
                       : each_line<float>(block, 1, &hardmax_line<float>);
    const bool log = kind_ == Kind::log_softmax;
    if (!is_double) return float_softmax(block, log);
    return each_line<double>(block, 10,
                             [log](const double* x, double* y, int64_t n, int64_t s, Watch& watch) {
                               softmax_line(x, y, n, s, log, watch);
                             });
  }

  Kind kind_;
  bool flattens_;
  int64_t axis_;
};

}  // namespace

[[gnu::cold]] void register_softmax(OpRegistry& ops) {
  for (const char* name : {"Softmax", "LogSoftmax", "Hardmax"})
    ops.add<Softmax>(name, {.in_place = 0b1});
}

}  // namespace sdx::ops
