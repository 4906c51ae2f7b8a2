#include "api/peaks.h"

#include "base/error.h"
#include "ops/peaks.h"

namespace sdx {

double Peaks::gbytes_at(double bytes) const {
  for (const auto& [limit, rate] : levels)
    if (bytes <= static_cast<double>(limit)) return rate;
  return gbytes;
}

Peaks measure_peaks(int threads) {
  check_argument(threads > 0, "threads: expected a positive number, got ", threads);
  const ops::MeasuredPeaks measured = ops::measure_peaks(threads);
  Peaks peaks;
  peaks.gflops = measured.flops / 1e9;
  peaks.gbytes = measured.levels.back().bytes_a_second / 1e9;
  for (const auto& level : measured.levels)
    peaks.levels.emplace_back(level.bytes, level.bytes_a_second / 1e9);
  return peaks;
}

}  // namespace sdx
