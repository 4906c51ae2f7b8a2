#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("a product reads its second operand as it lies before a transposition") {
  expect_rewrites(fuse_transpose, R"((%x: float32[2, n, 3], %z: float32[2, 5, 3]) -> (%y) {
    %t = Transpose(%z) {perm = ints [0, 2, 1]}
    %y = MatMul(%x, %t)
  })",
                  R"((%x: float32[2, n, 3], %z: float32[2, 5, 3]) -> (%y) {
    %y = com.microsoft::FusedMatMul(%x, %z) {transB = 1}
  })");
  expect_rewrites(fuse_transpose, R"((%x: float32[n, 3], %z: float32[3, 5]) -> (%y) {
    %b: float32[5] = constant [1, 2, 3, 4, 5]
    %t = Transpose(%z) {perm = ints [1, 0]}
    %y = sardonyx::FusedMatMul(%x, %t, %b) {activation = "Relu", transB = 1}
  })",
                  R"((%x: float32[n, 3], %z: float32[3, 5]) -> (%y) {
    %b: float32[5] = constant [1, 2, 3, 4, 5]
    %y = sardonyx::FusedMatMul(%x, %z, %b) {activation = "Relu", transB = 0}
  })");
}

TEST_CASE("transpositions of other axes, or that others read, stay") {
  expect_untouched(fuse_transpose, R"((%x: float32[2, n, 3], %z: float32[3, 5, 2]) -> (%y) {
    %t = Transpose(%z) {perm = ints [2, 0, 1]}
    %y = MatMul(%x, %t)
  })");
  expect_untouched(fuse_transpose, R"((%x: float32[2, n, 3], %z: float32[2, 5, 3]) -> (%y, %t) {
    %t = Transpose(%z) {perm = ints [0, 2, 1]}
    %y = MatMul(%x, %t)
  })");
}
