#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("convolutions are told to be strict, once") {
  const std::string strict = R"((%x: float32[1, 1, 5, 5]) -> (%z) {
    %w: float32[1, 1, 3, 3] = constant fill(0.5)
    %y = Conv(%x, %w) {pads = ints [1, 1, 1, 1], strict = 1}
    %z = Relu(%y)
  })";
  expect_rewrites(forbid_winograd, R"((%x: float32[1, 1, 5, 5]) -> (%z) {
    %w: float32[1, 1, 3, 3] = constant fill(0.5)
    %y = Conv(%x, %w) {pads = ints [1, 1, 1, 1]}
    %z = Relu(%y)
  })",
                  strict);
  expect_untouched(forbid_winograd, strict);
}
