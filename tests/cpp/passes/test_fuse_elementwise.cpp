#include "base/error.h"
#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("neighbours become one chain") {
  expect_rewrites(fuse_elementwise, R"((%x: float32[n, 3, 5]) -> (%y) {
    %s: float32[5] = constant [1, -2, 3, 4, 5]
    %b: float32[3, 1] = constant [1, 2, 3]
    %m = Mul(%x, %s)
    %a = Add(%b, %m)
    %g = Sigmoid(%a)
    %y = Mul(%a, %g)
  })",
                  R"((%x: float32[n, 3, 5]) -> (%y) {
    %b: float32[3, 1] = constant [1, 2, 3]
    %s: float32[5] = constant [1, -2, 3, 4, 5]
    %y = sardonyx::Elementwise(%b, %x, %s) {steps = strings ["Mul 1 2", "Add 0 3", "Sigmoid 4", "Mul 4 5"]}
  })");
}

TEST_CASE("constants of the operators are kept") {
  expect_rewrites(fuse_elementwise, R"((%x: float32[7]) -> (%y) {
    %high: float32[] = constant [1.5]
    %l = LeakyRelu(%x) {alpha = 0.25}
    %c = Clip(%l, _, %high)
    %y = Gelu(%c) {approximate = "tanh"}
  })",
                  R"((%x: float32[7]) -> (%y) {
    %y = sardonyx::Elementwise(%x) {parameters = floats [0.25, 0, -inf, 1.5, 0, 0], steps = strings ["LeakyRelu 0", "Clip 1", "FastGelu 2"]}
  })",
                  20);
}

TEST_CASE("a value that is used outside, or smaller than the result, ends a chain") {
  expect_rewrites(fuse_elementwise, R"((%x: float32[2, 6], %z: float32[2, 1]) -> (%y, %n) {
    %n = Neg(%x)
    %e = Exp(%n)
    %g = Sigmoid(%z)
    %p = Mul(%e, %g)
    %y = Sub(%p, %x)
  })",
                  R"((%x: float32[2, 6], %z: float32[2, 1]) -> (%y, %n) {
    %n = Neg(%x)
    %g = Sigmoid(%z)
    %y = sardonyx::Elementwise(%x, %g, %n) {steps = strings ["Exp 2", "Mul 3 1", "Sub 4 0"]}
  })");
}

TEST_CASE("single operators and other types stay") {
  expect_untouched(fuse_elementwise, "(%x: float32[4]) -> (%y) {%y = Relu(%x)}");
  expect_untouched(fuse_elementwise,
                   "(%x: float64[4]) -> (%y) {%n = Neg(%x) %e = Exp(%n) %y = Add(%e, %n)}");
  expect_untouched(fuse_elementwise, R"((%x: float32[4], %z: float32[4]) -> (%y) {
    %e = Exp(%x)
    %y = Pow(%e, %z)
  })");
  expect_untouched(fuse_elementwise, R"((%x: float32[4], %high: float32[]) -> (%y) {
    %e = Exp(%x)
    %y = Clip(%e, _, %high)
  })");
}

TEST_CASE("a chain computes what its operators do, over operands of every shape") {
  // Whole tensors, numbers, rows, columns, gates by image, and sizes around those of a tile.
  const std::string shapes[][3] = {
      {"[7]", "[7]", "[1]"},
      {"[2, 3, 5000]", "[3, 1]", "[2, 1, 1]"},
      {"[3, 17, 19, 8]", "[3, 1, 1, 8]", "[8]"},
      {"[3, 8, 17, 19]", "[3, 8, 1, 1]", "[8, 1, 1]"},
      {"[2, 33, 96]", "[96]", "[2, 33, 1]"},
      {"[5, 4, 300]", "[1, 4, 1]", "[]"},
      {"[3, 4, 700]", "[4, 700]", "[3, 1, 1]"},
      {"[2, 3, 4, 5, 6]", "[3, 1, 5, 1]", "[2, 1, 4, 1, 6]"},
      {"[1]", "[1]", "[]"},
      {"[0, 4]", "[4]", "[1, 1]"},
      {"[2100, 3]", "[3]", "[2100, 1]"},
      {"[2, 1500]", "[1500]", "[2, 1]"},
      {"[1025]", "[1025]", "[1025]"},
  };
  for (const auto& [x, a, b] : shapes) {
    const std::string text =
        "(%x: float32" + x + ", %a: float32" + a + ", %b: float32" + b + R"() -> (%y) {
    %high: float32[] = constant [1.75]
    %m = Mul(%x, %a)
    %t = Add(%b, %m)
    %s = Sigmoid(%t)
    %p = Mul(%s, %t)
    %d = Sub(%p, %x)
    %g = Max(%d, %t)
    %y = Clip(%g, _, %high)
  })";
    CAPTURE(text);
    const auto plain = graph_of(text), fused = graph_of(text);
    CHECK(fuse_elementwise(*fused));
    CHECK(fused->node_count() == 1);
    expect_same(run_on_random(*plain), run_on_random(*fused), 1);
  }
}

TEST_CASE("malformed chains are refused") {
  const auto refused = [](const std::string& steps) {
    CHECK_THROWS_AS(
        graph_of("(%x: float32[3]) -> (%y) {%y = sardonyx::Elementwise(%x) {" + steps + "}}"),
        sdx::Error);
  };
  refused("");
  refused(R"(steps = strings ["Add 0 1"])");
  refused(R"(steps = strings ["Add 0 -1"])");
  refused(R"(steps = strings ["Add 0 0 0"])");
  refused(R"(steps = strings ["Neg"])");
  refused(R"(steps = strings ["Neg 0 x"])");
  refused(R"(steps = strings ["Gather 0 0"])");
  refused(R"(parameters = floats [1], steps = strings ["Neg 0"])");
}
