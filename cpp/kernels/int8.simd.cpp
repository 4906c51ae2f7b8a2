// Packing of 8-bit weights and sums of rows.
#include "kernels/int8.h"

#include "kernels/simd/int8_epilogue.h"

namespace sdx::kernels {
namespace SDX_ISA {

namespace {

// One panel of a matrix whose columns are contiguous: a quad of rows at once. Returns where the
// next panel goes.
int8_t* pack_columns(const uint8_t* column, const Int8PackArgs& args, std::size_t columns,
                     uint8_t flip, int8_t* out, int32_t* sums) {
  for (std::size_t j = 0; j < kInt8PanelCols; ++j) sums[j] = 0;
  for (std::size_t j = 0; j < columns; ++j) {
    const uint8_t* b = column + j * args.n_stride;
    int32_t sum = 0;
    for (std::size_t k = 0; k < args.k; ++k) sum += static_cast<int8_t>(b[k] ^ flip);
    sums[j] = sum;
  }
  const uint32_t flips = flip * 0x01010101u;
  for (std::size_t group = 0; group < args.k; group += args.group)
    for (std::size_t quad = 0; quad < args.group; quad += 4, out += kInt8PanelCols * 4) {
      const std::size_t rows = args.group - quad < 4 ? args.group - quad : 4;
      for (std::size_t j = 0; j < columns; ++j) {
        const uint8_t* from = column + j * args.n_stride + group + quad;
        uint32_t four = 0;
        if (rows == 4) {
          __builtin_memcpy(&four, from, 4);
          four ^= flips;
        } else {
          for (std::size_t q = 0; q < rows; ++q)
            four |= static_cast<uint32_t>(static_cast<uint8_t>(from[q] ^ flip)) << (8 * q);
        }
        __builtin_memcpy(out + j * 4, &four, 4);
      }
      for (std::size_t i = columns * 4; i < kInt8PanelCols * 4; ++i) out[i] = 0;
    }
  return out;
}

}  // namespace

void int8_pack(const Int8PackArgs& args) {
  const uint8_t* b = static_cast<const uint8_t*>(args.b);
  const uint8_t flip = args.b_is_signed ? 0 : 0x80;  // unsigned less 128
  int8_t* out = args.packed;
  for (std::size_t first = 0; first < args.n; first += kInt8PanelCols) {
    int32_t* sums = args.column_sums + first;
    for (std::size_t j = 0; j < kInt8PanelCols; ++j) sums[j] = 0;
    const std::size_t columns = args.n - first < kInt8PanelCols ? args.n - first : kInt8PanelCols;
    if (args.k_stride == 1) {
      out = pack_columns(b + first * args.n_stride, args, columns, flip, out, sums);
      continue;
    }
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

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(int8_pack, Int8Pack)
SDX_DEFINE_KERNEL(int8_row_sums, Int8RowSums)

}  // namespace sdx::kernels
