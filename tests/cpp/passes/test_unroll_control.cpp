#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("a loop of known length becomes the nodes of its body") {
  expect_rewrites(unroll_control, R"((%x: float32[2], %w: float32[2]) -> (%y, %all) {
    %trips: int64[] = constant [2]
    %y, %all = Loop(%trips, _, %x; %w) {
      body = graph "b" opset {"": 17} (%i: int64[], %go: bool[], %s: float32[2], %w: float32[2])
        -> (%on, %t, %u) {
          %on = Identity(%go)
          %t = Add(%s, %w)
          %f = Cast(%i) {to = 1}
          %u = Mul(%t, %f)}}
  })",
                  R"((%x: float32[2], %w: float32[2]) -> (%y, %all) {
    %zero: int64[] = constant [0]
    %one: int64[] = constant [1]
    %front: int64[1] = constant [0]
    %t = Add(%x, %w)
    %f = Cast(%zero) {to = 1}
    %u = Mul(%t, %f)
    %y = Add(%t, %w)
    %g = Cast(%one) {to = 1}
    %v = Mul(%y, %g)
    %a = Unsqueeze(%u, %front)
    %b = Unsqueeze(%v, %front)
    %all = Concat(%a, %b) {axis = 0}
  })");
}

TEST_CASE("loops that may end early, are long, or contain what is not pure stay") {
  const auto loop = [](const char* trips, const char* body) {
    return std::string("(%x: float32[2]) -> (%y) {\n    %trips: int64[] = constant [") + trips +
           R"(]
    %y = Loop(%trips, _, %x) {
      body = graph "b" opset {"": 17} (%i: int64[], %go: bool[], %s: float32[2]) -> (%on, %t) {)" +
           body + "}}\n  }";
  };
  expect_untouched(unroll_control, loop("65", "%on = Identity(%go)\n%t = Neg(%s)"));
  expect_untouched(unroll_control, loop("0", "%on = Identity(%go)\n%t = Neg(%s)"));
  expect_untouched(unroll_control, loop("2", "%on = Not(%go)\n%t = Neg(%s)"));
  expect_untouched(unroll_control, loop("2", "%on = Identity(%go)\n%t = RandomNormalLike(%s)"));
}

TEST_CASE("an If whose condition is known becomes the branch it takes") {
  expect_rewrites(unroll_control, R"((%x: float32[2]) -> (%y) {
    %c: bool[] = constant [0]
    %y = If(%c; %x) {
      else_branch = graph "e" opset {"": 17} (%x: float32[2]) -> (%t) {%t = Neg(%x)},
      then_branch = graph "t" opset {"": 17} (%x: float32[2]) -> (%x) {}}
  })",
                  R"((%x: float32[2]) -> (%y) {
    %y = Neg(%x)
  })");
  expect_untouched(unroll_control, R"((%c: bool[], %x: float32[2]) -> (%y) {
    %y = If(%c; %x) {
      else_branch = graph "e" opset {"": 17} (%x: float32[2]) -> (%t) {%t = Neg(%x)},
      then_branch = graph "t" opset {"": 17} (%x: float32[2]) -> (%x) {}}
  })");
}
