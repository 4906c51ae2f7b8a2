#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("captured constants become constants of every branch that takes them") {
  expect_rewrites(push_constants, R"((%c: bool[], %x: float32[2]) -> (%y) {
    %w: float32[2] = constant [3, 4]
    %y = If(%c; %w, %x) {
      else_branch = graph "e" opset {"": 17} (%w: float32[2], %x: float32[2]) -> (%t) {%t = Mul(%x, %w)},
      then_branch = graph "t" opset {"": 17} (%w: float32[2], %x: float32[2]) -> (%t) {%t = Add(%x, %w)}}
  })",
                  R"((%c: bool[], %x: float32[2]) -> (%y) {
    %y = If(%c; %x) {
      else_branch = graph "e" opset {"": 17} (%x: float32[2]) -> (%t) {
        %w: float32[2] = constant [3, 4]
        %t = Mul(%x, %w)},
      then_branch = graph "t" opset {"": 17} (%x: float32[2]) -> (%t) {
        %w: float32[2] = constant [3, 4]
        %t = Add(%x, %w)}}
  })");
}

TEST_CASE("formal inputs of a loop stay, and a constant may be a result") {
  expect_rewrites(push_constants, R"((%x: float32[2]) -> (%y, %all) {
    %trips: int64[] = constant [3]
    %w: float32[2] = constant [3, 4]
    %y, %all = Loop(%trips, _, %x; %w) {
      body = graph "b" opset {"": 17} (%i: int64[], %go: bool[], %s: float32[2], %w: float32[2])
        -> (%on, %t, %w) {
          %on = Identity(%go)
          %t = Add(%s, %w)}}
  })",
                  R"((%x: float32[2]) -> (%y, %all) {
    %trips: int64[] = constant [3]
    %y, %all = Loop(%trips, _, %x) {
      body = graph "b" opset {"": 17} (%i: int64[], %go: bool[], %s: float32[2]) -> (%on, %t, %w) {
          %w: float32[2] = constant [3, 4]
          %on = Identity(%go)
          %t = Add(%s, %w)}}
  })");
}

TEST_CASE("captured values that are no constants stay captured") {
  expect_untouched(push_constants, R"((%c: bool[], %x: float32[2]) -> (%y) {
    %y = If(%c; %x) {
      else_branch = graph "e" opset {"": 17} (%x: float32[2]) -> (%t) {%t = Neg(%x)},
      then_branch = graph "t" opset {"": 17} (%x: float32[2]) -> (%x) {}}
  })");
}
