// Packing of 8-bit weights, sums of rows, and the depthwise convolution.
#include "kernels/int8.h"

#include "kernels/simd/dot.h"
#include "kernels/simd/int8_epilogue.h"

namespace sdx::kernels {
namespace SDX_ISA {

void int8_pack(const Int8PackArgs& args) {
  const uint8_t* b = static_cast<const uint8_t*>(args.b);
  const uint8_t flip = args.b_is_signed ? 0 : 0x80;  // unsigned less 128
  int8_t* out = args.packed;
  for (std::size_t first = 0; first < args.n; first += kInt8PanelCols) {
    int32_t* sums = args.column_sums + first;
    for (std::size_t j = 0; j < kInt8PanelCols; ++j) sums[j] = 0;
    const std::size_t columns = args.n - first < kInt8PanelCols ? args.n - first : kInt8PanelCols;
    for (std::size_t group = 0; group < args.k; group += args.group)
      for (std::size_t quad = 0; quad < args.group; quad += 4, out += kInt8PanelCols * 4)
        for (std::size_t q = 0; q < 4; ++q) {
          const bool inside = quad + q < args.group;
          const std::size_t used = inside ? columns : 0;
          const uint8_t* row = b + (inside ? group + quad + q : 0) * args.k_stride;
          for (std::size_t j = 0; j < used; ++j) {
            const auto value = static_cast<int8_t>(row[(first + j) * args.n_stride] ^ flip);
            out[j * 4 + q] = value;
            sums[j] += value;
          }
          for (std::size_t j = used; j < kInt8PanelCols; ++j) out[j * 4 + q] = 0;
        }
  }
}

void int8_row_sums(const Int8Rows& a, std::size_t rows, int32_t* sums) {
  for (std::size_t r = 0; r < rows; ++r) {
    VecI total{};
    int32_t sum = 0;
    for (std::size_t t = 0; t < a.taps; ++t) {
      const uint8_t* p = row_of(a, r, t);
      std::size_t i = 0;
      for (; i + kF32 <= a.channels; i += kF32)
        total +=
            a.is_signed ? load_lanes(reinterpret_cast<const int8_t*>(p + i)) : load_lanes(p + i);
      for (; i < a.channels; ++i)
        sum += a.is_signed ? static_cast<int32_t>(static_cast<int8_t>(p[i])) : int32_t{p[i]};
    }
    for (std::size_t k = 0; k < kF32; ++k) sum += total[k];
    sums[r] = sum;
  }
}

// The product of lanes in [0, 255] and lanes in [-128, 127]: the upper halves meet zeros.
SDX_INLINE VecI multiply_small(VecI a, VecI b) {
  return multiply_pairs(reinterpret_cast<VecS16>(a), reinterpret_cast<VecS16>(b));
}

constexpr std::size_t kDepthwiseRows = 4;

// Sums of kRows pixels from `row` on and one vector of channels, or the first few lanes of one.
template <std::size_t kRows>
SDX_INLINE void depthwise_strip(const Int8DepthwiseArgs& args, std::size_t row, std::size_t channel,
                                std::size_t lanes, VecI flip, int32_t (*sums)[kInt8PanelCols],
                                std::size_t at) {
  VecI acc[kRows] = {};
  for (std::size_t t = 0; t < args.a.taps; ++t) {
    const int8_t* w = args.weights + t * args.a.channels + channel;
    const VecI weights = lanes == kF32 ? load_lanes(w) : load_lanes_head(w, lanes);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < kRows; ++i) {
      const uint8_t* p = row_of(args.a, row + i, t) + channel;
      const VecI bytes = lanes == kF32 ? load_lanes(p) : load_lanes_head(p, lanes);
      acc[i] += multiply_small(bytes ^ flip, weights);
    }
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kRows; ++i) store(sums[i] + at, acc[i]);
}

void int8_depthwise(const Int8DepthwiseArgs& args) {
  const VecI flip = splat(args.a.is_signed ? 0x80 : 0);
  int32_t sums[kDepthwiseRows][kInt8PanelCols];
  Int8Panel panel;
  for (std::size_t first = args.channel_begin; first < args.channel_end; first += kInt8PanelCols) {
    const std::size_t left = args.channel_end - first;
    const std::size_t columns = left < kInt8PanelCols ? left : kInt8PanelCols;
    begin_panel(args.epilogue, first, columns, args.a.is_signed ? 128 : 0, &panel);
    for (std::size_t row = 0; row < args.rows;) {
      const std::size_t rows = args.rows - row < kDepthwiseRows ? 1 : kDepthwiseRows;
      for (std::size_t c = 0; c < columns; c += kF32) {
        const std::size_t lanes = columns - c < kF32 ? columns - c : kF32;
        if (rows == kDepthwiseRows)
          depthwise_strip<kDepthwiseRows>(args, row, first + c, lanes, flip, sums, c);
        else
          depthwise_strip<1>(args, row, first + c, lanes, flip, sums, c);
      }
      for (std::size_t i = 0; i < rows; ++i, ++row)
        finish_row(sums[i], args.epilogue, panel, row, args.a.taps);
    }
  }
}

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(int8_pack, Int8Pack)
SDX_DEFINE_KERNEL(int8_row_sums, Int8RowSums)
SDX_DEFINE_KERNEL(int8_depthwise, Int8Depthwise)

}  // namespace sdx::kernels
