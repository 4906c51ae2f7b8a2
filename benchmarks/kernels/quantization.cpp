// Between number formats, and 8-bit tensors combined.
#include "bench.h"
#include "kernels/convert.h"
#include "kernels/int8.h"
#include "kernels/quantize.h"

namespace sdx::bench {
namespace {

constexpr std::size_t kCount = 1 << 16;
constexpr float kScale = 0.02f;

// Times every variant of a kernel that `call` knows how to run.
template <class Kernel, class Call>
void each(const Bench& bench, const Kernel& kernel, double bytes_an_item, Call call) {
  const auto n = static_cast<double>(kCount);
  for (const auto& [isa, run] : kernel.variants)
    bench.time(kernel.name, isa, std::to_string(kCount), {n, bytes_an_item * n},
               [&, run = run] { call(run); });
}

void int8_depthwise(const Bench& bench, std::size_t channels, std::size_t side) {
  constexpr std::size_t kTaps = 9;
  const std::size_t rows = side * side;
  Buffer<uint8_t> a((rows + kTaps) * channels, 3), y(rows * channels);
  Buffer<int8_t> weights(kTaps * channels, -2);
  Buffer<int32_t> sums(channels, -18);
  std::vector<const void*> pixels(rows * kTaps);
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = a.data() + (i / kTaps + i % kTaps) * channels;
  kernels::Int8DepthwiseArgs args;
  args.a = {.pixels = pixels.data(), .taps = kTaps, .channels = channels};
  args.rows = rows;
  args.weights = weights.data();
  args.channel_end = channels;
  float scale = 0.01f;
  args.epilogue.kind = kernels::Int8Out::u8;
  args.epilogue.out = y.data();
  args.epilogue.out_stride = channels;
  args.epilogue.column_sums = sums.data();
  args.epilogue.scale = &scale;
  args.epilogue.scale_step = 0;
  const auto count = static_cast<double>(rows * channels);
  for (const auto& [isa, run] : kernels::int8_depthwise.variants)
    bench.time("int8_depthwise", isa, std::to_string(channels) + "@" + std::to_string(side),
               {2 * kTaps * count, 2 * count, true}, [&, run = run] { run(args); });
  std::vector<int32_t> row_sums(rows);
  const kernels::Int8Rows direct{.a = a.data(), .a_stride = channels, .channels = channels};
  for (const auto& [isa, run] : kernels::int8_row_sums.variants)
    bench.time("int8_row_sums", isa, std::to_string(rows) + "x" + std::to_string(channels),
               {count, count, true}, [&, run = run] { run(direct, rows, row_sums.data()); });
}

}  // namespace

void bench_quantization(const Bench& bench) {
  using namespace kernels;
  auto x = random_floats(kCount);
  Buffer<float> y(kCount);
  Buffer<uint16_t> half(kCount);
  for (const auto* kernel : {&f16_to_f32, &bf16_to_f32})
    each(bench, *kernel, 6, [&](auto run) { run(half.data(), y.data(), kCount); });
  for (const auto* kernel : {&f32_to_f16, &f32_to_bf16})
    each(bench, *kernel, 6, [&](auto run) { run(x.data(), half.data(), kCount); });

  Buffer<uint8_t> u8(kCount), other_u8(kCount, 7), sum_u8(kCount);
  Buffer<int8_t> s8(kCount), other_s8(kCount, 7), sum_s8(kCount);
  Buffer<int32_t> s32(kCount);
  each(bench, quantize_u8, 5, [&](auto run) { run(x.data(), u8.data(), kCount, kScale, 128); });
  each(bench, quantize_s8, 5, [&](auto run) { run(x.data(), s8.data(), kCount, kScale, 0); });
  each(bench, dequantize_u8, 5, [&](auto run) { run(u8.data(), y.data(), kCount, kScale, 128); });
  each(bench, dequantize_s8, 5, [&](auto run) { run(s8.data(), y.data(), kCount, kScale, 0); });
  each(bench, dequantize_s32, 8, [&](auto run) { run(s32.data(), y.data(), kCount, kScale, 0); });
  const QuantizedSum sum{0.7f, 0.4f, 1.0f, 3};
  each(bench, quantized_add_u8, 3,
       [&](auto run) { run(u8.data(), other_u8.data(), sum_u8.data(), kCount, sum); });
  each(bench, quantized_add_s8, 3,
       [&](auto run) { run(s8.data(), other_s8.data(), sum_s8.data(), kCount, sum); });
  each(bench, max_into_u8, 3, [&](auto run) { run(u8.data(), sum_u8.data(), kCount); });
  each(bench, max_into_s8, 3, [&](auto run) { run(s8.data(), sum_s8.data(), kCount); });
  volatile float sink = 0;
  each(bench, min_max, 4, [&](auto run) { sink = run(x.data(), kCount).max; });
  int8_depthwise(bench, 144, 56);
  int8_depthwise(bench, 960, 7);
}

}  // namespace sdx::bench
