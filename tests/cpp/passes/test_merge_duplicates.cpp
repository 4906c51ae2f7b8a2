#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("nodes that compute the same thing become one, chains too") {
  expect_rewrites(merge_duplicates, R"((%x: float32[2, 3]) -> (%d) {
    %two: float32[] = constant [2]
    %deux: float32[] = constant [2]
    %a = Mul(%x, %two)
    %b = Mul(%x, %deux)
    %e = Softmax(%a) {axis = 1}
    %f = Softmax(%b) {axis = 1}
    %d = Sub(%e, %f)
  })",
                  R"((%x: float32[2, 3]) -> (%d) {
    %two: float32[] = constant [2]
    %a = Mul(%x, %two)
    %e = Softmax(%a) {axis = 1}
    %d = Sub(%e, %e)
  })");
}

TEST_CASE("both may be outputs") {
  expect_rewrites(merge_duplicates, R"((%x: float32[3]) -> (%a, %b) {
    %a = Relu(%x)
    %b = Relu(%x)
  })",
                  R"((%x: float32[3]) -> (%a, %a as "b") {
    %a = Relu(%x)
  })");
}

TEST_CASE("nodes that differ in anything stay") {
  // By attribute, operand order, constant, shape of the constant, outputs left out.
  expect_untouched(merge_duplicates, R"((%x: float32[2, 2]) -> (%a, %b) {
    %a = Softmax(%x) {axis = 0}
    %b = Softmax(%x) {axis = 1}
  })");
  expect_untouched(merge_duplicates, R"((%x: float32[2], %y: float32[2]) -> (%a, %b) {
    %a = Sub(%x, %y)
    %b = Sub(%y, %x)
  })");
  expect_untouched(merge_duplicates, R"((%x: float32[2]) -> (%a, %b) {
    %c: float32[] = constant [0]
    %d: float32[] = constant [-0]
    %a = Div(%x, %c)
    %b = Div(%x, %d)
  })");
  expect_untouched(merge_duplicates, R"((%x: float32[1]) -> (%a, %b) {
    %c: float32[] = constant [2]
    %d: float32[1, 1] = constant [2]
    %a = Add(%x, %c)
    %b = Add(%x, %d)
  })");
  expect_untouched(merge_duplicates, R"((%x: float32[6]) -> (%a, %b) {
    %k: int64[1] = constant [2]
    %a, _ = TopK(%x, %k) {axis = 0}
    _, %b = TopK(%x, %k) {axis = 0}
  })");
}

TEST_CASE("text in an attribute cannot pass for another attribute") {
  expect_untouched(merge_duplicates, R"((%x: float32[2, 2]) -> (%a, %b) {
    %a = Einsum(%x) {equation = "ij->ji"}
    %b = Einsum(%x) {equation = "ij->ij"}
  })");
}

TEST_CASE("random numbers and subgraphs are never merged") {
  expect_untouched(merge_duplicates, R"(() -> (%a, %b) {
    %a = RandomNormal() {shape = ints [2]}
    %b = RandomNormal() {shape = ints [2]}
  })");
  expect_untouched(merge_duplicates, R"((%c: bool[], %x: float32[2]) -> (%a, %b) {
    %a = If(%c; %x) {then_branch = graph "t" opset {"": 17} (%x: float32[2]) -> (%y) {%y = Relu(%x)},
                     else_branch = graph "e" opset {"": 17} (%x: float32[2]) -> (%y) {%y = Neg(%x)}}
    %b = If(%c; %x) {then_branch = graph "t" opset {"": 17} (%x: float32[2]) -> (%y) {%y = Relu(%x)},
                     else_branch = graph "e" opset {"": 17} (%x: float32[2]) -> (%y) {%y = Abs(%x)}}
  })");
}
