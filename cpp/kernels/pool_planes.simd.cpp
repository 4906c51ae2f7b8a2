// Pooling over single planes: the rows of a window are folded into one row by vectors, of which the
// outputs then fold their stretches.
#include "kernels/simd/pooling.h"
#include "kernels/simd/round.h"
#include "kernels/simd/transpose.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Inputs of a row that are folded at once.
constexpr std::size_t kRowBuffer = 1024;
// Rows are folded some at a time, so that no load waits for the stores of its own row.
constexpr std::size_t kBandFloats = 4096;

constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// The rows of one plane that meet the window of a row of outputs.
struct Rows {
  const float* plane;
  TapRange depth, height;
  std::ptrdiff_t first_depth, first_height;
};

SDX_INLINE const float* input_row(const Window& window, const Rows& rows, std::size_t i,
                                  std::size_t j) {
  const WindowAxis* axis = window.axis;
  const std::ptrdiff_t depth = rows.first_depth + static_cast<std::ptrdiff_t>(i * axis[0].dilation);
  const std::ptrdiff_t height =
      rows.first_height + static_cast<std::ptrdiff_t>(j * axis[1].dilation);
  return rows.plane + (depth * static_cast<std::ptrdiff_t>(axis[1].input) + height) *
                          static_cast<std::ptrdiff_t>(axis[2].input);
}

// Calls each(where column `at` lies) for all rows.
template <class Each>
SDX_INLINE void for_each_row(const Window& window, const Rows& rows, std::size_t at, Each each) {
  if (rows.height.begin == rows.height.end) return;
  const std::size_t step = window.axis[1].dilation * window.axis[2].input;
  for (std::size_t i = rows.depth.begin; i < rows.depth.end; ++i) {
    const float* p = input_row(window, rows, i, rows.height.begin) + at;
    for (std::size_t j = rows.height.begin; j < rows.height.end; ++j, p += step) each(p);
  }
}

// Calls each(i, lanes) for vectors of columns [from, end); the last one has some of columns
// [begin, end) once more where there are so many.
template <class Each>
SDX_INLINE void for_each_columns(std::size_t begin, std::size_t from, std::size_t end, Each each) {
  for (std::size_t i = from; i < end; i += kF32) {
    if (i + kF32 > end && begin + kF32 <= end) i = end - kF32;
    each(i, smaller(kF32, end - i));
  }
}

// buffer[i] = the fold of column begin + i over all rows, for columns [begin, end).
template <template <class> class Fold>
SDX_INLINE void fold_rows(const Window& window, const Rows& rows, std::size_t begin,
                          std::size_t end, float* buffer) {
  // Rows lie far apart: as much of each as there are registers for.
  constexpr std::size_t kVectors = 4;
  std::size_t i = begin;
  for (; i + kVectors * kF32 <= end; i += kVectors * kF32) {
    Fold<VecF> fold[kVectors];
    for_each_row(
        window, rows, i, [&](const float* p) __attribute__((always_inline)) {
#pragma GCC unroll 4
          for (std::size_t v = 0; v < kVectors; ++v) fold[v].add(load(p + v * kF32));
        });
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v)
      store(buffer + (i - begin) + v * kF32, fold[v].value());
  }
  for_each_columns(
      begin, i, end, [&](std::size_t at, std::size_t lanes) __attribute__((always_inline)) {
        Fold<VecF> fold;
        for_each_row(
            window, rows, at, [&](const float* p) __attribute__((always_inline)) {
              fold.add(lanes == kF32 ? load(p) : load_head(p, lanes));
            });
        store_head(buffer + (at - begin), fold.value(), lanes);
      });
}

// The rows of a plane that a row of outputs meets: `count` from `first` floats into the plane on.
struct RowPlan {
  std::ptrdiff_t first;
  std::size_t count;
  float divisor;  // but for what the width makes of it
};

// The same over the rows of a plan, `step` floats apart. kRows: 0 is any number.
template <template <class> class Fold, std::size_t kRows>
SDX_INLINE void fold_planned(const float* first, std::size_t step, std::size_t rows,
                             std::size_t begin, std::size_t end, float* buffer) {
  const std::size_t count = kRows ? kRows : rows;
  for_each_columns(
      begin, begin, end, [=](std::size_t i, std::size_t lanes) __attribute__((always_inline)) {
        Fold<VecF> fold;
        const float* p = first + i;
#pragma GCC unroll 3
        for (std::size_t r = 0; r < count; ++r, p += step)
          fold.add(lanes == kF32 ? load(p) : load_head(p, lanes));
        if (lanes == kF32)
          store(buffer + (i - begin), fold.value());
        else
          store_head(buffer + (i - begin), fold.value(), lanes);
      });
}

template <template <class> class Fold>
SDX_INLINE void fold_planned(const float* first, std::size_t step, std::size_t rows,
                             std::size_t begin, std::size_t end, float* buffer) {
  if (rows == 2) return fold_planned<Fold, 2>(first, step, rows, begin, end, buffer);
  if (rows == 3) return fold_planned<Fold, 3>(first, step, rows, begin, end, buffer);
  fold_planned<Fold, 0>(first, step, rows, begin, end, buffer);
}

// kF32 floats from p on, kStride apart, a power of two; may read up to the next one.
template <int kStride>
SDX_INLINE VecF load_every(const float* p) {
  if constexpr (kStride == 1)
    return load(p);
  else
    return AllLanes::even(load_every<kStride / 2>(p),
                          load_every<kStride / 2>(p + kF32 * (kStride / 2)));
}

// `count` outputs from folded columns their windows lie inside of; reads up to two vectors of
// columns past the last.
template <template <class> class Fold, int kStride>
SDX_INLINE void pool_stretch(const WindowAxis& axis, const float* columns, std::size_t count,
                             float divide_by, float* y) {
  for (std::size_t o = 0; o < count; o += kF32) {
    Fold<VecF> fold;
    for (std::size_t t = 0; t < axis.taps; ++t)
      fold.add(load_every<kStride>(columns + o * kStride + t * axis.dilation));
    const VecF value = Fold<VecF>::kAverage ? fold.value() / divide_by : fold.value();
    if (o + kF32 <= count)
      store(y + o, value);
    else
      store_head(y + o, value, count - o);
  }
}

// Whether a row of inputs with its padding fits the buffer, so that every output of it is made by
// vectors.
SDX_INLINE bool fits_padded(const WindowAxis& axis) {
  return (axis.stride <= 2 || axis.stride == 4) && axis.taps <= kRowBuffer &&
         axis.dilation <= kRowBuffer && axis.output <= kRowBuffer &&
         (axis.output - 1) * axis.stride + (axis.taps - 1) * axis.dilation < kRowBuffer;
}

// Rows of outputs where fits_padded, with room for `step` floats of a row of columns.
struct Band {
  std::size_t left, begin, end;  // columns of padding, and the inputs behind them
  std::size_t length, step;
};

SDX_INLINE Band band_of(const WindowAxis& axis) {
  Band band;
  band.length = (axis.output - 1) * axis.stride + (axis.taps - 1) * axis.dilation + 1;
  band.left = axis.pad <= 0 ? 0 : smaller(static_cast<std::size_t>(axis.pad), band.length);
  band.begin = axis.pad < 0 ? static_cast<std::size_t>(-axis.pad) : 0;
  band.end = smaller(axis.input, band.begin + (band.length - band.left));
  if (band.end < band.begin) band.end = band.begin;
  band.step = band.length + 4 * kF32;
  return band;
}

// One row of outputs from folded columns between padding. `divisors` are of the width alone, one
// for each output. kTaps: 0 is any number.
template <template <class> class Fold, int kStride, std::size_t kTaps>
SDX_INLINE void pool_padded_row(const WindowAxis& axis, const float* columns, float row_count,
                                const float* divisors, float* y) {
  const std::size_t taps = kTaps ? kTaps : axis.taps;
  for (std::size_t o = 0; o < axis.output; o += kF32) {
    const std::size_t lanes = smaller(kF32, axis.output - o);
    Fold<VecF> fold;
#pragma GCC unroll 5
    for (std::size_t t = 0; t < taps; ++t)
      fold.add(load_every<kStride>(columns + o * kStride + t * axis.dilation));
    VecF value = fold.value();
    if (Fold<VecF>::kAverage) value /= load(divisors + o) * row_count;
    if (lanes == kF32)
      store(y + o, value);
    else
      store_head(y + o, value, lanes);
  }
}

template <template <class> class Fold>
SDX_INLINE void pool_row(const PoolArgs& args, const Rows& rows, Pixel pixel, float* y) {
  const WindowAxis& axis = args.window.axis[2];
  const std::size_t reach = (axis.taps - 1) * axis.dilation;  // of a window past its first input
  const bool buffered = reach < kRowBuffer;
  const std::size_t at_once = buffered ? (kRowBuffer - 1 - reach) / axis.stride + 1 : 1;
  const std::size_t at_once_taps = (kRowBuffer - 1) / axis.dilation + 1;
  float buffer[kRowBuffer + 2 * kF32];
  const float row_count = Fold<float>::kAverage ? divisor(args, pixel, 0, 2) : 1.0f;
  for (std::size_t o0 = 0; o0 < axis.output; o0 += at_once) {
    const std::size_t o1 = smaller(o0 + at_once, axis.output);
    const std::ptrdiff_t first = first_input(axis, o0);
    const std::ptrdiff_t behind = input_of(axis, o1 - 1, axis.taps - 1) + 1;
    const std::size_t begin = first < 0 ? 0 : smaller(static_cast<std::size_t>(first), axis.input);
    const std::size_t end = behind < 0 ? 0 : smaller(static_cast<std::size_t>(behind), axis.input);
    if (buffered && begin < end) fold_rows<Fold>(args.window, rows, begin, end, buffer);
    bool by_vectors = buffered && axis.stride <= 2;  // once a row, from the first window inside
    for (std::size_t o = o0; o < o1; ++o) {
      if (by_vectors && meets_no_padding(axis, o)) {
        by_vectors = false;
        const std::size_t last = axis.input - 1 - reach + static_cast<std::size_t>(axis.pad);
        const std::size_t count = smaller(last / axis.stride + 1, o1) - o;
        const float* columns = buffer + (static_cast<std::size_t>(first_input(axis, o)) - begin);
        const float divide_by = row_count * static_cast<float>(axis.taps);
        if (axis.stride == 1)
          pool_stretch<Fold, 1>(axis, columns, count, divide_by, y + o);
        else
          pool_stretch<Fold, 2>(axis, columns, count, divide_by, y + o);
        o += count;
        if (o == o1) break;
      }
      pixel.at[2] = o;
      const TapRange range = inside_taps(axis, o);
      Fold<float> fold;
      const auto column = [&](std::size_t t) {
        return static_cast<std::size_t>(input_of(axis, o, t));
      };
      for (std::size_t t = range.begin; t < range.end;) {
        // Windows wider than the buffer fill it several times.
        const std::size_t taps_end = buffered ? range.end : smaller(t + at_once_taps, range.end);
        const std::size_t from = buffered ? begin : column(t);
        if (!buffered) fold_rows<Fold>(args.window, rows, from, column(taps_end - 1) + 1, buffer);
        for (; t < taps_end; ++t) fold.add(buffer[column(t) - from]);
      }
      y[o] = Fold<float>::kAverage ? fold.value() / (row_count * divisor(args, pixel, 2, 3))
                                   : fold.value();
    }
  }
}

SDX_INLINE Rows rows_at(const Window& window, const float* x, std::size_t d, std::size_t h) {
  const WindowAxis* axis = window.axis;
  return {x, inside_taps(axis[0], d), inside_taps(axis[1], h), first_input(axis[0], d),
          first_input(axis[1], h)};
}

template <template <class> class Fold, int kStride>
SDX_INLINE void pool_padded_row(const WindowAxis& axis, const float* columns, float row_count,
                                const float* divisors, float* y) {
  switch (axis.taps) {
    case 2:
      return pool_padded_row<Fold, kStride, 2>(axis, columns, row_count, divisors, y);
    case 3:
      return pool_padded_row<Fold, kStride, 3>(axis, columns, row_count, divisors, y);
    case 5:
      return pool_padded_row<Fold, kStride, 5>(axis, columns, row_count, divisors, y);
    default:
      return pool_padded_row<Fold, kStride, 0>(axis, columns, row_count, divisors, y);
  }
}

// What is made once for many planes: room for folded columns between padding, and, of windows along
// two axes, the rows that so many rows of outputs meet.
constexpr std::size_t kPlannedRows = 256;

struct Columns {
  Band band;
  bool planned;
  RowPlan plans[kPlannedRows];
  std::size_t rows;  // at a time
  float divisors[kRowBuffer + kF32];
  float at[kBandFloats];
};

template <template <class> class Fold>
SDX_INLINE void prepare_columns(const PoolArgs& args, Columns& columns) {
  const WindowAxis* axis = args.window.axis;
  columns.band = band_of(axis[2]);
  columns.rows = smaller(kBandFloats / columns.band.step, axis[0].output * axis[1].output);
  columns.planned = axis[0].taps == 1 && axis[0].output == 1 && axis[0].input == 1 &&
                    axis[0].pad == 0 && axis[1].output <= kPlannedRows;
  for (std::size_t h = 0; columns.planned && h < axis[1].output; ++h) {
    const TapRange taps = inside_taps(axis[1], h);
    columns.plans[h] = {
        input_of(axis[1], h, taps.begin) * static_cast<std::ptrdiff_t>(axis[2].input),
        taps.end - taps.begin, Fold<float>::kAverage ? divisor(args, {{0, h, 0}}, 0, 2) : 1};
  }
  for (std::size_t i = 0; i < columns.rows * columns.band.step; ++i)
    columns.at[i] = Fold<float>{}.value();
  for (std::size_t o = 0; Fold<float>::kAverage && o < axis[2].output + kF32; ++o)
    columns.divisors[o] = o < axis[2].output ? divisor(args, {{0, 0, o}}, 2, 3) : 1;
}

// One plane, where fits_padded.
template <template <class> class Fold>
SDX_INLINE void pool_bands(const PoolArgs& args, Columns& columns, const float* x, float* y) {
  const WindowAxis* axis = args.window.axis;
  const Band& band = columns.band;
  for (std::size_t d = 0; d < axis[0].output; ++d)
    for (std::size_t first = 0; first < axis[1].output; first += columns.rows) {
      const std::size_t end = smaller(first + columns.rows, axis[1].output);
      float* to = columns.at + band.left;
      for (std::size_t h = first; h < end && band.begin < band.end; ++h, to += band.step) {
        const RowPlan& plan = columns.plans[columns.planned ? h : 0];
        if (columns.planned)
          fold_planned<Fold>(x + plan.first, axis[1].dilation * axis[2].input, plan.count,
                             band.begin, band.end, to);
        else
          fold_rows<Fold>(args.window, rows_at(args.window, x, d, h), band.begin, band.end, to);
      }
      const float* from = columns.at;
      for (std::size_t h = first; h < end; ++h, from += band.step, y += axis[2].output) {
        const float row_count = !Fold<float>::kAverage ? 1
                                : columns.planned      ? columns.plans[h].divisor
                                                       : divisor(args, {{d, h, 0}}, 0, 2);
        if (axis[2].stride == 1)
          pool_padded_row<Fold, 1>(axis[2], from, row_count, columns.divisors, y);
        else if (axis[2].stride == 4)
          pool_padded_row<Fold, 4, 0>(axis[2], from, row_count, columns.divisors, y);
        else
          pool_padded_row<Fold, 2>(axis[2], from, row_count, columns.divisors, y);
      }
    }
}

// One plane, whatever the window.
template <template <class> class Fold>
SDX_INLINE void pool_plane(const PoolArgs& args, const float* x, float* y) {
  const WindowAxis* axis = args.window.axis;
  for (std::size_t d = 0; d < axis[0].output; ++d)
    for (std::size_t h = 0; h < axis[1].output; ++h, y += axis[2].output)
      pool_row<Fold>(args, rows_at(args.window, x, d, h), {{d, h, 0}}, y);
}

// The maximum of what is known to be numbers.
template <class V>
struct NumberFold {
  static constexpr bool kAverage = false;
  V largest = V{} - __builtin_inff();
  __attribute__((always_inline)) void add(V x) { largest = max(largest, x); }
  __attribute__((always_inline)) V value() const { return largest; }
};

// Planes of more floats take longer to come than to pool.
constexpr std::size_t kScanFloats = 4096;

bool holds_nan(const float* x, std::size_t n) {
  VecI found = {};
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) {
    const VecF v = load(x + i);
    found |= v != v;
  }
  const VecF tail = load_head(x + i, n - i);
  found |= tail != tail;
  return any(found);
}

}  // namespace

void max_pool_planes(const PlanePoolArgs& args, std::size_t plane_begin, std::size_t plane_end) {
  const bool padded = fits_padded(args.pool.window.axis[2]);
  Columns columns;
  if (padded) prepare_columns<MaxFold>(args.pool, columns);
  for (std::size_t p = plane_begin; p < plane_end; ++p) {
    const float* x = args.pool.x + p * args.x_plane;
    float* y = args.pool.y + p * args.y_plane;
    if (!padded)
      pool_plane<MaxFold>(args.pool, x, y);
    else if (args.x_plane > kScanFloats || holds_nan(x, args.x_plane))
      pool_bands<MaxFold>(args.pool, columns, x, y);
    else
      pool_bands<NumberFold>(args.pool, columns, x, y);
  }
}

void average_pool_planes(const PlanePoolArgs& args, std::size_t plane_begin,
                         std::size_t plane_end) {
  const bool padded = fits_padded(args.pool.window.axis[2]);
  Columns columns;
  if (padded) prepare_columns<SumFold>(args.pool, columns);
  for (std::size_t p = plane_begin; p < plane_end; ++p) {
    const float* x = args.pool.x + p * args.x_plane;
    float* y = args.pool.y + p * args.y_plane;
    if (padded)
      pool_bands<SumFold>(args.pool, columns, x, y);
    else
      pool_plane<SumFold>(args.pool, x, y);
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(max_pool_planes, PlanePool)
SDX_DEFINE_KERNEL(average_pool_planes, PlanePool)
}  // namespace sdx::kernels
