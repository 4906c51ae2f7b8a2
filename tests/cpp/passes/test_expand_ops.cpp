#include "base/error.h"
#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("compositions become what they are made of") {
  expect_rewrites(expand_ops, R"((%x: float32[2, 4]) -> (%y) {
    %b: float32[4] = constant [1, 2, 3, 4]
    %y = com.microsoft::BiasGelu(%x, %b)
  })",
                  R"((%x: float32[2, 4]) -> (%y) {
    %b: float32[4] = constant [1, 2, 3, 4]
    %s = Add(%x, %b)
    %y = Gelu(%s)
  })");
}

TEST_CASE("primitive operators stay") {
  expect_untouched(expand_ops, R"((%x: float32[2, 4]) -> (%y) {
    %y = Softmax(%x)
  })");
}

TEST_CASE("equations of terms with no sum in common become elementwise products") {
  expect_rewrites(expand_ops, R"((%x: float32[2, 3, n, 4], %z: float32[2, 3, n]) -> (%y) {
    %y = Einsum(%x, %z) {equation = "bhnd,bhn->bhnd"}
  })",
                  R"((%x: float32[2, 3, n, 4], %z: float32[2, 3, n]) -> (%y) {
    %a: int64[1] = constant [3]
    %u = Unsqueeze(%z, %a)
    %y = Mul(%x, %u)
  })");
  expect_rewrites(expand_ops, R"((%x: float32[3], %z: float32[4]) -> (%y) {
    %y = Einsum(%x, %z) {equation = "i,j->ji"}
  })",
                  R"((%x: float32[3], %z: float32[4]) -> (%y) {
    %a: int64[1] = constant [1]
    %u = Unsqueeze(%z, %a)
    %y = Mul(%x, %u)
  })");
}

TEST_CASE("equations of one term become sums and transpositions") {
  expect_rewrites(expand_ops, R"((%x: float32[2, 3, 4]) -> (%y) {
    %y = Einsum(%x) {equation = "bij->jb"}
  })",
                  R"((%x: float32[2, 3, 4]) -> (%y) {
    %a: int64[1] = constant [1]
    %s = ReduceSum(%x, %a) {keepdims = 0}
    %y = Transpose(%s) {perm = ints [1, 0]}
  })");
  expect_untouched(expand_ops, R"((%x: float32[3, 3]) -> (%y) {
    %y = Einsum(%x) {equation = "ii->i"}
  })");
}

TEST_CASE("many rows or columns of an equation merge into one axis, sizes known or not") {
  expect_rewrites(expand_ops, R"((%x: float32[2, 3, 4, 5], %z: float32[2, 5, 6]) -> (%y) {
    %y = Einsum(%x, %z) {equation = "bijd,bdk->bijk"}
  })",
                  R"((%x: float32[2, 3, 4, 5], %z: float32[2, 5, 6]) -> (%y) {
    %f: int64[3] = constant [2, 12, 5]
    %s: int64[4] = constant [2, 3, 4, 6]
    %m = Reshape(%x, %f)
    %t = Transpose(%z) {perm = ints [0, 2, 1]}
    %r = Transpose(%t) {perm = ints [0, 2, 1]}
    %p = MatMul(%m, %r)
    %y = Reshape(%p, %s)
  })");
  expect_rewrites(expand_ops, R"((%x: float32[b, n, 2, 5], %z: float32[b, 5, m]) -> (%y) {
    %y = Einsum(%x, %z) {equation = "bijd,bdk->bijk"}
  })",
                  R"((%x: float32[b, n, 2, 5], %z: float32[b, 5, m]) -> (%y) {
    %f: int64[3] = constant [0, -1, 5]
    %0: int64[1] = constant [0]
    %1: int64[1] = constant [1]
    %2: int64[1] = constant [2]
    %two: int64[1] = constant [2]
    %m = Reshape(%x, %f)
    %t = Transpose(%z) {perm = ints [0, 2, 1]}
    %r = Transpose(%t) {perm = ints [0, 2, 1]}
    %p = MatMul(%m, %r)
    %s = Shape(%p)
    %g = Gather(%s, %0)
    %h = Shape(%x)
    %i = Gather(%h, %1)
    %j = Shape(%z)
    %k = Gather(%j, %2)
    %c = Concat(%g, %i, %two, %k) {axis = 0}
    %y = Reshape(%p, %c)
  })");
}

TEST_CASE("of many terms the pair with the smallest product goes first") {
  expect_rewrites(expand_ops, R"((%a: float32[9, 2], %b: float32[9, 9], %c: float32[9]) -> (%y) {
    %y = Einsum(%a, %b, %c) {equation = "ji,jk,k->i"}
  })",
                  R"((%a: float32[9, 2], %b: float32[9, 9], %c: float32[9]) -> (%y) {
    %p = MatMul(%b, %c)
    %t = Transpose(%a) {perm = ints [1, 0]}
    %y = MatMul(%t, %p)
  })");
}
