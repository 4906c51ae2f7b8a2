// Every kernel variant this host can run on one thread: GFLOP/s (GOP/s for integers), GB/s, and the
// share of what the tier can do at most: of multiply-adds, or of reading from where the bytes fit.
//   sardonyx_bench [--seconds 0.1] [WORD...]      words choose lines: gemm avx2 512
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "bench.h"
#include "kernels/peak.h"

namespace sdx::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Enough calls that the clock's own cost does not show.
constexpr double kLeastSample = 50e-6;

// Seconds of one call: the fastest of samples, since whatever else the machine does only adds.
double fastest(const std::function<void()>& run, double seconds) {
  run();
  int calls = 1;
  for (;; calls *= 2) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) run();
    if (seconds_since(start) >= kLeastSample) break;
  }
  double best = 1e30;
  const auto begin = Clock::now();
  do {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) run();
    best = std::min(best, seconds_since(start) / calls);
  } while (seconds_since(begin) < seconds);
  return best;
}

}  // namespace

Buffer<float> random_floats(std::size_t count) {
  Buffer<float> buffer(count);
  uint32_t state = 1;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    buffer.data()[i] = static_cast<float>(state >> 8) / static_cast<float>(1 << 22) - 2.0f;
  }
  return buffer;
}

Bench::Bench(std::vector<std::string> words, double seconds)
    : words_(std::move(words)), seconds_(seconds) {}

double Bench::roof_seconds(kernels::Isa isa, const Work& work) const {
  const auto found = roofs_.find(isa);
  Roof& roof = found == roofs_.end() ? roofs_[isa] : found->second;
  if (found == roofs_.end()) {
    float sink = 1;
    double operations = 0;
    const auto peak_flops = kernels::peak_flops.resolve(isa);
    const double taken = fastest([&] { operations = peak_flops(100'000, &sink); }, 0.02);
    roof.flops = operations / taken;
    const auto peak_read = kernels::peak_read.resolve(isa);
    for (const std::size_t bytes : {std::size_t{16} << 10, std::size_t{512} << 10,
                                    std::size_t{8} << 20, std::size_t{256} << 20}) {
      Buffer<float> x(bytes / sizeof(float));
      const double read = fastest([&] { peak_read(x.data(), bytes / sizeof(float), &sink); }, 0.02);
      roof.bytes.emplace_back(static_cast<double>(bytes), static_cast<double>(bytes) / read);
    }
  }
  auto level = roof.bytes.begin();
  while (level + 1 != roof.bytes.end() && (work.cold || level->first < work.bytes)) ++level;
  return std::max(work.flops / roof.flops, work.bytes / level->second);
}

void Bench::time(std::string_view kernel, kernels::Isa isa, const std::string& shape,
                 const Work& work, const std::function<void()>& run) const {
  if (isa > kernels::host_isa()) return;
  const std::string line = std::string(kernel) + " " + kernels::isa_name(isa) + " " + shape;
  const auto asked = [&](const std::string& word) { return line.find(word) != line.npos; };
  if (!std::all_of(words_.begin(), words_.end(), asked)) return;
  const double taken = fastest(run, seconds_);
  std::printf("%-26s %-11s %-26s %12.2f us %9.1f %s %8.1f GB/s", std::string(kernel).c_str(),
              kernels::isa_name(isa), shape.c_str(), taken * 1e6, work.flops / taken / 1e9,
              work.integer ? "GOP/s  " : "GFLOP/s", work.bytes / taken / 1e9);
  if (work.integer)
    std::printf("\n");
  else
    std::printf(" %5.0f %%\n", 100 * roof_seconds(isa, work) / taken);
  std::fflush(stdout);
}

}  // namespace sdx::bench

int main(int argc, char** argv) {
  std::vector<std::string> words;
  double seconds = 0.1;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--seconds" && i + 1 < argc) {
      seconds = std::atof(argv[++i]);
    } else {
      words.emplace_back(argv[i]);
    }
  }
  const sdx::bench::Bench bench(std::move(words), seconds);
  sdx::bench::bench_matrix_products(bench);
  sdx::bench::bench_convolutions(bench);
  sdx::bench::bench_elementwise(bench);
  sdx::bench::bench_rows(bench);
  sdx::bench::bench_recurrent(bench);
  sdx::bench::bench_reductions(bench);
  sdx::bench::bench_quantization(bench);
  sdx::bench::bench_movement(bench);
  sdx::bench::bench_trees(bench);
  sdx::bench::bench_int4(bench);
  sdx::bench::bench_winograd_phases(bench);
  sdx::bench::bench_peaks(bench);
}
