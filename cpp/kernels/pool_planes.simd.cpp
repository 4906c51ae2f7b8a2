// Pooling over single planes: the rows of a window are folded into one row by vectors, of which the
// outputs then fold their stretches.
#include "kernels/simd/pooling.h"
#include "kernels/simd/transpose.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Inputs of a row that are folded at once.
constexpr std::size_t kRowBuffer = 1024;

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

template <template <class> class Fold, class V, class Load>
SDX_INLINE V fold_column(const Window& window, const Rows& rows, std::size_t at, Load load_at) {
  Fold<V> fold;
  for (std::size_t i = rows.depth.begin; i < rows.depth.end; ++i)
    for (std::size_t j = rows.height.begin; j < rows.height.end; ++j)
      fold.add(load_at(input_row(window, rows, i, j) + at));
  return fold.value();
}

// buffer[i] = the fold of column begin + i over all rows, for columns [begin, end).
template <template <class> class Fold>
SDX_INLINE void fold_rows(const Window& window, const Rows& rows, std::size_t begin,
                          std::size_t end, float* buffer) {
  for (std::size_t i = begin; i < end; i += kF32) {
    if (i + kF32 > end && begin + kF32 <= end) i = end - kF32;  // some columns once more
    if (i + kF32 <= end)
      store(buffer + (i - begin),
            fold_column<Fold, VecF>(window, rows, i, [](const float* p) { return load(p); }));
    else
      store(buffer + (i - begin), fold_column<Fold, VecF>(window, rows, i, [&](const float* p) {
              return load_head(p, end - i);
            }));
  }
}

// kF32 floats from p on, kStride apart; may read up to the next one.
template <int kStride>
SDX_INLINE VecF load_every(const float* p) {
  static_assert(kStride == 1 || kStride == 2);
  if constexpr (kStride == 1) return load(p);
  return AllLanes::even(load(p), load(p + kF32));
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
  return axis.stride <= 2 && axis.taps <= kRowBuffer && axis.dilation <= kRowBuffer &&
         axis.output <= kRowBuffer &&
         (axis.output - 1) * axis.stride + (axis.taps - 1) * axis.dilation < kRowBuffer;
}

// A row of outputs where fits_padded. `divisors` are of the width alone, one for each output.
template <template <class> class Fold>
SDX_INLINE void pool_padded_row(const Window& window, const Rows& rows, float row_count,
                                const float* divisors, float* y) {
  const WindowAxis& axis = window.axis[2];
  const std::size_t reach = (axis.taps - 1) * axis.dilation;
  const std::size_t length = (axis.output - 1) * axis.stride + reach + 1;
  const float neutral = Fold<float>{}.value();
  const std::size_t left = axis.pad <= 0 ? 0 : smaller(static_cast<std::size_t>(axis.pad), length);
  const std::size_t begin = axis.pad < 0 ? static_cast<std::size_t>(-axis.pad) : 0;
  const std::size_t end = smaller(axis.input, begin + (length - left));
  float buffer[kRowBuffer + 2 * kF32];
  for (std::size_t i = 0; i < left; ++i) buffer[i] = neutral;
  std::size_t filled = left;
  if (begin < end) {
    fold_rows<Fold>(window, rows, begin, end, buffer + left);
    filled += end - begin;
  }
  for (; filled < length; ++filled) buffer[filled] = neutral;
  for (std::size_t o = 0; o < axis.output; o += kF32) {
    const std::size_t lanes = smaller(kF32, axis.output - o);
    Fold<VecF> fold;
    for (std::size_t t = 0; t < axis.taps; ++t) {
      const float* p = buffer + o * axis.stride + t * axis.dilation;
      fold.add(axis.stride == 1 ? load_every<1>(p) : load_every<2>(p));
    }
    VecF value = fold.value();
    if (Fold<VecF>::kAverage) value /= load_head(divisors + o, lanes) * row_count;
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
      for (std::size_t t = range.begin; t < range.end; ++t) {
        const std::size_t at = static_cast<std::size_t>(input_of(axis, o, t));
        fold.add(buffered ? buffer[at - begin]
                          : fold_column<Fold, float>(args.window, rows, at,
                                                     [](const float* p) { return *p; }));
      }
      y[o] = Fold<float>::kAverage ? fold.value() / (row_count * divisor(args, pixel, 2, 3))
                                   : fold.value();
    }
  }
}

template <template <class> class Fold>
SDX_INLINE void pool_planes(const PlanePoolArgs& args, std::size_t plane_begin,
                            std::size_t plane_end) {
  const WindowAxis* axis = args.pool.window.axis;
  const bool padded = fits_padded(axis[2]);
  float divisors[kRowBuffer];
  if (padded && Fold<float>::kAverage)
    for (std::size_t o = 0; o < axis[2].output; ++o)
      divisors[o] = divisor(args.pool, {{0, 0, o}}, 2, 3);
  for (std::size_t p = plane_begin; p < plane_end; ++p) {
    const float* x = args.pool.x + p * args.x_plane;
    float* y = args.pool.y + p * args.y_plane;
    for (std::size_t d = 0; d < axis[0].output; ++d)
      for (std::size_t h = 0; h < axis[1].output; ++h, y += axis[2].output) {
        const Rows rows{x, inside_taps(axis[0], d), inside_taps(axis[1], h),
                        first_input(axis[0], d), first_input(axis[1], h)};
        if (padded)
          pool_padded_row<Fold>(args.pool.window, rows,
                                Fold<float>::kAverage ? divisor(args.pool, {{d, h, 0}}, 0, 2) : 1,
                                divisors, y);
        else
          pool_row<Fold>(args.pool, rows, {{d, h, 0}}, y);
      }
  }
}

}  // namespace

void max_pool_planes(const PlanePoolArgs& args, std::size_t plane_begin, std::size_t plane_end) {
  pool_planes<MaxFold>(args, plane_begin, plane_end);
}

void average_pool_planes(const PlanePoolArgs& args, std::size_t plane_begin,
                         std::size_t plane_end) {
  pool_planes<SumFold>(args, plane_begin, plane_end);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(max_pool_planes, PlanePool)
SDX_DEFINE_KERNEL(average_pool_planes, PlanePool)
}  // namespace sdx::kernels
