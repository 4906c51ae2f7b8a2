#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("identities are bypassed, between nodes and at outputs") {
  expect_rewrites(bypass_identities, R"((%x: float32[2, n]) -> (%z) {
    %y = Identity(%x)
    %t = Relu(%y)
    %z = Identity(%t)
  })",
                  R"((%x: float32[2, n]) -> (%t as "z") {
    %t = Relu(%x)
  })");
}

TEST_CASE("an identity may join an input to an output") {
  expect_rewrites(bypass_identities, R"((%x: int64[3]) -> (%y, %z) {
    %y = Identity(%x)
    %z = Identity(%y)
  })",
                  R"((%x: int64[3]) -> (%x as "y", %x as "z") {
  })");
}

TEST_CASE("dropout at inference is an identity unless its mask is used") {
  expect_rewrites(bypass_identities, R"((%x: float32[4]) -> (%z) {
    %y, %mask = Dropout(%x)
    %z = Neg(%y)
  })",
                  R"((%x: float32[4]) -> (%z) {
    %z = Neg(%x)
  })");
  expect_untouched(bypass_identities, R"((%x: float32[4]) -> (%z, %mask) {
    %y, %mask = Dropout(%x)
    %z = Neg(%y)
  })");
  expect_untouched(bypass_identities, R"((%x: float32[4], %train: bool[]) -> (%y) {
    %y = Dropout(%x, _, %train)
  })");
}

TEST_CASE("a conversion to the type at hand is an identity") {
  expect_rewrites(bypass_identities, R"((%x: float32[4]) -> (%z) {
    %y = Cast(%x) {to = 1}
    %z = Neg(%y)
  })",
                  R"((%x: float32[4]) -> (%z) {
    %z = Neg(%x)
  })");
  expect_untouched(bypass_identities, R"((%x: int64[4]) -> (%z) {
    %y = Cast(%x) {to = 1}
    %z = Neg(%y)
  })");
}
