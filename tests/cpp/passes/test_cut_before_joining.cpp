#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kScales =
    "(%a: float32[n, 2, 4, 4], %b: float32[n, 3, 4, 4], %c: float32[n, 2, 2, 2], "
    "%d: float32[n, 3, 2, 2]) -> ";
const std::string kJoined = R"(
    %flat: int64[3] = constant [0, 5, -1]
    %left = Concat(%a, %b) {axis = 1}
    %right = Concat(%c, %d) {axis = -3}
    %p = Reshape(%left, %flat)
    %q = Reshape(%right, %flat)
    %j = Concat(%p, %q) {axis = 2}
)";

}  // namespace

TEST_CASE("what detectors find at several scales is not joined to be cut") {
  expect_rewrites(cut_before_joining, kScales + "(%y, %z) {" + kJoined + R"(
    %sizes: int64[2] = constant [2, 3]
    %y, %z = Split(%j, %sizes) {axis = 1}
  })",
                  kScales + R"((%y, %z) {
    %two_16: int64[3] = constant [0, 2, 16]
    %two_4: int64[3] = constant [0, 2, 4]
    %three_16: int64[3] = constant [0, 3, 16]
    %three_4: int64[3] = constant [0, 3, 4]
    %a1 = Reshape(%a, %two_16)
    %c1 = Reshape(%c, %two_4)
    %y = Concat(%a1, %c1) {axis = 2}
    %b1 = Reshape(%b, %three_16)
    %d1 = Reshape(%d, %three_4)
    %z = Concat(%b1, %d1) {axis = 2}
  })");
}

TEST_CASE("joins without reshapes are cut too") {
  const std::string in =
      "(%a: float32[2, n], %b: float32[3, n], %c: float32[2, m], %d: float32[3, m]) -> (%y, %z) {";
  expect_rewrites(cut_before_joining, in + R"(
    %p = Concat(%a, %b) {axis = 0}
    %q = Concat(%c, %d) {axis = 0}
    %j = Concat(%p, %q) {axis = 1}
    %sizes: int64[2] = constant [2, 3]
    %y, %z = Split(%j, %sizes) {axis = 0}
  })",
                  in + R"(
    %y = Concat(%a, %c) {axis = 1}
    %z = Concat(%b, %d) {axis = 1}
  })");
}

TEST_CASE("other cuts, and what is used elsewhere, stay") {
  const auto stays = [](const std::string& outputs, const std::string& more) {
    expect_untouched(cut_before_joining, kScales + outputs + " {" + kJoined + more + "}");
  };
  stays("(%y, %z)", "%s: int64[2] = constant [3, 2] %y, %z = Split(%j, %s) {axis = 1}");
  stays("(%y, %z)", "%s: int64[2] = constant [7, 13] %y, %z = Split(%j, %s) {axis = 2}");
  stays("(%x, %y, %z)", "%s: int64[3] = constant [2, 2, 1] %x, %y, %z = Split(%j, %s) {axis = 1}");
  stays("(%y, %z, %j)", "%s: int64[2] = constant [2, 3] %y, %z = Split(%j, %s) {axis = 1}");
  stays("(%y, %z, %left)", "%s: int64[2] = constant [2, 3] %y, %z = Split(%j, %s) {axis = 1}");
}
