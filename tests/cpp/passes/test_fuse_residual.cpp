#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("a value of the result's shape is added by the convolution") {
  for (const char* sum : {"Add(%c, %r)", "Add(%r, %c)"})
    expect_rewrites(fuse_residual, R"((%x: float32[n, 1, h, w], %r: float32[n, 2, h, w]) -> (%y) {
    %k: float32[2, 1, 3, 3] = constant fill(0.5)
    %c = Conv(%x, %k) {pads = ints [1, 1, 1, 1]}
    %y = )" + std::string(sum) + "}",
                    R"((%x: float32[n, 1, h, w], %r: float32[n, 2, h, w]) -> (%y) {
    %k: float32[2, 1, 3, 3] = constant fill(0.5)
    %y = sardonyx::FusedConv(%x, %k, _, %r) {pads = ints [1, 1, 1, 1]}
  })");
}

TEST_CASE("the convolution keeps its bias") {
  expect_rewrites(fuse_residual, R"((%x: float32[1, 1, 4, 4], %r: float32[1, 2, 4, 4]) -> (%y) {
    %k: float32[2, 1, 1, 1] = constant [1, 2]
    %b: float32[2] = constant [1, 2]
    %c = Conv(%x, %k, %b)
    %y = Add(%c, %r)
  })",
                  R"((%x: float32[1, 1, 4, 4], %r: float32[1, 2, 4, 4]) -> (%y) {
    %k: float32[2, 1, 1, 1] = constant [1, 2]
    %b: float32[2] = constant [1, 2]
    %y = sardonyx::FusedConv(%x, %k, %b, %r)
  })");
}

TEST_CASE("products and Gemm add it too") {
  expect_rewrites(fuse_residual,
                  R"((%a: float32[n, m, 2], %b: float32[2, 3], %r: float32[n, m, 3]) -> (%y) {
    %p = MatMul(%a, %b)
    %y = Add(%p, %r)
  })",
                  R"((%a: float32[n, m, 2], %b: float32[2, 3], %r: float32[n, m, 3]) -> (%y) {
    %y = sardonyx::FusedMatMul(%a, %b, _, %r)
  })");
  expect_rewrites(fuse_residual,
                  R"((%a: float32[2, n], %b: float32[3, 2], %r: float32[n, 3]) -> (%y) {
    %c: float32[3] = constant [1, 2, 3]
    %p = Gemm(%a, %b, %c) {alpha = 2.0, beta = 0.5, transA = 1, transB = 1}
    %y = Add(%r, %p)
  })",
                  R"((%a: float32[2, n], %b: float32[3, 2], %r: float32[n, 3]) -> (%y) {
    %c: float32[3] = constant [1, 2, 3]
    %y = sardonyx::FusedGemm(%a, %b, %c, %r) {alpha = 2.0, beta = 0.5, transA = 1, transB = 1}
  })");
}

TEST_CASE("one of two products takes the other") {
  expect_rewrites(fuse_residual, R"((%a: float32[2, 2], %b: float32[2, 3]) -> (%y) {
    %two: float32[] = constant [2]
    %c = Mul(%a, %two)
    %p = MatMul(%a, %b)
    %q = MatMul(%c, %b)
    %y = Add(%p, %q)
  })",
                  R"((%a: float32[2, 2], %b: float32[2, 3]) -> (%y) {
    %two: float32[] = constant [2]
    %c = Mul(%a, %two)
    %p = MatMul(%a, %b)
    %y = sardonyx::FusedMatMul(%c, %b, _, %p)
  })");
}

TEST_CASE("what is added behind the activation is added last") {
  expect_rewrites(fuse_residual, R"((%x: float32[n, 1, h, w], %r: float32[n, 2, h, w]) -> (%y) {
    %k: float32[2, 1, 1, 1] = constant [1, 2]
    %c = sardonyx::FusedConv(%x, %k) {activation = "Silu"}
    %y = Add(%r, %c)
  })",
                  R"((%x: float32[n, 1, h, w], %r: float32[n, 2, h, w]) -> (%y) {
    %k: float32[2, 1, 1, 1] = constant [1, 2]
    %y = sardonyx::FusedConv(%x, %k, _, %r) {activation = "Silu", residual_last = 1}
  })");
  expect_rewrites(fuse_residual,
                  R"((%a: float32[n, 2], %b: float32[2, 3], %r: float32[n, 3]) -> (%y) {
    %p = sardonyx::FusedMatMul(%a, %b) {activation = "Relu"}
    %y = Add(%p, %r)
  })",
                  R"((%a: float32[n, 2], %b: float32[2, 3], %r: float32[n, 3]) -> (%y) {
    %y = sardonyx::FusedMatMul(%a, %b, _, %r) {activation = "Relu", residual_last = 1}
  })");
  // There is one residual.
  expect_untouched(
      fuse_residual,
      R"((%a: float32[n, 2], %b: float32[2, 3], %r: float32[n, 3], %s: float32[n, 3]) -> (%y) {
    %p = sardonyx::FusedMatMul(%a, %b, _, %r) {activation = "Relu"}
    %y = Add(%p, %s)
  })");
}

TEST_CASE("sums that broadcast, or of what is used elsewhere, stay") {
  const auto stays = [](const std::string& r, const std::string& outputs = "%y",
                        const std::string& more = "", const std::string& a = "float32[n, 2]") {
    expect_untouched(fuse_residual, "(%a: " + a + ", %b: float32[2, 3], %r: " + r + ") -> (" +
                                        outputs + ") { %p = MatMul(%a, %b) %y = Add(%p, %r) " +
                                        more + "}");
  };
  stays("float32[3]");
  stays("float32[1, 3]");
  stays("float32[n, 1]");
  stays("float32[m, 3]");
  stays("float32[2, n, 3]");
  stays("float32[n, 3]", "%y, %p");
  stays("float32[n, 3]", "%y, %z", "%z = Neg(%p)");
  stays("float32[5, 3]", "%y", "", "float32[1, 2]");
  expect_untouched(fuse_residual, R"((%a: float32[2, 2], %b: float32[2, 3]) -> (%y) {
    %p = MatMul(%a, %b)
    %y = Add(%p, %p)
  })");
  // Gemm with a full C has no room for one more.
  expect_untouched(
      fuse_residual,
      R"((%a: float32[2, 2], %b: float32[2, 3], %c: float32[2, 3], %r: float32[2, 3]) -> (%y) {
    %p = Gemm(%a, %b, %c)
    %y = Add(%p, %r)
  })");
  expect_untouched(fuse_residual,
                   R"((%a: float64[2, 2], %b: float64[2, 3], %r: float64[2, 3]) -> (%y) {
    %p = MatMul(%a, %b)
    %y = Add(%p, %r)
  })");
}
