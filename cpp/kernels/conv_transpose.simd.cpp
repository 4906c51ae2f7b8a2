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
};

// Adds the terms to y, or starts it with them and the bias; the last round finishes it.
SDX_INLINE void add_terms(const GatherArgs& args, std::size_t pixel, const Terms& terms, bool first,
                          bool last) {
  float* y = args.y + pixel * args.y_step;
  for_each_vector(
      args.outputs, [&](std::size_t c, auto lanes) __attribute__((always_inline)) {
        using L = decltype(lanes);
        VecF sum = first ? bias_at(args.epilogue, c, lanes) : L::load_from(y + c, lanes);
        for (std::size_t t = 0; t < terms.count; ++t) sum += L::load_from(terms.at[t] + c, lanes);
        if (last)
          finish_vector(args.epilogue, pixel, c, y + c, sum, lanes);
        else
          L::store_to(y + c, sum, lanes);
      });
}

// The column pixel whose tap t falls on pixel i of an axis, or none.
SDX_INLINE bool find_column(const WindowAxis& axis, std::size_t i, std::size_t t,
                            std::size_t& column) {
  const std::ptrdiff_t at =
      static_cast<std::ptrdiff_t>(i) + axis.pad - static_cast<std::ptrdiff_t>(t * axis.dilation);
  if (at < 0 || static_cast<std::size_t>(at) % axis.stride != 0) return false;
  column = static_cast<std::size_t>(at) / axis.stride;
  return column < axis.output;
}

void gather_pixel(const GatherArgs& args, std::size_t pixel) {
  const WindowAxis* axis = args.window.axis;
  const std::size_t taps = tap_count(args.window);
  const std::size_t at[3] = {pixel / axis[2].input / axis[1].input,
                             pixel / axis[2].input % axis[1].input, pixel % axis[2].input};
  Terms terms;
  terms.count = 0;
  bool first = true;
  std::size_t d = 0, h = 0, w = 0;
  for (std::size_t i = 0; i < axis[0].taps; ++i) {
    if (!find_column(axis[0], at[0], i, d)) continue;
    for (std::size_t j = 0; j < axis[1].taps; ++j) {
      if (!find_column(axis[1], at[1], j, h)) continue;
      for (std::size_t k = 0; k < axis[2].taps; ++k) {
        if (!find_column(axis[2], at[2], k, w)) continue;
        if (terms.count == kMaxTerms) {
          add_terms(args, pixel, terms, first, false);
          first = false;
          terms.count = 0;
        }
        const std::size_t column = (d * axis[1].output + h) * axis[2].output + w;
        const std::size_t tap = (i * axis[1].taps + j) * axis[2].taps + k;
        terms.at[terms.count++] = args.columns + (column * taps + tap) * args.outputs;
      }
    }
  }
  add_terms(args, pixel, terms, first, true);
  finish_row(args.epilogue, pixel, args.y + pixel * args.y_step, args.outputs);
}

}  // namespace

void conv_transpose_gather(const GatherArgs& args, std::size_t pixel_begin, std::size_t pixel_end) {
  for (std::size_t pixel = pixel_begin; pixel < pixel_end; ++pixel) gather_pixel(args, pixel);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(conv_transpose_gather, ConvTransposeGather)
}  // namespace sdx::kernels
