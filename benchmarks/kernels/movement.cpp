// Transposes, pooling, and the gathering half of transposed convolutions.
#include "bench.h"
#include "kernels/conv_transpose.h"
#include "kernels/pool.h"
#include "kernels/transpose.h"

namespace sdx::bench {
namespace {

template <class T>
void transpose(const Bench& bench,
               const kernels::Kernel<kernels::Transpose<T>, kernels::kIsaCount>& kernel,
               std::size_t rows, std::size_t cols) {
  Buffer<T> x(rows * cols), y(rows * cols);
  const double bytes = 2.0 * sizeof(T) * static_cast<double>(rows * cols);
  for (const auto& [isa, run] : kernel.variants)
    bench.time(kernel.name, isa, std::to_string(rows) + "x" + std::to_string(cols), {0, bytes},
               [&, run = run] { run(rows, cols, x.data(), cols, y.data(), rows); });
}

kernels::Window window(std::size_t side, std::size_t output, std::size_t taps, std::size_t stride,
                       std::ptrdiff_t pad, std::size_t channels) {
  kernels::Window window;
  window.axis[1] = window.axis[2] = {
      .input = side, .output = output, .taps = taps, .stride = stride, .dilation = 1, .pad = pad};
  window.axis[1].input_step = side * channels;
  window.axis[2].input_step = channels;
  return window;
}

// The largest of 3x3, every other pixel, as image classifiers begin.
void pools(const Bench& bench, std::size_t channels, std::size_t side) {
  const std::size_t output = side / 2, pixels = side * side, outputs = output * output;
  auto x = random_floats(pixels * channels);
  Buffer<float> y(outputs * channels);
  kernels::PoolArgs args{.window = window(side, output, 3, 2, 1, channels),
                         .channels = channels,
                         .x = x.data(),
                         .y = y.data(),
                         .y_step = channels};
  const auto count = static_cast<double>(channels);
  const Work work{9 * count * static_cast<double>(outputs),
                  4 * count * static_cast<double>(pixels + outputs)};
  const std::string text = std::to_string(channels) + "@" + std::to_string(side);
  for (const auto* kernel : {&kernels::max_pool, &kernels::average_pool})
    for (const auto& [isa, run] : kernel->variants)
      bench.time(kernel->name, isa, text, work, [&, run = run] { run(args, 0, outputs); });
  const kernels::PlanePoolArgs planes{.pool = args, .x_plane = pixels, .y_plane = outputs};
  for (const auto* kernel : {&kernels::max_pool_planes, &kernels::average_pool_planes})
    for (const auto& [isa, run] : kernel->variants)
      bench.time(kernel->name, isa, text, work, [&, run = run] { run(planes, 0, channels); });
}

void gather(const Bench& bench, std::size_t outputs, std::size_t side) {
  constexpr std::size_t kTaps = 4;  // along each axis, every other pixel
  const std::size_t large = 2 * side, pixels = large * large;
  auto columns = random_floats(side * side * kTaps * kTaps * outputs);
  Buffer<float> y(pixels * outputs);
  const kernels::GatherArgs args{.window = window(large, side, kTaps, 2, 1, outputs),
                                 .outputs = outputs,
                                 .columns = columns.data(),
                                 .y = y.data(),
                                 .y_step = outputs};
  const double terms = static_cast<double>(side * side * kTaps * kTaps * outputs);
  const Work work{terms, 4 * (terms + static_cast<double>(pixels * outputs))};
  for (const auto& [isa, run] : kernels::conv_transpose_gather.variants)
    bench.time("conv_transpose_gather", isa, std::to_string(outputs) + "@" + std::to_string(side),
               work, [&, run = run] { run(args, 0, pixels); });
}

}  // namespace

void bench_movement(const Bench& bench) {
  constexpr std::size_t kShapes[][2] = {{128, 64}, {64, 12544}};
  for (const auto& [rows, cols] : kShapes) {
    transpose<uint8_t>(bench, kernels::transpose_8, rows, cols);
    transpose<uint16_t>(bench, kernels::transpose_16, rows, cols);
    transpose<uint32_t>(bench, kernels::transpose_32, rows, cols);
    transpose<uint64_t>(bench, kernels::transpose_64, rows, cols);
  }
  pools(bench, 64, 112);
  gather(bench, 64, 28);
}

}  // namespace sdx::bench
