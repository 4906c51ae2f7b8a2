#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("a frozen batch norm behind a convolution") {
  expect_rewrites(fold_scale, R"((%x: float32[n, 1, 4, 4]) -> (%y) {
    %w: float32[2, 1, 1, 2] = constant [1, 2, 3, 4]
    %s: float32[1, 2, 1, 1] = constant [2, -1]
    %t: float32[2, 1, 1] = constant [0.5, 3]
    %c = Conv(%x, %w)
    %m = Mul(%c, %s)
    %y = Add(%t, %m)
  })",
                  R"((%x: float32[n, 1, 4, 4]) -> (%y) {
    %w: float32[2, 1, 1, 2] = constant [2, 4, -3, -4]
    %t: float32[2] = constant [0.5, 3]
    %y = sardonyx::FusedConv(%x, %w, %t)
  })");
}

TEST_CASE("one number for all channels, as a quotient and a difference") {
  expect_rewrites(fold_scale, R"((%x: float32[n, 1, 4, 4]) -> (%y) {
    %w: float32[2, 1, 1, 2] = constant [1, 2, 3, 4]
    %b: float32[2] = constant [6, 8]
    %two: float32[] = constant [2]
    %c = Conv(%x, %w, %b)
    %m = Div(%c, %two)
    %y = Sub(%m, %two)
  })",
                  R"((%x: float32[n, 1, 4, 4]) -> (%y) {
    %w: float32[2, 1, 1, 2] = constant [0.5, 1, 1.5, 2]
    %b: float32[2] = constant [1, 2]
    %y = sardonyx::FusedConv(%x, %w, %b)
  })");
}

TEST_CASE("a scale of a product's columns") {
  expect_rewrites(fold_scale, R"((%x: float32[n, 3, 2]) -> (%y) {
    %w: float32[2, 2] = constant [1, 2, 3, 4]
    %b: float32[2] = constant [5, 6]
    %s: float32[1, 1, 2] = constant [10, 100]
    %p = sardonyx::FusedMatMul(%x, %w, %b)
    %y = Mul(%p, %s)
  })",
                  R"((%x: float32[n, 3, 2]) -> (%y) {
    %w: float32[2, 2] = constant [10, 200, 30, 400]
    %b: float32[2] = constant [50, 600]
    %y = sardonyx::FusedMatMul(%x, %w, %b)
  })");
  expect_rewrites(fold_scale, R"((%x: float32[n, 2]) -> (%y) {
    %w: float32[3, 2] = constant [1, 2, 3, 4, 5, 6]
    %s: float32[3] = constant [1, 10, 100]
    %p = Gemm(%x, %w) {transB = 1}
    %y = Mul(%s, %p)
  })",
                  R"((%x: float32[n, 2]) -> (%y) {
    %w: float32[3, 2] = constant [1, 2, 30, 40, 500, 600]
    %y = sardonyx::FusedGemm(%x, %w) {transB = 1}
  })");
}

TEST_CASE("constants of another axis, of a higher rank, and behind activations stay") {
  const std::string conv = R"((%x: float32[n, 1, 2, 2]) -> (%y) {
    %w: float32[2, 1, 1, 1] = constant [1, 2]
    %row: float32[2] = constant [1, 2]
    %column: float32[2, 1, 1] = constant [1, 2]
    %deep: float32[1, 1, 1, 1, 1] = constant [2]
    %none: float32[2, 1, 1] = constant [1, 0]
    %c = Conv(%x, %w)
)";
  expect_untouched(fold_scale, conv + "%y = Mul(%c, %row)}");
  expect_untouched(fold_scale, conv + "%y = Mul(%c, %deep)}");
  expect_untouched(fold_scale, conv + "%y = Div(%c, %none)}");
  expect_untouched(fold_scale, conv + "%y = Div(%column, %c)}");
  expect_untouched(fold_scale, conv + "%r = Relu(%c) %y = Mul(%r, %column)}");
  expect_untouched(fold_scale, conv + "%m = Mul(%c, %column) %y = Add(%m, %c)}");
}

TEST_CASE("channels of a convolution may come last") {
  const std::string conv = R"((%x: float32[n, h, w, 1]) -> (%y) {
    %w: float32[2, 1, 1, 1] = constant [1, 2]
    %row: float32[1, 2, 1, 1] = constant [3, 4]
    %c = sardonyx::FusedConv(%x, %w) {layout = "NHWC"}
)";
  expect_untouched(fold_scale, conv + "%y = Mul(%c, %row)}");
  expect_rewrites(fold_scale, R"((%x: float32[n, h, w, 1]) -> (%y) {
    %w: float32[2, 1, 1, 1] = constant [1, 2]
    %s: float32[1, 1, 1, 2] = constant [3, 4]
    %c = sardonyx::FusedConv(%x, %w) {layout = "NHWC"}
    %y = Mul(%c, %s)
  })",
                  R"((%x: float32[n, h, w, 1]) -> (%y) {
    %w: float32[2, 1, 1, 1] = constant [3, 8]
    %y = sardonyx::FusedConv(%x, %w) {layout = "NHWC"}
  })");
}
