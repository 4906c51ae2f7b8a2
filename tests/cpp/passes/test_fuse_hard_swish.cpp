#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kConstants = R"(
    %zero: float32[] = constant [0]
    %three: float32[] = constant [3]
    %six: float32[] = constant [6]
    %sixth: float32[] = constant [0.1666666716337204]
)";
const std::string kClip = "%a = Add(%x, %three) %c = Clip(%a, %zero, %six) ";

void expect_from(const std::string& body, const std::string& after) {
  expect_rewrites(fuse_hard_swish, "(%x: float32[n, 5]) -> (%y) {" + kConstants + body + "}",
                  "(%x: float32[n, 5]) -> (%y) {" + after + "}");
}

}  // namespace

TEST_CASE("spellings of HardSwish") {
  const std::string swish = "%y = HardSwish(%x)";
  expect_from(kClip + "%p = Mul(%x, %c) %y = Div(%p, %six)", swish);
  expect_from(kClip + "%p = Mul(%c, %x) %y = Mul(%sixth, %p)", swish);
  expect_from(kClip + "%p = Div(%c, %six) %y = Mul(%x, %p)", swish);
  expect_from(kClip + "%p = Mul(%c, %sixth) %y = Mul(%p, %x)", swish);
  expect_from("%p = HardSigmoid(%x) {alpha = 0.1666666716337204} %y = Mul(%p, %x)", swish);
}

TEST_CASE("the gate alone is HardSigmoid") {
  expect_from(kClip + "%y = Div(%c, %six)",
              "%y = HardSigmoid(%x) {alpha = 0.1666666716337204, beta = 0.5}");
}

TEST_CASE("other numbers and other factors stay") {
  const auto stays = [](const std::string& body) {
    expect_untouched(fuse_hard_swish,
                     "(%x: float32[n, 5], %z: float32[n, 5]) -> (%y) {" + kConstants + body + "}");
  };
  stays("%a = Add(%x, %six) %c = Clip(%a, %zero, %six) %y = Div(%c, %six)");
  stays("%a = Add(%x, %three) %c = Clip(%a, %zero, %three) %y = Div(%c, %six)");
  stays(kClip + "%p = Mul(%c, %z) %y = Div(%p, %six)");
  stays("%p = HardSigmoid(%x) %y = Mul(%p, %x)");
}
