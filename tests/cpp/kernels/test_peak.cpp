#include "kernels/peak.h"
#include "kernels/rows.h"

namespace sdx::kernels {

TEST_CASE("peaks count what they do and read every float") {
  for_each_variant(peak_flops, [](PeakFlops* run) {
    float sink = 1;
    const double few = run(10, &sink);
    CHECK(few > 0);
    CHECK(run(20, &sink) == 2 * few);
    CHECK(std::isfinite(sink));
  });
  for_each_variant(peak_read, [](PeakRead* run) {
    for (std::size_t n = 0; n <= 130; ++n) {
      Fenced<float> x(n);
      for (std::size_t i = 0; i < n; ++i) x.data()[i] = static_cast<float>(i + 1);
      float sink = -1;
      run(x.data(), n, &sink);
      CHECK(sink == static_cast<float>(n * (n + 1) / 2));
    }
  });
}

}  // namespace sdx::kernels
