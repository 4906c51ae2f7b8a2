// Between f32 and the 16-bit floats.
#include "kernels/convert.h"

#include "kernels/simd/half.h"

namespace sdx::kernels {
namespace SDX_ISA {

template <class F>
SDX_INLINE void widen(const uint16_t* x, float* y, std::size_t n, F load_half) {
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) store(y + i, load_half(x + i));
  if (i == n) return;
  uint16_t lanes[kF32] = {};
  for (std::size_t k = 0; k < n - i; ++k) lanes[k] = x[i + k];
  store_head(y + i, load_half(lanes), n - i);
}

template <class F>
SDX_INLINE void narrow(const float* x, uint16_t* y, std::size_t n, F store_half) {
  std::size_t i = 0;
  for (; i + kF32 <= n; i += kF32) store_half(y + i, load(x + i));
  if (i == n) return;
  uint16_t lanes[kF32];
  store_half(lanes, load_head(x + i, n - i));
  for (std::size_t k = 0; k < n - i; ++k) y[i + k] = lanes[k];
}

void f16_to_f32(const uint16_t* x, float* y, std::size_t n) { widen(x, y, n, load_f16); }
void bf16_to_f32(const uint16_t* x, float* y, std::size_t n) { widen(x, y, n, load_bf16); }
void f32_to_f16(const float* x, uint16_t* y, std::size_t n) { narrow(x, y, n, store_f16); }
void f32_to_bf16(const float* x, uint16_t* y, std::size_t n) { narrow(x, y, n, store_bf16); }

}  // namespace SDX_ISA

SDX_DEFINE_KERNEL(f16_to_f32, WidenF16)
SDX_DEFINE_KERNEL(bf16_to_f32, WidenF16)
SDX_DEFINE_KERNEL(f32_to_f16, NarrowF32)
SDX_DEFINE_KERNEL(f32_to_bf16, NarrowF32)

}  // namespace sdx::kernels
