// The range of a tensor chunk by chunk, then its elements.
#include <algorithm>
#include <cmath>

#include "kernels/quantize.h"
#include "ops/dynamic_quantize.h"

namespace sdx::ops {
namespace {

// Also where the range is not finite: then the quotient is NaN.
int32_t zero_point_of(float low, float scale) {
  const float zero = -low / scale;
  return zero >= 0 ? static_cast<int32_t>(std::nearbyint(std::min(zero, 255.0f))) : 0;
}

Split range_split(int64_t count) { return split_work(count, 0.2, 1024); }

}  // namespace

int64_t dynamic_quantize_scratch(int64_t count) {
  return range_split(count).chunks * static_cast<int64_t>(sizeof(kernels::MinMax));
}

DynamicScale dynamic_quantize(const Frame& frame, const float* x, int64_t count, uint8_t* y,
                              void* scratch) {
  auto* parts = static_cast<kernels::MinMax*>(scratch);
  const Split split = range_split(count);
  frame.parallel_for({split.chunks, split.chunks},
                     [&, min_max = kernels::min_max.resolve()](Range chunks) {
                       for (int64_t i = chunks.begin; i < chunks.end; ++i) {
                         const Range r = split.chunk(i);
                         parts[i] = min_max(x + r.begin, static_cast<std::size_t>(r.size()));
                       }
                     });
  float low = 0, high = 0;
  for (int64_t i = 0; i < split.chunks; ++i) {
    low = std::min(low, parts[i].min);
    high = std::max(high, parts[i].max);
  }
  DynamicScale found{.scale = (high - low) / 255.0f};
  if (found.scale == 0) found.scale = 1;
  found.zero_point = zero_point_of(low, found.scale);
  if (!y) return found;
  frame.parallel_for(split_work(count, 0.3, 64),
                     [&, quantize = kernels::quantize_u8.resolve()](Range r) {
                       quantize(x + r.begin, y + r.begin, static_cast<std::size_t>(r.size()),
                                found.scale, found.zero_point);
                     });
  return found;
}

}  // namespace sdx::ops
