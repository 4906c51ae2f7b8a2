// Planning and running of reductions.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/binary.h"
#include "kernels/reduce.h"
#include "kernels/unary.h"
#include "ops/reduction.h"

namespace sdx::ops {
namespace {

constexpr int64_t kColumnTile = 1024;
constexpr double kCost = 0.15;  // nanoseconds an element

template <class T>
using Rows = void(const T* x, T* y, std::size_t rows, std::size_t cols);
template <class T>
using Columns = void(const T* x, std::size_t row_stride, T* y, std::size_t rows, std::size_t cols);

template <class T>
struct Loops {
  Rows<T>* rows;
  Columns<T>* columns;
};

// What integers wrap in.
template <class T>
struct WrappingOf {
  using type = std::common_type_t<std::make_unsigned_t<T>, unsigned>;
};
template <>
struct WrappingOf<bool> {
  using type = bool;
};
template <>
struct WrappingOf<double> {
  using type = double;
};
template <class T>
using Wrapping = typename WrappingOf<T>::type;

// How items join a total; totals of parts join as Parts says.
struct Sum {
  using Parts = Sum;
  template <class T>
  static constexpr T start = 0;
  template <class T>
  static T join(T total, T x) {
    return static_cast<T>(static_cast<Wrapping<T>>(total) + static_cast<Wrapping<T>>(x));
  }
};
struct SumSquare : Sum {
  template <class T>
  static T join(T total, T x) {
    const auto wide = static_cast<Wrapping<T>>(x);
    return static_cast<T>(static_cast<Wrapping<T>>(total) + wide * wide);
  }
};
struct L1 : Sum {
  template <class T>
  static T join(T total, T x) {
    const auto wide = static_cast<Wrapping<T>>(x);
    return static_cast<T>(static_cast<Wrapping<T>>(total) + (x < 0 ? 0 - wide : wide));
  }
};
struct Prod {
  using Parts = Prod;
  template <class T>
  static constexpr T start = 1;
  template <class T>
  static T join(T total, T x) {
    return static_cast<T>(static_cast<Wrapping<T>>(total) * static_cast<Wrapping<T>>(x));
  }
};
struct Max {
  using Parts = Max;
  template <class T>
  static constexpr T start = std::numeric_limits<T>::has_infinity
                                 ? -std::numeric_limits<T>::infinity()
                                 : std::numeric_limits<T>::lowest();
  template <class T>
  static T join(T total, T x) {
    return x > total || x != x ? x : total;
  }
};
struct Min {
  using Parts = Min;
  template <class T>
  static constexpr T start = std::numeric_limits<T>::has_infinity
                                 ? std::numeric_limits<T>::infinity()
                                 : std::numeric_limits<T>::max();
  template <class T>
  static T join(T total, T x) {
    return x < total || x != x ? x : total;
  }
};

// Doubles in parts that the compiler makes vectors of, which it may not do by itself.
template <class R>
double reduce_row(const double* x, std::size_t n) {
  constexpr std::size_t kParts = 8;
  double parts[kParts];
  std::fill_n(parts, kParts, R::template start<double>);
  std::size_t i = 0;
  for (; i + kParts <= n; i += kParts)
    for (std::size_t k = 0; k < kParts; ++k) parts[k] = R::join(parts[k], x[i + k]);
  for (; i < n; ++i) parts[i % kParts] = R::join(parts[i % kParts], x[i]);
  double total = parts[0];
  for (std::size_t k = 1; k < kParts; ++k) total = R::Parts::join(total, parts[k]);
  return total;
}

template <class R, class T>
void rows_loop(const T* x, T* y, std::size_t rows, std::size_t cols) {
  for (std::size_t r = 0; r < rows; ++r) {
    if constexpr (std::is_same_v<T, double>) {
      y[r] = reduce_row<R>(x + r * cols, cols);
      continue;
    }
    T total = R::template start<T>;
    for (std::size_t c = 0; c < cols; ++c) total = R::join(total, x[r * cols + c]);
    y[r] = total;
  }
}

template <class R, class T>
void columns_loop(const T* x, std::size_t row_stride, T* y, std::size_t rows, std::size_t cols) {
  std::fill_n(y, cols, R::template start<T>);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c) y[c] = R::join(y[c], x[r * row_stride + c]);
}

// log(sum(exp(x))) of `n` items a stride apart, around the largest finite one.
double log_sum_exp(const double* x, std::size_t n, std::size_t stride) {
  double largest = Max::start<double>;
  for (std::size_t i = 0; i < n; ++i) largest = Max::join(largest, x[i * stride]);
  if (!std::isfinite(largest)) largest = 0;
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) total += std::exp(x[i * stride] - largest);
  return std::log(total) + largest;
}

void log_sum_exp_rows(const double* x, double* y, std::size_t rows, std::size_t cols) {
  for (std::size_t r = 0; r < rows; ++r) y[r] = log_sum_exp(x + r * cols, cols, 1);
}

void log_sum_exp_columns(const double* x, std::size_t row_stride, double* y, std::size_t rows,
                         std::size_t cols) {
  for (std::size_t c = 0; c < cols; ++c) y[c] = log_sum_exp(x + c, rows, row_stride);
}

void log_sum_exp_columns_f32(const float* x, std::size_t row_stride, float* y, std::size_t rows,
                             std::size_t cols) {
  const auto max_columns = kernels::reduce_max_columns.resolve();
  const auto subtract = kernels::binary_sub.resolve();
  const auto add = kernels::binary_add.resolve();
  const auto exp = kernels::unary_exp.resolve();
  const auto log = kernels::unary_log.resolve();
  constexpr std::size_t kBlock = 256;
  for (std::size_t c = 0; c < cols; c += kBlock) {
    const std::size_t n = std::min(kBlock, cols - c);
    float largest[kBlock], shifted[kBlock];
    max_columns(x + c, row_stride, largest, rows, n);
    for (std::size_t i = 0; i < n; ++i)
      if (!std::isfinite(largest[i])) largest[i] = 0;
    std::fill_n(y + c, n, 0.0F);
    for (std::size_t r = 0; r < rows; ++r) {
      subtract(x + r * row_stride + c, 1, largest, 1, shifted, n);
      exp(shifted, shifted, n, 0, 0);
      add(y + c, 1, shifted, 1, y + c, n);
    }
    log(y + c, y + c, n, 0, 0);
    add(y + c, 1, largest, 1, y + c, n);
  }
}

template <class T>
Loops<T> loops_of(Reduction reduction) {
  const auto of = []<class R>() { return Loops<T>{&rows_loop<R, T>, &columns_loop<R, T>}; };
  switch (reduction) {
    case Reduction::max:
      return of.template operator()<Max>();
    case Reduction::min:
      return of.template operator()<Min>();
    default:
      break;
  }
  if constexpr (std::is_same_v<T, bool>) {
    fail(ErrorKind::unsupported, "booleans have no sum or product");
  } else {
    switch (reduction) {
      case Reduction::sum:
        return of.template operator()<Sum>();
      case Reduction::sum_square:
        return of.template operator()<SumSquare>();
      case Reduction::l1:
        return of.template operator()<L1>();
      case Reduction::prod:
        return of.template operator()<Prod>();
      default:
        if constexpr (std::is_same_v<T, double>) return {&log_sum_exp_rows, &log_sum_exp_columns};
        fail(ErrorKind::internal, "integers have no logarithms here");
    }
  }
}

template <>
Loops<float> loops_of<float>(Reduction reduction) {
  using namespace kernels;
  switch (reduction) {
    case Reduction::sum:
      return {reduce_sum_rows.resolve(), reduce_sum_columns.resolve()};
    case Reduction::sum_square:
      return {reduce_sum_square_rows.resolve(), reduce_sum_square_columns.resolve()};
    case Reduction::l1:
      return {reduce_l1_rows.resolve(), reduce_l1_columns.resolve()};
    case Reduction::prod:
      return {reduce_prod_rows.resolve(), reduce_prod_columns.resolve()};
    case Reduction::max:
      return {reduce_max_rows.resolve(), reduce_max_columns.resolve()};
    case Reduction::min:
      return {reduce_min_rows.resolve(), reduce_min_columns.resolve()};
    default:
      return {reduce_log_sum_exp_rows.resolve(), &log_sum_exp_columns_f32};
  }
}

// How the results of a first pass join in the next ones.
Reduction next_reduction(Reduction first) {
  const bool adds = first == Reduction::sum_square || first == Reduction::l1;
  return adds ? Reduction::sum : first;
}

template <class T>
void finish_results(Finish finish, int64_t reduced, T* y, int64_t n) {
  if constexpr (std::is_floating_point_v<T>) {
    switch (finish) {
      case Finish::none:
        return;
      case Finish::mean:
        for (int64_t i = 0; i < n; ++i) y[i] /= static_cast<T>(reduced);
        return;
      case Finish::sqrt:
        for (int64_t i = 0; i < n; ++i) y[i] = std::sqrt(y[i]);
        return;
      case Finish::log:
        for (int64_t i = 0; i < n; ++i) y[i] = std::log(y[i]);
        return;
    }
  }
}

template <class T>
void run_pass(const Frame& f, const ReducePass& pass, const Loops<T>& loops, const T* x, T* y,
              Finish finish, int64_t reduced) {
  if (pass.inner == 1) {
    const int64_t items = pass.outer * pass.blocks;
    const double cost = kCost * static_cast<double>(pass.block) + 2;
    f.parallel_for(split_work(items, cost, pass.blocks == 1 ? 16 : 1), [&](Range r) {
      if (pass.blocks == 1) {
        loops.rows(x + r.begin * pass.n, y + r.begin, static_cast<std::size_t>(r.size()),
                   static_cast<std::size_t>(pass.n));
      } else {
        for (int64_t i = r.begin; i < r.end; ++i) {
          const int64_t first = i % pass.blocks * pass.block;
          const int64_t length = std::min(pass.block, pass.n - first);
          loops.rows(x + i / pass.blocks * pass.n + first, y + i, 1,
                     static_cast<std::size_t>(length));
        }
      }
      finish_results(finish, reduced, y + r.begin, r.size());
    });
    return;
  }
  const int64_t tiles = (pass.inner + kColumnTile - 1) / kColumnTile;
  const int64_t tile = std::min(pass.inner, kColumnTile);
  const double cost = kCost * static_cast<double>(pass.block * tile) + 5;
  f.parallel_for(split_work(pass.outer * pass.blocks * tiles, cost), [&](Range r) {
    for (int64_t i = r.begin; i < r.end; ++i) {
      const int64_t column = i % tiles * tile;
      const int64_t item = i / tiles;
      const int64_t first = item % pass.blocks * pass.block;
      const int64_t rows = std::min(pass.block, pass.n - first);
      const int64_t cols = std::min(tile, pass.inner - column);
      T* out = y + item * pass.inner + column;
      loops.columns(x + (item / pass.blocks * pass.n + first) * pass.inner + column,
                    static_cast<std::size_t>(pass.inner), out, static_cast<std::size_t>(rows),
                    static_cast<std::size_t>(cols));
      finish_results(finish, reduced, out, cols);
    }
  });
}

// The axis [outer, n, inner], in blocks where that makes enough chunks of work.
ReducePass make_pass(int64_t outer, int64_t n, int64_t inner) {
  ReducePass pass{outer, n, inner, n, 1};
  constexpr int64_t kEnoughItems = 16;
  constexpr int64_t kElementsPerBlock = 1 << 16;
  const int64_t items = outer * ((inner + kColumnTile - 1) / kColumnTile);
  if (items == 0 || items >= kEnoughItems || n * inner < 2 * kElementsPerBlock) return pass;
  const int64_t blocks = std::min({n, n * inner / kElementsPerBlock, 4 * kEnoughItems / items});
  if (blocks < 2) return pass;
  pass.block = (n + blocks - 1) / blocks;
  pass.blocks = (n + pass.block - 1) / pass.block;
  return pass;
}

}  // namespace

int64_t ReducePlan::scratch_items() const {
  int64_t items = 0;
  for (std::size_t i = 0; i + 1 < passes.size(); ++i) items += passes[i].results();
  return items;
}

ReducePlan plan_reduction(const Shape& shape, const std::vector<bool>& reduced, Finish finish) {
  // Neighbouring axes of one kind are one axis; those of size 1 are none.
  struct Group {
    int64_t size;
    bool reduced;
  };
  std::vector<Group> groups;
  ReducePlan plan;
  plan.finish = finish;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (reduced[i]) plan.reduced *= shape[i];
    if (shape[i] == 1) continue;
    if (!groups.empty() && groups.back().reduced == reduced[i])
      groups.back().size *= shape[i];
    else
      groups.push_back({shape[i], reduced[i]});
  }
  int64_t inner = 1;
  for (std::size_t g = groups.size(); g-- > 0;) {
    if (!groups[g].reduced) {
      inner *= groups[g].size;
      continue;
    }
    int64_t outer = 1;
    for (std::size_t i = 0; i < g; ++i) outer *= groups[i].size;
    plan.passes.push_back(make_pass(outer, groups[g].size, inner));
    if (plan.passes.back().blocks > 1)
      plan.passes.push_back(
          {outer, plan.passes.back().blocks, inner, plan.passes.back().blocks, 1});
  }
  // Without an axis to reduce every element is reduced alone.
  if (plan.passes.empty()) plan.passes.push_back(make_pass(inner, 1, 1));
  return plan;
}

ReduceRun reduce_run(Reduction reduction, DType dtype, ReducePlan plan) {
  using Types = TypeList<float, double, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                         uint32_t, uint64_t, bool>;
  return dispatch(Types{}, dtype, [&]<class T>() -> ReduceRun {
    return [plan = std::move(plan), first = loops_of<T>(reduction),
            next = loops_of<T>(next_reduction(reduction))](const Frame& f, const void* x, void* y,
                                                           void* scratch) {
      const T* from = static_cast<const T*>(x);
      T* room = static_cast<T*>(scratch);
      for (std::size_t i = 0; i < plan.passes.size(); ++i) {
        const ReducePass& pass = plan.passes[i];
        const bool last = i + 1 == plan.passes.size();
        T* to = last ? static_cast<T*>(y) : room;
        run_pass<T>(f, pass, i == 0 ? first : next, from, to, last ? plan.finish : Finish::none,
                    plan.reduced);
        from = to;
        if (!last) room += pass.results();
      }
    };
  });
}

}  // namespace sdx::ops
