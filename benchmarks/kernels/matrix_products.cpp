// Matrix products in float and in 8-bit integers.
#include "bench.h"
#include "kernels/gemm.h"
#include "kernels/int8.h"
#include "kernels/product.h"

namespace sdx::bench {
namespace {

struct Size {
  std::size_t m, n, k;
  std::string text() const {
    return std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);
  }
  Work work(std::size_t item) const {
    return {2.0 * static_cast<double>(m * n * k),
            static_cast<double>(item * (m * k + k * n) + 4 * m * n)};
  }
};

// Of transformers, of 1x1 and 3x3 convolutions, one that fits no tile, and one of attention.
constexpr Size kSizes[] = {{1, 768, 768},   {3136, 64, 576}, {10, 10, 64},    {128, 128, 64},
                           {4, 768, 768},   {16, 768, 768},  {128, 768, 768}, {128, 3072, 768},
                           {512, 512, 512}, {49, 512, 2048}, {77, 13, 333}};

kernels::GemmArgs arguments(const Size& size, const float* a, const float* b, float* c) {
  return {.m = size.m,
          .n = size.n,
          .k = size.k,
          .a = a,
          .lda = size.k,
          .b = b,
          .ldb = size.n,
          .c = c,
          .ldc = size.n};
}

void float_products(const Bench& bench, const Size& size) {
  auto a = random_floats(size.m * size.k);
  auto b = random_floats(size.k * size.n);
  Buffer<float> c(size.m * size.n);
  for (std::size_t tier = 0; tier < kernels::kIsaCount; ++tier) {
    if (kernels::gemm_packed.variants[tier].isa > kernels::host_isa()) break;
    const kernels::GemmTiling tiling = kernels::gemm_tiling.variants[tier].run();
    const std::size_t panels = kernels::panel_count(tiling, size.n);
    Buffer<float> packed(kernels::packed_b_floats(tiling, size.k, size.n));
    const kernels::PackB pack{
        .k = size.k, .n = size.n, .b = b.data(), .ldb = size.n, .packed = packed.data()};
    kernels::gemm_pack_b.variants[tier].run(pack, 0, panels);
    kernels::GemmArgs args = arguments(size, a.data(), packed.data(), c.data());
    const kernels::GemmRange all{0, size.m, 0, panels};
    const auto [isa, run] = kernels::gemm_packed.variants[tier];
    bench.time("gemm_packed", isa, size.text(), size.work(4), [&, run = run] { run(args, all); });
    args.b = b.data();
    Buffer<float> scratch(kernels::gemm_dynamic_scratch.variants[tier].run(args));
    const auto dynamic = kernels::gemm_dynamic.variants[tier].run;
    bench.time("gemm_dynamic", isa, size.text(), size.work(4),
               [&] { dynamic(args, all, scratch.data()); });
  }
}

// Products as a model calls them: every call finds weights that went out of the caches since.
void cold_products(const Bench& bench, const Size& size) {
  constexpr std::size_t kCopies = 96;  // 768x768 floats so often are beyond most caches
  auto a = random_floats(size.m * size.k);
  auto b = random_floats(size.k * size.n);
  Buffer<float> c(size.m * size.n);
  for (std::size_t tier = 0; tier < kernels::kIsaCount; ++tier) {
    const auto [isa, run] = kernels::gemm_packed.variants[tier];
    if (isa > kernels::host_isa()) break;
    const kernels::GemmTiling tiling = kernels::gemm_tiling.variants[tier].run();
    const std::size_t panels = kernels::panel_count(tiling, size.n);
    const std::size_t floats = kernels::packed_b_floats(tiling, size.k, size.n);
    Buffer<float> packed(kCopies * floats);
    for (std::size_t copy = 0; copy < kCopies; ++copy)
      kernels::gemm_pack_b.variants[tier].run({.k = size.k,
                                               .n = size.n,
                                               .b = b.data(),
                                               .ldb = size.n,
                                               .packed = packed.data() + copy * floats},
                                              0, panels);
    kernels::GemmArgs args = arguments(size, a.data(), packed.data(), c.data());
    std::size_t copy = 0;
    Work work = size.work(4);
    work.cold = true;
    bench.time("gemm_packed cold", isa, size.text(), work, [&, run = run] {
      args.b = packed.data() + copy++ % kCopies * floats;
      run(args, {0, size.m, 0, panels});
    });
  }
}

void int8_products(const Bench& bench, const Size& size) {
  Buffer<uint8_t> a(size.m * size.k, 3);
  Buffer<int8_t> b(size.k * size.n, -2);
  Buffer<int8_t> packed(kernels::int8_packed_bytes(size.k, size.n));
  Buffer<int32_t> sums(kernels::int8_padded_cols(size.n));
  Buffer<int32_t> c(size.m * size.n);
  kernels::int8_pack.resolve()({.b = b.data(),
                                .k = size.k,
                                .n = size.n,
                                .group = size.k,
                                .k_stride = size.n,
                                .n_stride = 1,
                                .packed = packed.data(),
                                .column_sums = sums.data()});
  kernels::Int8GemmArgs args{};
  args.a = {.a = a.data(), .a_stride = size.k, .channels = size.k};
  args.rows = size.m;
  args.packed = packed.data();
  args.n = size.n;
  args.panel_end = kernels::int8_panels(size.n);
  args.epilogue.out = c.data();
  args.epilogue.out_stride = size.n;
  args.epilogue.column_sums = sums.data();
  Work work = size.work(1);
  work.integer = true;
  for (const auto& [isa, run] : kernels::int8_gemm.variants) {
    bench.time("int8_gemm", isa, size.text(), work, [&, run = run] { run(args); });
  }
}

template <class T>
void other_products(const Bench& bench,
                    const kernels::Kernel<kernels::Product<T>, kernels::kIsaCount>& kernel,
                    const Size& size) {
  Buffer<T> a(size.m * size.k), b(size.k * size.n), c(size.m * size.n);
  const kernels::ProductArgs<T> args{.m = size.m,
                                     .n = size.n,
                                     .k = size.k,
                                     .a = a.data(),
                                     .a_row = size.k,
                                     .b = b.data(),
                                     .b_row = size.n,
                                     .c = c.data(),
                                     .c_row = size.n};
  for (const auto& [isa, run] : kernel.variants)
    bench.time(kernel.name, isa, size.text(), size.work(sizeof(T)), [&, run = run] { run(args); });
}

}  // namespace

void bench_matrix_products(const Bench& bench) {
  for (const Size& size : kSizes) float_products(bench, size);
  for (const Size& size : kSizes)
    if (size.n == 768) cold_products(bench, size);
  for (const Size& size : kSizes) int8_products(bench, size);
  for (const Size& size : kSizes) other_products(bench, kernels::product_f64, size);
  for (const Size& size : kSizes) other_products(bench, kernels::product_u32, size);
}

}  // namespace sdx::bench
