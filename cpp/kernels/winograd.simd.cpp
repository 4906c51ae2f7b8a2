// Winograd's F(4x4, 3x3) on the points 0, p, -p, q, -q and infinity with p = 3/4 and q = 3/2, whose
// squares and products are exact in binary.
#include "kernels/winograd.h"

#include "kernels/simd/finish.h"

namespace sdx::kernels {
namespace SDX_ISA {

GemmPacked gemm_packed;
GemmPackB gemm_pack_b;
GemmTilingQuery gemm_tiling;

namespace {

constexpr int kSide = 6;  // of a tile of inputs and of its transform
constexpr int kOut = 4;   // of a tile of outputs
constexpr float kP = 0.75f, kQ = 1.5f;
constexpr float kP2 = kP * kP, kQ2 = kQ * kQ;

// One axis of the input transform.
SDX_INLINE void transform_input(const VecF (&d)[kSide], VecF (&t)[kSide]) {
  t[0] = d[4] - (kP2 + kQ2) * d[2] + (kP2 * kQ2) * d[0];
  const VecF even_p = d[4] - kQ2 * d[2], odd_p = kP * (d[3] - kQ2 * d[1]);
  t[1] = even_p + odd_p;
  t[2] = even_p - odd_p;
  const VecF even_q = d[4] - kP2 * d[2], odd_q = kQ * (d[3] - kP2 * d[1]);
  t[3] = even_q + odd_q;
  t[4] = even_q - odd_q;
  t[5] = d[5] - (kP2 + kQ2) * d[3] + (kP2 * kQ2) * d[1];
}

// One axis of the output transform.
SDX_INLINE void transform_output(const VecF (&m)[kSide], VecF (&y)[kOut]) {
  const VecF sum_p = m[1] + m[2], difference_p = m[1] - m[2];
  const VecF sum_q = m[3] + m[4], difference_q = m[3] - m[4];
  y[0] = m[0] + sum_p + sum_q;
  y[1] = kP * difference_p + kQ * difference_q;
  y[2] = kP2 * sum_p + kQ2 * sum_q;
  y[3] = (kP2 * kP) * difference_p + (kQ2 * kQ) * difference_q + m[5];
}

// One axis of the weight transform, in double: weights are made once.
SDX_INLINE void transform_weights(double a, double b, double c, double* g) {
  constexpr double p = kP, q = kQ, p2 = kP2, q2 = kQ2;
  constexpr double at_p = 1 / (2 * p2 * (p2 - q2)), at_q = 1 / (2 * q2 * (q2 - p2));
  g[0] = a / (p2 * q2);
  g[1] = (a + p * b + p2 * c) * at_p;
  g[2] = (a - p * b + p2 * c) * at_p;
  g[3] = (a + q * b + q2 * c) * at_q;
  g[4] = (a - q * b + q2 * c) * at_q;
  g[5] = c;
}

// The part of a 6x6 square of inputs that lies inside the image.
struct Square {
  std::ptrdiff_t top, left;  // of the square in the image
  int row_begin, row_end, column_begin, column_end;
};

SDX_INLINE int clamp_to_side(std::ptrdiff_t v) {
  return v < 0 ? 0 : v > kSide ? kSide : static_cast<int>(v);
}

SDX_INLINE Square square_of(const WinogradArgs& args, std::size_t tile) {
  const std::size_t across = (args.output_width + kOut - 1) / kOut;
  Square s;
  s.top = static_cast<std::ptrdiff_t>(tile / across * kOut) - args.pad_top;
  s.left = static_cast<std::ptrdiff_t>(tile % across * kOut) - args.pad_left;
  s.row_begin = clamp_to_side(-s.top);
  s.row_end = clamp_to_side(static_cast<std::ptrdiff_t>(args.height) - s.top);
  s.column_begin = clamp_to_side(-s.left);
  s.column_end = clamp_to_side(static_cast<std::ptrdiff_t>(args.width) - s.left);
  return s;
}

template <bool kWhole, class L>
SDX_INLINE void transform_square(const WinogradArgs& args, const Square& s, std::size_t channel,
                                 float* planes, std::size_t plane_step, L lanes) {
  const std::ptrdiff_t column_step = static_cast<std::ptrdiff_t>(args.channels);
  const std::ptrdiff_t row_step = static_cast<std::ptrdiff_t>(args.width) * column_step;
  const std::ptrdiff_t origin =
      s.top * row_step + s.left * column_step + static_cast<std::ptrdiff_t>(channel);
  VecF half[kSide][kSide];
#pragma GCC unroll 8
  for (int j = 0; j < kSide; ++j) {
    VecF d[kSide], t[kSide];
#pragma GCC unroll 8
    for (int i = 0; i < kSide; ++i) {
      d[i] = VecF{};
      if (kWhole || (i >= s.row_begin && i < s.row_end && j >= s.column_begin && j < s.column_end))
        d[i] = L::load_from(args.x + (origin + i * row_step + j * column_step), lanes);
    }
    transform_input(d, t);
#pragma GCC unroll 8
    for (int i = 0; i < kSide; ++i) half[i][j] = t[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < kSide; ++i) {
    VecF t[kSide];
    transform_input(half[i], t);
#pragma GCC unroll 8
    for (int j = 0; j < kSide; ++j) store(planes + (i * kSide + j) * plane_step + channel, t[j]);
  }
}

template <class L>
SDX_INLINE void transform_back(const WinogradArgs& args, const float* planes,
                               std::size_t plane_step, std::size_t top, std::size_t left,
                               std::size_t channel, L lanes) {
  VecF half[kOut][kSide];
#pragma GCC unroll 8
  for (int j = 0; j < kSide; ++j) {
    VecF m[kSide], y[kOut];
#pragma GCC unroll 8
    for (int i = 0; i < kSide; ++i) m[i] = load(planes + (i * kSide + j) * plane_step + channel);
    transform_output(m, y);
#pragma GCC unroll 8
    for (int i = 0; i < kOut; ++i) half[i][j] = y[i];
  }
  const VecF bias = bias_at(args.epilogue, channel, lanes);
#pragma GCC unroll 8
  for (int i = 0; i < kOut; ++i) {
    if (top + i >= args.output_height) break;
    VecF y[kOut];
    transform_output(half[i], y);
#pragma GCC unroll 8
    for (int j = 0; j < kOut; ++j) {
      if (left + j >= args.output_width) break;
      const std::size_t pixel = (top + i) * args.output_width + left + j;
      finish_vector(args.epilogue, pixel, channel, args.y + pixel * args.y_step + channel,
                    y[j] + bias, lanes);
    }
  }
}

std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

}  // namespace

void winograd_pack(std::size_t channels, std::size_t outputs, const float* weights, float* packed,
                   std::size_t panel_begin, std::size_t panel_end) {
  const GemmTiling tiling = gemm_tiling();
  const std::size_t plane = (outputs + tiling.lanes - 1) / tiling.lanes * tiling.lanes * channels;
  for (std::size_t p = panel_begin; p < panel_end && p * tiling.columns < outputs; ++p) {
    const std::size_t column = p * tiling.columns;
    const std::size_t columns = smaller(tiling.columns, outputs - column);
    const std::size_t width = (columns + tiling.lanes - 1) / tiling.lanes * tiling.lanes;
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t j = 0; j < width; ++j) {
        float* to = packed + column * channels + c * width + j;
        if (j >= columns) {
          for (std::size_t f = 0; f < kWinogradPlanes; ++f) to[f * plane] = 0;
          continue;
        }
        const float* w = weights + ((column + j) * channels + c) * 9;
        double half[3][kSide];
        for (int x = 0; x < 3; ++x) transform_weights(w[x], w[3 + x], w[6 + x], half[x]);
        for (int i = 0; i < kSide; ++i) {
          double g[kSide];
          transform_weights(half[0][i], half[1][i], half[2][i], g);
          for (int x = 0; x < kSide; ++x) to[(i * kSide + x) * plane] = static_cast<float>(g[x]);
        }
      }
  }
}

void winograd_input(const WinogradArgs& args, const WinogradBlockRange& block,
                    std::size_t tile_begin, std::size_t tile_end, float* scratch) {
  const std::size_t row_step = winograd_row_step(args.channels);
  const std::size_t plane_step =
      winograd_plane_step(block.block_end - block.block_begin, args.channels);
  for (std::size_t tile = tile_begin; tile < tile_end; ++tile) {
    const Square s = square_of(args, tile);
    float* planes = scratch + (tile - block.block_begin) * row_step;
    const bool whole =
        s.row_begin == 0 && s.row_end == kSide && s.column_begin == 0 && s.column_end == kSide;
    for_each_vector(
        args.channels, [&](std::size_t c, auto lanes) __attribute__((always_inline)) {
          if (whole)
            transform_square<true>(args, s, c, planes, plane_step, lanes);
          else
            transform_square<false>(args, s, c, planes, plane_step, lanes);
        });
  }
}

void winograd_multiply(const WinogradArgs& args, const WinogradBlockRange& block,
                       std::size_t plane_begin, std::size_t plane_end, std::size_t panel_begin,
                       std::size_t panel_end, float* scratch) {
  const GemmTiling tiling = gemm_tiling();
  const std::size_t tiles = block.block_end - block.block_begin;
  const std::size_t input_step = winograd_plane_step(tiles, args.channels);
  const std::size_t output_step = winograd_plane_step(tiles, args.outputs);
  const std::size_t weight_step =
      (args.outputs + tiling.lanes - 1) / tiling.lanes * tiling.lanes * args.channels;
  float* products = scratch + kWinogradPlanes * input_step;
  for (std::size_t f = plane_begin; f < plane_end; ++f) {
    const GemmArgs product{.m = tiles,
                           .n = args.outputs,
                           .k = args.channels,
                           .a = scratch + f * input_step,
                           .lda = winograd_row_step(args.channels),
                           .b = args.packed + f * weight_step,
                           .c = products + f * output_step,
                           .ldc = winograd_row_step(args.outputs)};
    gemm_packed(product, {0, tiles, panel_begin, panel_end});
  }
}

void winograd_output(const WinogradArgs& args, const WinogradBlockRange& block,
                     std::size_t tile_begin, std::size_t tile_end, float* scratch) {
  const std::size_t tiles = block.block_end - block.block_begin;
  const std::size_t row_step = winograd_row_step(args.outputs);
  const std::size_t plane_step = winograd_plane_step(tiles, args.outputs);
  const float* products = scratch + kWinogradPlanes * winograd_plane_step(tiles, args.channels);
  const std::size_t across = (args.output_width + kOut - 1) / kOut;
  for (std::size_t tile = tile_begin; tile < tile_end; ++tile) {
    const std::size_t top = tile / across * kOut, left = tile % across * kOut;
    const float* planes = products + (tile - block.block_begin) * row_step;
    for_each_vector(
        args.outputs, [&](std::size_t c, auto lanes) __attribute__((always_inline)) {
          transform_back(args, planes, plane_step, top, left, c, lanes);
        });
    for (std::size_t i = top; i < smaller(top + kOut, args.output_height); ++i)
      for (std::size_t j = left; j < smaller(left + kOut, args.output_width); ++j) {
        const std::size_t pixel = i * args.output_width + j;
        finish_row(args.epilogue, pixel, args.y + pixel * args.y_step, args.outputs);
      }
  }
}

void winograd_block(const WinogradArgs& args, std::size_t tile_begin, std::size_t tile_end,
                    float* scratch) {
  const WinogradBlockRange block{tile_begin, tile_end};
  const std::size_t panels = (args.outputs + gemm_tiling().columns - 1) / gemm_tiling().columns;
  winograd_input(args, block, tile_begin, tile_end, scratch);
  winograd_multiply(args, block, 0, kWinogradPlanes, 0, panels, scratch);
  winograd_output(args, block, tile_begin, tile_end, scratch);
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(winograd_pack, WinogradPack)
SDX_DEFINE_KERNEL(winograd_block, WinogradBlock)
SDX_DEFINE_KERNEL(winograd_input, WinogradTransform)
SDX_DEFINE_KERNEL(winograd_output, WinogradTransform)
SDX_DEFINE_KERNEL(winograd_multiply, WinogradMultiply)
}  // namespace sdx::kernels
