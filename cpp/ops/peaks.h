// What this machine can do at most, measured with the kernels of the tier in use.
#pragma once

#include <cstdint>
#include <vector>

namespace sdx::ops {

struct MeasuredPeaks {
  double flops = 0;  // a second
  struct Level {
    int64_t bytes;          // read again and again, by each thread
    double bytes_a_second;  // by all threads together
  };
  std::vector<Level> levels;  // ascending; the last is memory
};

// Takes about half a second. Throws `out_of_memory`.
MeasuredPeaks measure_peaks(int threads);

}  // namespace sdx::ops
