#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kConstants = R"(
    %half: float32[] = constant [0.5]
    %one: float32[] = constant [1]
    %root: float32[] = constant [1.4142135]
    %inverse: float32[1] = constant [0.70710677]
    %three: float32[] = constant [3]
    %a: float32[] = constant [0.79788458]
    %b: float32[] = constant [0.044715]
)";
const std::string kIn = "(%x: float32[n, 5]) -> (%y) {" + kConstants;
const std::string kGelu = "(%x: float32[n, 5]) -> (%y) {%y = Gelu(%x)}";
const std::string kTanhGelu =
    R"((%x: float32[n, 5]) -> (%y) {%y = Gelu(%x) {approximate = "tanh"}})";

}  // namespace

TEST_CASE("gelu by erf, in every order of its factors") {
  const std::string bracket = R"(
    %d = Div(%x, %root)
    %e = Erf(%d)
    %s = Add(%e, %one)
)";
  for (const char* product :
       {"%m = Mul(%x, %s)  %y = Mul(%m, %half)", "%m = Mul(%s, %x)  %y = Mul(%half, %m)",
        "%m = Mul(%x, %half)  %y = Mul(%m, %s)", "%m = Mul(%half, %x)  %y = Mul(%s, %m)",
        "%m = Mul(%s, %half)  %y = Mul(%x, %m)", "%m = Mul(%half, %s)  %y = Mul(%m, %x)"})
    expect_rewrites(fuse_gelu, kIn + bracket + product + "}", kGelu);
}

TEST_CASE("gelu by erf of a product") {
  expect_rewrites(fuse_gelu, kIn + R"(
    %d = Mul(%inverse, %x)
    %e = Erf(%d)
    %s = Add(%one, %e)
    %m = Mul(%x, %s)
    %y = Mul(%m, %half)
  })",
                  kGelu);
}

TEST_CASE("gelu by tanh, the cube as a power or as products") {
  for (const char* cube : {"%c = Pow(%x, %three)", "%q = Mul(%x, %x)  %c = Mul(%q, %x)",
                           "%q = Mul(%x, %x)  %c = Mul(%x, %q)"})
    expect_rewrites(fuse_gelu, kIn + cube + R"(
    %i = Mul(%b, %c)
    %j = Add(%x, %i)
    %k = Mul(%j, %a)
    %t = Tanh(%k)
    %s = Add(%t, %one)
    %m = Mul(%x, %half)
    %y = Mul(%m, %s)
  })",
                    kTanhGelu);
}

TEST_CASE("parts that are used elsewhere stay beside the gelu") {
  expect_rewrites(fuse_gelu, "(%x: float32[n, 5]) -> (%y, %e) {" + kConstants + R"(
    %d = Div(%x, %root)
    %e = Erf(%d)
    %s = Add(%e, %one)
    %m = Mul(%x, %s)
    %y = Mul(%m, %half)
  })",
                  R"((%x: float32[n, 5]) -> (%y, %e) {
    %root: float32[] = constant [1.4142135]
    %d = Div(%x, %root)
    %e = Erf(%d)
    %y = Gelu(%x)
  })");
}

TEST_CASE("what only looks like gelu stays") {
  const auto erf = [](const std::string& in, const std::string& d, const std::string& s,
                      const std::string& m, const std::string& y) {
    expect_untouched(fuse_gelu, in + "%d = " + d + " %e = Erf(%d) %s = " + s + " %m = " + m +
                                    " %y = " + y + "}");
  };
  const std::string d = "Div(%x, %root)", s = "Add(%e, %one)", m = "Mul(%x, %s)",
                    y = "Mul(%m, %half)";
  erf(kIn, "Div(%root, %x)", s, m, y);
  erf(kIn, "Div(%x, %a)", s, m, y);
  erf(kIn, d, "Sub(%one, %e)", m, y);
  erf(kIn, d, "Add(%e, %half)", m, y);
  erf(kIn, d, s, "Mul(%d, %s)", y);
  erf(kIn, d, s, m, "Mul(%m, %one)");
  erf(kIn, d, s, m, "Div(%m, %half)");
  // Another value in place of x; a constant that adds an axis; another element type.
  const std::string two = "(%x: float32[n, 5], %z: float32[n, 5]) -> (%y) {" + kConstants;
  erf(two, d, s, "Mul(%z, %s)", y);
  const std::string wide = kIn + "%wide: float32[1, 1, 1] = constant [0.5] ";
  erf(wide, d, s, m, "Mul(%m, %wide)");
  const std::string doubles = R"((%x: float64[n, 5]) -> (%y) {
    %half: float64[] = constant [0.5]
    %one: float64[] = constant [1]
    %root: float64[] = constant [1.4142135623730951]
)";
  erf(doubles, d, s, m, y);
}
