// What the other lines are held against.
#include "bench.h"
#include "kernels/peak.h"

namespace sdx::bench {

void bench_peaks(const Bench& bench) {
  constexpr std::size_t kRounds = 10'000;
  float sink = 1;
  for (const auto& [isa, run] : kernels::peak_flops.variants) {
    if (isa > kernels::host_isa()) break;
    bench.time("peak_flops", isa, "registers", {run(kRounds, &sink), 0},
               [&, run = run] { run(kRounds, &sink); });
  }
  for (const std::size_t floats : {std::size_t{4} << 10, std::size_t{128} << 10,
                                   std::size_t{2} << 20, std::size_t{64} << 20}) {
    Buffer<float> x(floats);
    const auto bytes = static_cast<double>(4 * floats);
    for (const auto& [isa, run] : kernels::peak_read.variants)
      bench.time("peak_read", isa, std::to_string(floats / 256) + " KiB", {0, bytes},
                 [&, run = run] { run(x.data(), floats, &sink); });
  }
}

}  // namespace sdx::bench
