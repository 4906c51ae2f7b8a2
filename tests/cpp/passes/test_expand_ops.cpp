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
