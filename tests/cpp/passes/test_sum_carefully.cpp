#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

// So many convolutions, one after the other, of which the first of each kind are careful.
std::string chain(int count, int most_careful, int careful) {
  std::string text = "(%x0: float32[1, 1, 5, 5]) -> (%x" + std::to_string(count) + R"() {
    %w: float32[1, 1, 3, 3] = constant fill(0.5)
)";
  for (int i = 0; i < count; ++i) {
    text += "    %x" + std::to_string(i + 1) + " = Conv(%x" + std::to_string(i) +
            ", %w) {pads = ints [1, 1, 1, 1]";
    if (i < careful) text += i < most_careful ? ", careful = 2" : ", careful = 1";
    text += "}\n";
  }
  return text + "  }";
}

}  // namespace

TEST_CASE("convolutions in front of many more are told to be careful, once") {
  expect_rewrites(sum_carefully, chain(50, 0, 0), chain(50, 10, 20));
  expect_untouched(sum_carefully, chain(50, 10, 20));
}

TEST_CASE("the longest way to an output counts, and convolutions alone") {
  expect_untouched(sum_carefully, chain(30, 0, 0));
  expect_rewrites(sum_carefully, chain(31, 0, 0), chain(31, 0, 1));
}
