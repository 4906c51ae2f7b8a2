// Gathering the terms of a transposed convolution: a pixel of y sums the taps that fall on it.
#include "kernels/conv_transpose.h"

#include "kernels/simd/finish.h"
#include "kernels/simd/window_taps.h"

namespace sdx::kernels {
namespace SDX_ISA {
namespace {

// Terms gathered before they are added up; pixels with more go in several rounds.
constexpr std::size_t kMaxTerms = 32;

struct Terms {
  std::size_t count;
  const float* at[kMaxTerms];
  const float* weight[kMaxTerms];
};

// Adds the terms to y, or starts it with them and the bias; the last round finishes it.
template <bool kWeighted>
SDX_INLINE void add_terms(const GatherArgs& args, std::size_t pixel, const Terms& terms, bool first,
                          bool last) {
  float* y = args.y + pixel * args.y_step;
  for_each_vector(
      args.outputs, [&](std::size_t c, auto lanes) __attribute__((always_inline)) {
        using L = decltype(lanes);
        VecF sum = first ? bias_at(args.epilogue, c, lanes) : L::load_from(y + c, lanes);
        for (std::size_t t = 0; t < terms.count; ++t) {
          const VecF term = L::load_from(terms.at[t] + c, lanes);
          sum += kWeighted ? term * L::load_from(terms.weight[t] + c, lanes) : term;
        }
        if (last)
          finish_vector(args.epilogue, pixel, c, y + c, sum, lanes);
        else
          L::store_to(y + c, sum, lanes);
      });
}

// The taps of an axis that fall on one of its pixels: from `tap` on, tap_step apart, on columns
// from `column` on, column_step apart, downwards.
struct Falling {
  std::size_t count, tap, tap_step, column, column_step;
};

SDX_INLINE Falling falling_on(const WindowAxis& axis, std::size_t i) {
  const std::ptrdiff_t reach = static_cast<std::ptrdiff_t>(i) + axis.pad;
  Falling found{0, 0, 1, 0, 0};
  if (reach < 0) return found;
  const std::size_t at = static_cast<std::size_t>(reach);
  const auto falls = [&](std::size_t tap) {
    const std::size_t shift = tap * axis.dilation;
    return shift <= at && (at - shift) % axis.stride == 0;
  };
  // Among as many taps as the stride counts, one falls on the pixel or none ever does.
  const std::size_t tries = axis.taps < axis.stride ? axis.taps : axis.stride;
  std::size_t tap = axis.dilation == 1 ? at % axis.stride : 0;
  while (tap < tries && !falls(tap)) ++tap;
  if (tap >= tries) return found;
  std::size_t period = axis.stride;
  if (axis.dilation != 1)
    for (period = 1; period * axis.dilation % axis.stride != 0;) ++period;
  found.tap_step = period;
  found.column_step = period * axis.dilation / axis.stride;
  found.column = (at - tap * axis.dilation) / axis.stride;
  // Taps of columns past the last fall outside.
  while (tap < axis.taps && found.column >= axis.output) {
    if (found.column < found.column_step) return found;
    tap += period;
    found.column -= found.column_step;
  }
  if (tap >= axis.taps) return found;
  found.tap = tap;
  const std::size_t by_taps = (axis.taps - 1 - tap) / period + 1;
  const std::size_t by_columns = found.column / found.column_step + 1;
  found.count = by_taps < by_columns ? by_taps : by_columns;
  return found;
}

// A row of columns, and the taps along the width that of it fall on a row of y.
struct TermRow {
  std::size_t row, tap_row;
};

SDX_INLINE TermRow term_row(const WindowAxis& height, const Falling& deep, std::size_t i,
                            const Falling& down, std::size_t j) {
  const std::size_t plane = deep.column - i * deep.column_step;
  return {plane * height.output + down.column - j * down.column_step,
          (deep.tap + i * deep.tap_step) * height.taps + down.tap + j * down.tap_step};
}

template <bool kWeighted>
SDX_INLINE void gather_pixel(const GatherArgs& args, std::size_t pixel, const Falling& deep,
                             const Falling& down) {
  const WindowAxis* axis = args.window.axis;
  const Falling across = falling_on(axis[2], pixel % axis[2].input);
  const std::size_t taps = tap_count(args.window);
  Terms terms;
  terms.count = 0;
  bool first = true;
  for (std::size_t i = 0; i < deep.count; ++i)
    for (std::size_t j = 0; j < down.count; ++j) {
      const TermRow at = term_row(axis[1], deep, i, down, j);
      std::size_t column = at.row * axis[2].output + across.column - args.first_column;
      std::size_t tap = at.tap_row * axis[2].taps + across.tap;
      for (std::size_t k = 0; k < across.count; ++k) {
        if (terms.count == kMaxTerms) {
          add_terms<kWeighted>(args, pixel, terms, first, false);
          first = false;
          terms.count = 0;
        }
        if (kWeighted) {
          terms.weight[terms.count] = args.weights + tap * args.outputs;
          terms.at[terms.count++] = args.columns + column * args.x_step;
        } else {
          terms.at[terms.count++] = args.columns + (column * taps + tap) * args.outputs;
        }
        column -= across.column_step;
        tap += across.tap_step;
      }
    }
  add_terms<kWeighted>(args, pixel, terms, first, true);
  finish_row(args.epilogue, pixel, args.y + pixel * args.y_step, args.outputs);
}

// Whether the taps of a column along the width are one run of y, of so few channels that vectors of
// one pixel would stay empty.
SDX_INLINE bool has_runs(const GatherArgs& args) {
  return !args.weights && args.window.axis[2].dilation == 1 && args.outputs <= kF32 &&
         args.y_step == args.outputs && !args.epilogue.residual;
}

// Pixels [begin, end) along the width of the row of y that starts at `row_pixel`. Runs are cut at
// the stride, so that those of neighbouring columns lie side by side.
void add_runs(const GatherArgs& args, std::size_t row_pixel, std::size_t begin, std::size_t end,
              const Falling& deep, const Falling& down) {
  const WindowAxis* axis = args.window.axis;
  const std::size_t m = args.outputs, width_taps = axis[2].taps, stride = axis[2].stride;
  const std::size_t taps = tap_count(args.window);
  const auto first_pixel = static_cast<std::ptrdiff_t>(begin);
  const auto end_pixel = static_cast<std::ptrdiff_t>(end);
  float* y = args.y + row_pixel * m;
  const Lanes<true> pixel_lanes{m};
  const VecF bias = bias_at(args.epilogue, 0, pixel_lanes);
  for (std::size_t i = begin; i < end; ++i) pixel_lanes.store_to(y + i * m, bias, pixel_lanes);
  const auto add_column = [&](const float* column, std::ptrdiff_t from, std::ptrdiff_t run)
      __attribute__((always_inline)) {
    const std::ptrdiff_t low = from > first_pixel ? from : first_pixel;
    const std::ptrdiff_t high = from + run < end_pixel ? from + run : end_pixel;
    if (low >= high) return;
    float* to = y + static_cast<std::size_t>(low) * m;
    const float* terms = column + static_cast<std::size_t>(low - from) * m;
    for_each_vector(
        static_cast<std::size_t>(high - low) * m, [&](std::size_t i,
                                                      auto lanes) __attribute__((always_inline)) {
          lanes.store_to(to + i, lanes.load_from(to + i, lanes) + lanes.load_from(terms + i, lanes),
                         lanes);
        });
  };
  for (std::size_t i = 0; i < deep.count; ++i)
    for (std::size_t j = 0; j < down.count; ++j) {
      const TermRow at = term_row(axis[1], deep, i, down, j);
      for (std::size_t t = 0; t < width_taps; t += stride) {
        const std::size_t run = width_taps - t < stride ? width_taps - t : stride;
        const std::ptrdiff_t start = static_cast<std::ptrdiff_t>(t) - axis[2].pad;
        const std::ptrdiff_t before = first_pixel - start - static_cast<std::ptrdiff_t>(run) + 1;
        std::size_t k = before <= 0 ? 0 : (static_cast<std::size_t>(before) + stride - 1) / stride;
        const std::size_t pixel = at.row * axis[2].output + k - args.first_column;
        const float* column = args.columns + (pixel * taps + at.tap_row * width_taps + t) * m;
        for (; k < axis[2].output; ++k, column += taps * m) {
          const std::ptrdiff_t from = static_cast<std::ptrdiff_t>(k * stride) + start;
          if (from >= end_pixel) break;
          add_column(column, from, static_cast<std::ptrdiff_t>(run));
        }
      }
    }
  y += begin * m;
  if (args.epilogue.activation != Activation::none && is_simple(args.epilogue.activation))
    for_each_vector((end - begin) * m, [&](std::size_t i,
                                           auto lanes) __attribute__((always_inline)) {
      lanes.store_to(y + i, activate_simple(lanes.load_from(y + i, lanes), args.epilogue), lanes);
    });
  finish_rows(args.epilogue, row_pixel + begin, end - begin, y, m, m);
}

template <bool kWeighted>
void gather_pixels(const GatherArgs& args, std::size_t pixel_begin, std::size_t pixel_end) {
  const WindowAxis* axis = args.window.axis;
  const std::size_t width = axis[2].input;
  for (std::size_t pixel = pixel_begin; pixel < pixel_end;) {
    const std::size_t row = pixel / width;
    const Falling deep = falling_on(axis[0], row / axis[1].input);
    const Falling down = falling_on(axis[1], row % axis[1].input);
    const std::size_t end = (row + 1) * width < pixel_end ? (row + 1) * width : pixel_end;
    if (has_runs(args)) {
      add_runs(args, row * width, pixel - row * width, end - row * width, deep, down);
      pixel = end;
    }
    for (; pixel < end; ++pixel) gather_pixel<kWeighted>(args, pixel, deep, down);
  }
}

}  // namespace

void conv_transpose_gather(const GatherArgs& args, std::size_t pixel_begin, std::size_t pixel_end) {
  if (args.weights)
    gather_pixels<true>(args, pixel_begin, pixel_end);
  else
    gather_pixels<false>(args, pixel_begin, pixel_end);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(conv_transpose_gather, ConvTransposeGather)
}  // namespace sdx::kernels
