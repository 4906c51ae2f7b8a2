#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("a constant row is added by the product") {
  for (const char* sum : {"Add(%p, %c)", "Add(%c, %p)"})
    expect_rewrites(fuse_bias, R"((%a: float32[n, m, 2], %b: float32[2, 3]) -> (%y) {
    %c: float32[3] = constant [1, 2, 3]
    %p = MatMul(%a, %b)
    %y = )" + std::string(sum) + "}",
                    R"((%a: float32[n, m, 2], %b: float32[2, 3]) -> (%y) {
    %c: float32[3] = constant [1, 2, 3]
    %y = sardonyx::FusedMatMul(%a, %b, %c)
  })");
}

TEST_CASE("a vector times a matrix takes a bias too") {
  expect_rewrites(fuse_bias, R"((%a: float32[2], %b: float32[2, 3]) -> (%y) {
    %c: float32[3] = constant [1, 2, 3]
    %p = MatMul(%a, %b)
    %y = Add(%p, %c)
  })",
                  R"((%a: float32[2], %b: float32[2, 3]) -> (%y) {
    %c: float32[3] = constant [1, 2, 3]
    %y = sardonyx::FusedMatMul(%a, %b, %c)
  })");
}

TEST_CASE("sums that the product cannot take stay") {
  const auto stays = [](const std::string& header, const std::string& c,
                        const std::string& more = "") {
    expect_untouched(fuse_bias,
                     header + "{ %c: " + c + " %p = MatMul(%a, %b) %y = Add(%p, %c) " + more + "}");
  };
  const std::string matrices = "(%a: float32[2, 2], %b: float32[2, 3]) -> (%y)";
  stays(matrices, "float32[2, 3] = constant [1, 2, 3, 4, 5, 6]");
  stays(matrices, "float32[1] = constant [1]");
  stays(matrices, "float32[] = constant [1]");
  // Rows of the result, not columns: b is a vector.
  stays("(%a: float32[2, 3], %b: float32[3]) -> (%y)", "float32[2] = constant [1, 2]");
  // Columns not known; a bias that makes the result wider.
  stays("(%a: float32[2, 2], %b: float32[2, n]) -> (%y)", "float32[3] = constant [1, 2, 3]");
  stays("(%a: float32[2, 2], %b: float32[2, 1]) -> (%y)", "float32[3] = constant [1, 2, 3]");
  // The product is used elsewhere or an output.
  stays("(%a: float32[2, 2], %b: float32[2, 3]) -> (%y, %z)", "float32[3] = constant [1, 2, 3]",
        "%z = Relu(%p)");
  stays("(%a: float32[2, 2], %b: float32[2, 3]) -> (%y, %p)", "float32[3] = constant [1, 2, 3]");
  stays("(%a: float64[2, 2], %b: float64[2, 3]) -> (%y)", "float64[3] = constant [1, 2, 3]");
  stays("(%a: int32[2, 2], %b: int32[2, 3]) -> (%y)", "int32[3] = constant [1, 2, 3]");
}

TEST_CASE("an operand of unknown rank under a declared result") {
  expect_untouched(fuse_bias, R"((%a: float32[2, 2], %b: float32[...]) -> (%y) {
    %c: float32[3] = constant [1, 2, 3]
    %p: float32[2, 3] = MatMul(%a, %b)
    %y = Add(%p, %c)
  })");
}
