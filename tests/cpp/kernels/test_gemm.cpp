// Matrix products: every tier against sums in double precision.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "fenced.h"
#include "kernels/gemm.h"
#include "reference.h"

namespace sdx::kernels {
namespace {

using test::Fenced;
using test::random_floats;
using test::reference_activation;

struct Problem {
  std::size_t m, n, k;
  bool transposed;
  std::size_t slack = 0;  // added to every row stride
};

// Runs both kernels of one tier on a problem, in one piece and in many, and compares.
void check_product(std::size_t tier, const Problem& p, Epilogue epilogue, bool in_pieces) {
  const std::size_t lda = p.k + p.slack, ldc = p.n + p.slack;
  const std::size_t ldb = (p.transposed ? p.k : p.n) + p.slack;
  const std::size_t b_rows = p.transposed ? p.n : p.k;
  const auto span = [](std::size_t rows, std::size_t cols, std::size_t ld) {
    return rows && cols ? (rows - 1) * ld + cols : 0;
  };
  const auto a = random_floats(span(p.m, p.k, lda), 1);
  const auto b = random_floats(span(b_rows, ldb - p.slack, ldb), 2);
  const auto column_bias = random_floats(p.n, 3);
  const auto row_bias = random_floats(p.m, 4);
  const auto residual = random_floats(span(p.m, p.n, ldc), 5);
  if (epilogue.column_bias) epilogue.column_bias = column_bias.data();
  if (epilogue.row_bias) epilogue.row_bias = row_bias.data();
  if (epilogue.residual) epilogue.residual = residual.data();
  epilogue.residual_stride = ldc;

  const GemmTiling tiling = gemm_tiling.variants[tier].run();
  const std::size_t panels = panel_count(tiling, p.n);
  Fenced<float> packed(packed_b_floats(tiling, p.k, p.n));
  for (std::size_t panel = 0; panel < panels; ++panel)
    gemm_pack_b.variants[tier].run({p.k, p.n, b.data(), ldb, p.transposed, packed.data()}, panel,
                                   panel + 1);
  for (const bool dynamic : {false, true}) {
    auto c = random_floats(span(p.m, p.n, ldc), 6);
    const auto before = random_floats(span(p.m, p.n, ldc), 6);
    const GemmArgs args{.m = p.m,
                        .n = p.n,
                        .k = p.k,
                        .a = a.data(),
                        .lda = lda,
                        .b = dynamic ? b.data() : packed.data(),
                        .ldb = ldb,
                        .transposed_b = p.transposed,
                        .c = c.data(),
                        .ldc = ldc,
                        .epilogue = epilogue,
                        .chain = in_pieces ? 7 : kAnyChain};
    Fenced<float> scratch(gemm_dynamic_scratch.variants[tier].run(args));
    const auto run = [&](const GemmRange& range) {
      if (dynamic)
        gemm_dynamic.variants[tier].run(args, range, scratch.data());
      else
        gemm_packed.variants[tier].run(args, range);
    };
    const std::size_t row_step = in_pieces ? 5 : std::max<std::size_t>(p.m, 1);
    const std::size_t panel_step = in_pieces ? 1 : std::max<std::size_t>(panels, 1);
    for (std::size_t i = 0; i < p.m; i += row_step)
      for (std::size_t j = 0; j < panels; j += panel_step)
        run({i, std::min(i + row_step, p.m), j, std::min(j + panel_step, panels)});
    double worst = 0;
    for (std::size_t i = 0; i < p.m; ++i)
      for (std::size_t j = 0; j < ldc && i * ldc + j < c.size(); ++j) {
        const std::size_t at = i * ldc + j;
        if (j >= p.n) {
          if (c[at] != before[at]) worst = INFINITY;
          continue;
        }
        double v = epilogue.accumulate ? before[at] : 0;
        for (std::size_t d = 0; d < p.k; ++d)
          v += static_cast<double>(a[i * lda + d]) * b[p.transposed ? j * ldb + d : d * ldb + j];
        if (epilogue.column_bias) v += column_bias[j];
        if (epilogue.row_bias) v += row_bias[i];
        if (epilogue.residual && !epilogue.residual_last) v += residual[at];
        v = reference_activation(v, epilogue);
        if (epilogue.residual && epilogue.residual_last) v += residual[at];
        worst = std::max(worst, std::abs(v - c[at]));
      }
    CAPTURE(isa_name(gemm_packed.variants[tier].isa));
    CAPTURE(dynamic);
    CAPTURE(p.m);
    CAPTURE(p.n);
    CAPTURE(p.k);
    // Products below 1 add up to about sqrt(k), and as many roundings of that size to its
    // sqrt(k)th.
    CHECK(worst <= 0x1p-24 * static_cast<double>(8 + p.k));
  }
}

template <class F>
void for_each_tier(F f) {
  for (std::size_t tier = 0; tier < kIsaCount; ++tier)
    if (gemm_packed.variants[tier].isa <= host_isa()) f(tier);
}

TEST_CASE("products of matrices of a few columns") {
  const float given = 0;
  for_each_tier([&](std::size_t tier) {
    for (std::size_t n = 1; n <= 5; ++n)
      for (std::size_t k = 1; k <= 5; ++k)
        for (const std::size_t m : {1, 3, 16, 17, 101})
          for (const bool in_pieces : {false, true})
            check_product(tier, {m, n, k, false},
                          {.column_bias = &given, .activation = Activation::relu}, in_pieces);
  });
}

TEST_CASE("products of every row and column tail") {
  for_each_tier([](std::size_t tier) {
    for (std::size_t m = 1; m <= 13; ++m)
      for (std::size_t n : {1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 127, 130})
        for (const bool transposed : {false, true})
          check_product(tier, {m, n, 19, transposed, m % 3}, {}, m % 2 == 1);
  });
}

TEST_CASE("products of every depth, and more than one block of it") {
  for_each_tier([](std::size_t tier) {
    for (std::size_t k : {0, 1, 2, 3, 4, 5, 15, 16, 17, 33, 1023, 1024, 1025, 2500})
      for (std::size_t m : {1, 2, 7, 20})
        for (const bool transposed : {false, true})
          check_product(tier, {m, 37, k, transposed}, {}, false);
  });
}

TEST_CASE("products wide and tall enough to be cut into blocks") {
  for_each_tier([](std::size_t tier) {
    for (const bool transposed : {false, true}) {
      check_product(tier, {61, 600, 33, transposed, 1}, {}, true);
      check_product(tier, {190, 64, 40, transposed}, {}, false);
      check_product(tier, {25, 300, 1500, transposed}, {.accumulate = true}, false);
    }
  });
}

TEST_CASE("sums in short chains round less") {
  for_each_tier([](std::size_t tier) {
    const GemmTiling tiling = gemm_tiling.variants[tier].run();
    constexpr std::size_t kDepth = 1000;
    const std::size_t m = tiling.rows, n = tiling.columns;
    const std::vector<float> a(m * kDepth, 0.1f), b(kDepth * n, 1.0f);
    Fenced<float> packed(packed_b_floats(tiling, kDepth, n));
    gemm_pack_b.variants[tier].run({kDepth, n, b.data(), n, false, packed.data()}, 0, 1);
    const auto error = [&](std::size_t chain) {
      std::vector<float> c(m * n);
      const GemmArgs args{.m = m,
                          .n = n,
                          .k = kDepth,
                          .a = a.data(),
                          .lda = kDepth,
                          .b = packed.data(),
                          .c = c.data(),
                          .ldc = n,
                          .chain = chain};
      gemm_packed.variants[tier].run(args, {0, m, 0, 1});
      double worst = 0;
      for (const float sum : c) worst = std::max(worst, std::abs(sum - kDepth * double{0.1f}));
      return worst;
    };
    CHECK(5 * error(32) < error(kAnyChain));
  });
}

TEST_CASE("empty products touch nothing") {
  for_each_tier([](std::size_t tier) {
    check_product(tier, {0, 5, 3, false}, {}, false);
    check_product(tier, {5, 0, 3, false}, {}, false);
  });
}

TEST_CASE("epilogues") {
  const float given = 0;  // stands for a buffer of check_product
  std::vector<Epilogue> epilogues;
  for (const Activation activation :
       {Activation::none, Activation::relu, Activation::clip, Activation::leaky_relu,
        Activation::sigmoid, Activation::tanh, Activation::gelu, Activation::gelu_tanh,
        Activation::silu, Activation::hard_swish, Activation::hard_sigmoid})
    for (unsigned bits = 0; bits < 16; ++bits) {
      Epilogue e{.activation = activation};
      if (bits & 1) e.column_bias = &given;
      if (bits & 2) e.row_bias = &given;
      if (bits & 4) e.residual = &given;
      e.accumulate = bits & 8;
      e.residual_last = (bits & 5) == 5;
      e.alpha = activation == Activation::clip ? -0.5f : 0.125f;
      e.beta = 0.5f;
      epilogues.push_back(e);
    }
  for_each_tier([&](std::size_t tier) {
    for (const Epilogue& e : epilogues)
      for (const auto& [m, n, k] :
           {std::array<std::size_t, 3>{7, 64, 5}, {1, 70, 12}, {13, 9, 1030}})
        check_product(tier, {m, n, k, false, 2}, e, true);
  });
}

TEST_CASE("activations keep NaN and infinities") {
  for_each_tier([](std::size_t tier) {
    const GemmTiling tiling = gemm_tiling.variants[tier].run();
    for (const Activation activation : {Activation::relu, Activation::clip}) {
      for (const std::size_t n : {std::size_t{5}, tiling.columns}) {
        std::vector<float> a{NAN, INFINITY, -INFINITY}, ones(n, 1.0f), c(3 * n);
        Fenced<float> packed(packed_b_floats(tiling, 1, n));
        gemm_pack_b.variants[tier].run({1, n, ones.data(), n, false, packed.data()}, 0, 1);
        const GemmArgs args{.m = 3,
                            .n = n,
                            .k = 1,
                            .a = a.data(),
                            .lda = 1,
                            .b = packed.data(),
                            .c = c.data(),
                            .ldc = n,
                            .epilogue = {.alpha = -1, .beta = 6, .activation = activation}};
        gemm_packed.variants[tier].run(args, {0, 3, 0, 1});
        CHECK(std::isnan(c[0]));
        CHECK(c[n] == (activation == Activation::relu ? INFINITY : 6.0f));
        CHECK(c[2 * n] == (activation == Activation::relu ? 0.0f : -1.0f));
      }
    }
  });
}

}  // namespace
}  // namespace sdx::kernels
