#include <chrono>
#include <cstring>

#include "base/tensor.h"
#include "base/thread_pool.h"
#include "kernels/peak.h"
#include "ops/peaks.h"

namespace sdx::ops {
namespace {

using Clock = std::chrono::steady_clock;

// Sizes that lie well within the caches of common processors, and one beyond them all.
constexpr int64_t kLevels[] = {int64_t{16} << 10, int64_t{512} << 10, int64_t{8} << 20};
constexpr int64_t kMemory = int64_t{256} << 20;
constexpr double kSecondsByLevel = 0.05;
constexpr std::size_t kRounds = 100'000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Seconds of one call by every thread at once: the fastest of several.
template <class F>
double fastest(ThreadPool& pool, const F& work) {
  double best = 1e30;
  const ThreadPool::Session session(&pool);
  const auto begin = Clock::now();
  int runs = 0;
  do {
    const auto start = Clock::now();
    pool.run(pool.threads(), ThreadPool::Pieces::single, [&](int64_t thread, int64_t end) {
      for (; thread < end; ++thread) work(thread);
    });
    if (runs > 0) best = std::min(best, seconds_since(start));  // the first one touches its data
  } while (++runs < 3 || seconds_since(begin) < kSecondsByLevel);
  return best;
}

}  // namespace

MeasuredPeaks measure_peaks(int threads) {
  const auto pool = ThreadPool::shared(threads);
  const auto flops = kernels::peak_flops.resolve();
  const auto read = kernels::peak_read.resolve();
  MeasuredPeaks peaks;
  double operations = 0;
  const double seconds = fastest(*pool, [&](int64_t thread) {
    float sink = 1;
    const double done = flops(kRounds, &sink);
    if (thread == 0) operations = done;
  });
  peaks.flops = operations * threads / seconds;

  const int64_t share = kMemory / threads;
  std::vector<std::shared_ptr<void>> blocks;
  for (int thread = 0; thread < threads; ++thread) {
    blocks.push_back(allocate_bytes(static_cast<std::size_t>(share)));
    std::memset(blocks.back().get(), 0, static_cast<std::size_t>(share));
  }
  const auto measure = [&](int64_t bytes) {
    // Short reads are repeated, so that handing out the work does not count.
    const int64_t repeats = std::max<int64_t>(1, (int64_t{4} << 20) / bytes);
    const double taken = fastest(*pool, [&](int64_t thread) {
      const auto* x = static_cast<const float*>(blocks[static_cast<std::size_t>(thread)].get());
      float sink = 0;
      for (int64_t i = 0; i < repeats; ++i)
        read(x, static_cast<std::size_t>(bytes) / sizeof(float), &sink);
    });
    peaks.levels.push_back({bytes, static_cast<double>(bytes * repeats * threads) / taken});
  };
  for (const int64_t bytes : kLevels) measure(bytes);
  measure(share);
  return peaks;
}

}  // namespace sdx::ops
