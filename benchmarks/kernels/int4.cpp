// Products with 4-bit weights in blocks.
#include "kernels/int4.h"

#include "bench.h"

namespace sdx::bench {
namespace {

constexpr std::size_t kBlock = 32;

void products(const Bench& bench, std::size_t m, std::size_t n, std::size_t k) {
  const std::size_t blocks = kernels::int4_blocks(k, kBlock);
  Buffer<uint8_t> b(n * k / 2, 0x3a), packed(kernels::int4_packed_bytes(k, n, kBlock));
  Buffer<float> scales(n * blocks, 0.01f), packed_scales(kernels::int4_scale_count(k, n, kBlock));
  auto x = random_floats(m * k);
  Buffer<float> y(m * n);
  const auto weights = static_cast<double>(n * k);
  const Work work{2 * static_cast<double>(m) * weights, weights / 2 + 4 * weights / kBlock};
  const Work integer{work.flops, work.bytes, true};
  const std::string text = std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);

  const kernels::Int4PackArgs pack{.b = b.data(),
                                   .scales = scales.data(),
                                   .k = k,
                                   .n = n,
                                   .block = kBlock,
                                   .packed = packed.data(),
                                   .packed_scales = packed_scales.data()};
  kernels::int4_pack.resolve()(pack);
  for (const auto& [isa, run] : kernels::int4_pack.variants)
    bench.time("int4_pack", isa, text, {0, weights}, [&, run = run] { run(pack); });
  const std::size_t panels = kernels::int4_panels(n);
  const kernels::Int4GemmArgs args{.weights = {.packed = packed.data(),
                                               .scales = packed_scales.data(),
                                               .k = k,
                                               .n = n,
                                               .block = kBlock},
                                   .x = x.data(),
                                   .x_stride = k,
                                   .rows = m,
                                   .y = y.data(),
                                   .y_stride = n,
                                   .panel_end = panels};
  for (const auto& [isa, run] : kernels::int4_gemm_f32.variants)
    bench.time("int4_gemm_f32", isa, text, work, [&, run = run] { run(args); });

  Buffer<int8_t> values(m * blocks * kBlock);
  Buffer<float> row_scales(m * blocks), sums(m * blocks);
  const kernels::Int4Quantized quantized{values.data(), row_scales.data(), sums.data()};
  for (const auto& [isa, run] : kernels::int4_quantize_rows.variants)
    bench.time("int4_quantize_rows", isa, std::to_string(m) + "x" + std::to_string(k),
               {static_cast<double>(m * k), 5 * static_cast<double>(m * k)},
               [&, run = run] { run(x.data(), k, m, k, kBlock, quantized); });
  for (const auto& [isa, run] : kernels::int4_gemm_s8.variants)
    bench.time("int4_gemm_s8", isa, text, integer, [&, run = run] { run(args, quantized); });

  Buffer<float> wide(k * kernels::kInt4PanelCols);
  const kernels::Int4DequantizeArgs panel{.weights = args.weights,
                                          .panel_end = 1,
                                          .k_end = k,
                                          .out = wide.data(),
                                          .out_stride = kernels::kInt4PanelCols};
  const auto floats = static_cast<double>(k * kernels::kInt4PanelCols);
  for (const auto& [isa, run] : kernels::int4_dequantize.variants)
    bench.time("int4_dequantize", isa, std::to_string(k) + "x16", {floats, 4.5 * floats},
               [&, run = run] { run(panel); });
}

}  // namespace

void bench_int4(const Bench& bench) {
  products(bench, 1, 4096, 4096);
  products(bench, 4, 768, 768);
}

}  // namespace sdx::bench
