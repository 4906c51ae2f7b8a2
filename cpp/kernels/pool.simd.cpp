// Pooling over channels-last tensors: the taps of a window are found once a pixel, then channels go
// by vectors.
#include "kernels/pool.h"

#include "kernels/simd/finish.h"
#include "kernels/simd/pooling.h"
#include "kernels/simd/window_taps.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Taps folded at once; the results of larger windows are folded in rounds, which also keeps the
// rounding of long sums small.
constexpr std::size_t kMaxTaps = 64;

struct Taps {
  std::size_t count;
  const float* at[kMaxTaps];
};

// Folds channels from `channel` on of all taps into y, several vectors at once.
template <template <class> class Fold, int kVectors, class L>
SDX_INLINE void fold_vectors(float* y, std::size_t channel, const Taps& taps, bool first,
                             float count, L lanes) {
  Fold<VecF> fold[kVectors];
  for (std::size_t t = 0; t < taps.count; ++t)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      fold[v].add(L::load_from(taps.at[t] + channel + v * kF32, lanes));
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    if (!first) fold[v].add(L::load_from(y + v * kF32, lanes));
    const VecF value = fold[v].value();
    L::store_to(y + v * kF32, Fold<VecF>::kAverage ? value / count : value, lanes);
  }
}

// Folds taps into y; `first` starts it afresh and the result is divided by `count`.
template <template <class> class Fold>
SDX_INLINE void fold_taps(float* y, std::size_t channels, const Taps& taps, bool first,
                          float count) {
  std::size_t c = 0;
  for (; c + 4 * kF32 <= channels; c += 4 * kF32)
    fold_vectors<Fold, 4>(y + c, c, taps, first, count, Lanes<false>{kF32});
  for_each_vector(
      channels - c, [&](std::size_t i, auto lanes) __attribute__((always_inline)) {
        fold_vectors<Fold, 1>(y + c + i, c + i, taps, first, count, lanes);
      });
}

// Where the taps of a window lie, from its first one on; none for windows of many.
struct TapOffsets {
  std::size_t count = 0;
  std::ptrdiff_t at[kMaxTaps];

  explicit TapOffsets(const Window& window) {
    const WindowAxis* axis = window.axis;
    if (tap_count(window) > kMaxTaps) return;
    for (std::size_t i = 0; i < axis[0].taps; ++i)
      for (std::size_t j = 0; j < axis[1].taps; ++j)
        for (std::size_t k = 0; k < axis[2].taps; ++k)
          at[count++] = static_cast<std::ptrdiff_t>(i * axis[0].dilation * axis[0].input_step +
                                                    j * axis[1].dilation * axis[1].input_step +
                                                    k * axis[2].dilation * axis[2].input_step);
  }
};

template <template <class> class Fold>
SDX_INLINE void pool(const PoolArgs& args, std::size_t pixel_begin, std::size_t pixel_end) {
  const WindowAxis* axis = args.window.axis;
  const TapOffsets offsets(args.window);
  Pixel pixel = pixel_at(args.window, pixel_begin);
  for (std::size_t p = pixel_begin; p < pixel_end; ++p, next_pixel(args.window, pixel)) {
    float* y = args.y + p * args.y_step;
    if (offsets.count && meets_no_padding(axis[0], pixel.at[0]) &&
        meets_no_padding(axis[1], pixel.at[1]) && meets_no_padding(axis[2], pixel.at[2])) {
      const float* x = args.x;
      for (std::size_t d = 0; d < 3; ++d)
        x += static_cast<std::size_t>(first_input(axis[d], pixel.at[d])) * axis[d].input_step;
      Taps taps;
      taps.count = offsets.count;
      for (std::size_t t = 0; t < offsets.count; ++t) taps.at[t] = x + offsets.at[t];
      fold_taps<Fold>(y, args.channels, taps, true, static_cast<float>(offsets.count));
      continue;
    }
    TapRange range[3];
    std::ptrdiff_t from = 0;
    for (std::size_t d = 0; d < 3; ++d) {
      range[d] = inside_taps(axis[d], pixel.at[d]);
      from += first_input(axis[d], pixel.at[d]) * static_cast<std::ptrdiff_t>(axis[d].input_step);
    }
    const float count = Fold<float>::kAverage ? divisor(args, pixel) : 1.0f;
    Taps taps;
    taps.count = 0;
    bool first = true;
    for (std::size_t i = range[0].begin; i < range[0].end; ++i)
      for (std::size_t j = range[1].begin; j < range[1].end; ++j)
        for (std::size_t k = range[2].begin; k < range[2].end; ++k) {
          if (taps.count == kMaxTaps) {
            fold_taps<Fold>(y, args.channels, taps, first, 1.0f);
            first = false;
            taps.count = 0;
          }
          taps.at[taps.count++] =
              args.x +
              (from + static_cast<std::ptrdiff_t>(i * axis[0].dilation * axis[0].input_step +
                                                  j * axis[1].dilation * axis[1].input_step +
                                                  k * axis[2].dilation * axis[2].input_step));
        }
    fold_taps<Fold>(y, args.channels, taps, first, count);
  }
}

}  // namespace

void max_pool(const PoolArgs& args, std::size_t pixel_begin, std::size_t pixel_end) {
  pool<MaxFold>(args, pixel_begin, pixel_end);
}

void average_pool(const PoolArgs& args, std::size_t pixel_begin, std::size_t pixel_end) {
  pool<SumFold>(args, pixel_begin, pixel_end);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(max_pool, Pool)
SDX_DEFINE_KERNEL(average_pool, Pool)
}  // namespace sdx::kernels
