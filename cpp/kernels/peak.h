// What a processor can do at most: multiply-adds without memory, and reading without arithmetic.
#pragma once

#include "kernels/kernel.h"

namespace sdx::kernels {

// Independent chains of multiply-adds, `rounds` long. Returns how many operations that were; the
// result goes to `*sink`, so that it has to be computed.
using PeakFlops = double(std::size_t rounds, float* sink);
extern const Kernel<PeakFlops, kIsaCount> peak_flops;

// Reads n floats once; their sum goes to `*sink`. Prefers x aligned to 64 and n a multiple of 64.
using PeakRead = void(const float* x, std::size_t n, float* sink);
extern const Kernel<PeakRead, kIsaCount> peak_read;

}  // namespace sdx::kernels
