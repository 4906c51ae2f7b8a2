#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("transpositions that undo each other go") {
  expect_rewrites(merge_transposes, R"((%x: float32[2, n, 4]) -> (%y, %u) {
    %u = Transpose(%x) {perm = ints [1, 2, 0]}
    %t = Transpose(%u) {perm = ints [2, 0, 1]}
    %y = Relu(%t)
  })",
                  R"((%x: float32[2, n, 4]) -> (%y, %u) {
    %u = Transpose(%x) {perm = ints [1, 2, 0]}
    %y = Relu(%x)
  })");
}

TEST_CASE("transpositions in a row become one") {
  expect_rewrites(merge_transposes, R"((%x: float32[2, 3, 4]) -> (%y) {
    %u = Transpose(%x)
    %t = Transpose(%u) {perm = ints [0, 2, 1]}
    %y = Transpose(%t) {perm = ints [2, 0, 1]}
  })",
                  R"((%x: float32[2, 3, 4]) -> (%y) {
    %y = Transpose(%x) {perm = ints [1, 2, 0]}
  })");
}

TEST_CASE("single transpositions stay") {
  expect_untouched(merge_transposes, R"((%x: float32[2, 3]) -> (%y) {
    %t = Transpose(%x)
    %r = Relu(%t)
    %y = Transpose(%r)
  })");
}
