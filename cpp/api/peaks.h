// What this machine can do at most: the roof that profiles are held against.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "api/shared.h"

namespace sdx {

struct Peaks {
  double gflops = 0;  // float32 multiply-adds, each counted as two
  double gbytes = 0;  // reading memory, a second
  // Bytes each thread reads again and again, and GB/s of all; ascending, the last is memory.
  std::vector<std::pair<int64_t, double>> levels;

  // Reading so many bytes again and again: from a cache where they fit.
  double gbytes_at(double bytes) const SDX_SHARED(gbytes_at);
};

// Measures what so many threads can do; takes about half a second.
Peaks measure_peaks(int threads) SDX_SHARED(measure_peaks);

}  // namespace sdx
