// Transposing a square of kF32 x kF32 floats in registers.
#pragma once

#include "kernels/simd/vec.h"

namespace sdx::kernels {
namespace SDX_ISA {

template <int... kLanes>
struct LaneList {
  // Swaps the off-diagonal squares of side kSide of the 2 x 2 squares that a and b are rows of.
  template <int kSide>
  SDX_INLINE void exchange(VecF& a, VecF& b) {
    constexpr int kCount = sizeof...(kLanes);
    const VecF low =
        __builtin_shufflevector(a, b, ((kLanes & kSide) ? kCount + kLanes - kSide : kLanes)...);
    const VecF high =
        __builtin_shufflevector(a, b, ((kLanes & kSide) ? kCount + kLanes : kLanes + kSide)...);
    a = low;
    b = high;
  }

  // Lanes 0, 2, 4 ... of a, then of b; and lanes 1, 3, 5 ...
  SDX_INLINE VecF even(VecF a, VecF b) { return __builtin_shufflevector(a, b, 2 * kLanes...); }
  SDX_INLINE VecF odd(VecF a, VecF b) { return __builtin_shufflevector(a, b, (2 * kLanes + 1)...); }

  // Lanes of a and b in turns: of their lower halves, or of their upper ones.
  template <bool kUpper>
  SDX_INLINE VecF zip(VecF a, VecF b) {
    constexpr int kCount = sizeof...(kLanes), kFirst = kUpper ? kCount / 2 : 0;
    return __builtin_shufflevector(a, b, (kFirst + kLanes / 2 + kLanes % 2 * kCount)...);
  }
};

template <int kCount, int... kLanes>
struct FirstLanes : FirstLanes<kCount - 1, kCount - 1, kLanes...> {};
template <int... kLanes>
struct FirstLanes<0, kLanes...> {
  using List = LaneList<kLanes...>;
};

using AllLanes = FirstLanes<static_cast<int>(kF32)>::List;

template <int kSide>
SDX_INLINE void exchange_rows(VecF* rows) {
#pragma GCC unroll 16
  for (int i = 0; i < static_cast<int>(kF32); ++i)
    if (!(i & kSide)) AllLanes::exchange<kSide>(rows[i], rows[i + kSide]);
}

// rows[i][j] becomes rows[j][i].
SDX_INLINE void transpose_square(VecF (&rows)[kF32]) {
  exchange_rows<1>(rows);
  exchange_rows<2>(rows);
  if constexpr (kF32 > 4) exchange_rows<4>(rows);
  if constexpr (kF32 > 8) exchange_rows<8>(rows);
}

SDX_INLINE void transpose_square(const float* src, std::size_t lds, float* dst, std::size_t ldd) {
  VecF rows[kF32];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kF32; ++i) rows[i] = load(src + i * lds);
  transpose_square(rows);
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kF32; ++i) store(dst + i * ldd, rows[i]);
}

}  // namespace SDX_ISA
}  // namespace sdx::kernels
