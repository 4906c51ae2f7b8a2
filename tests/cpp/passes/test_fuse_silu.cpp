#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("x times its sigmoid is silu, on either side") {
  for (const char* product : {"Mul(%x, %s)", "Mul(%s, %x)"})
    expect_rewrites(
        fuse_silu,
        "(%x: float32[n, 5]) -> (%y) {%s = Sigmoid(%x) %y = " + std::string(product) + "}",
        "(%x: float32[n, 5]) -> (%y) {%y = Swish(%x)}");
}

TEST_CASE("a sigmoid used elsewhere stays beside it") {
  expect_rewrites(fuse_silu, "(%x: float32[3]) -> (%y, %s) {%s = Sigmoid(%x) %y = Mul(%x, %s)}",
                  "(%x: float32[3]) -> (%y, %s) {%s = Sigmoid(%x) %y = Swish(%x)}");
}

TEST_CASE("what only looks like silu stays") {
  expect_untouched(fuse_silu, R"((%x: float32[3], %z: float32[3]) -> (%y) {
    %s = Sigmoid(%x)
    %y = Mul(%z, %s)
  })");
  expect_untouched(fuse_silu, "(%x: float32[3]) -> (%y) {%s = Sigmoid(%x) %y = Add(%x, %s)}");
  expect_untouched(fuse_silu, "(%x: float32[3]) -> (%y) {%s = Sigmoid(%x) %y = Mul(%s, %s)}");
  expect_untouched(fuse_silu, "(%x: float32[3]) -> (%y) {%s = HardSigmoid(%x) %y = Mul(%x, %s)}");
  expect_untouched(fuse_silu, "(%x: float64[3]) -> (%y) {%s = Sigmoid(%x) %y = Mul(%x, %s)}");
}

TEST_CASE("the spelling of Mish") {
  expect_rewrites(fuse_silu, R"((%x: float32[n, 5]) -> (%y) {
    %s = Softplus(%x)
    %t = Tanh(%s)
    %y = Mul(%x, %t)
  })",
                  "(%x: float32[n, 5]) -> (%y) {%y = Mish(%x)}");
  expect_untouched(fuse_silu, R"((%x: float32[n, 5], %z: float32[n, 5]) -> (%y) {
    %s = Softplus(%x)
    %t = Tanh(%s)
    %y = Mul(%z, %t)
  })");
}
