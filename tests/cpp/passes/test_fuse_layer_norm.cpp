#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kConstants = R"(
    %two: float32[] = constant [2]
    %one: float32[] = constant [1]
    %e: float32[] = constant [0.01]
    %g: float32[4] = constant [1, 2, 3, 4]
    %b: float32[1, 4] = constant [4, 3, 2, 1]
    %last: int64[1] = constant [-1]
)";
const std::string kIn = "(%x: float32[n, 3, 4]) -> (%y) {" + kConstants;
const std::string kLayerNorm = R"((%x: float32[n, 3, 4]) -> (%y) {
    %g: float32[4] = constant [1, 2, 3, 4]
    %b: float32[4] = constant [4, 3, 2, 1]
    %y = LayerNormalization(%x, %g, %b) {axis = -1, epsilon = 0.01}
  })";
const std::string kRmsNorm = R"((%x: float32[n, 3, 4]) -> (%y) {
    %g: float32[4] = constant [1, 2, 3, 4]
    %y = SimplifiedLayerNormalization(%x, %g) {axis = -1, epsilon = 0.01}
  })";

std::string layer_norm(const std::string& mean = "ReduceMean(%x) {axes = ints [-1]}",
                       const std::string& square = "Pow(%d, %two)",
                       const std::string& variance = "ReduceMean(%q) {axes = ints [2]}",
                       const std::string& normal = "Div(%d, %r)",
                       const std::string& scaled = "Mul(%z, %g)",
                       const std::string& shifted = "Add(%s, %b)") {
  return "%m = " + mean + " %d = Sub(%x, %m) %q = " + square + " %v = " + variance +
         " %w = Add(%v, %e) %r = Sqrt(%w) %z = " + normal + " %s = " + scaled + " %y = " + shifted +
         "}";
}

}  // namespace

TEST_CASE("layer norm as exporters write it") {
  expect_rewrites(fuse_layer_norm, kIn + layer_norm(), kLayerNorm);
  expect_rewrites(fuse_layer_norm,
                  kIn + layer_norm("ReduceMean(%x) {axes = ints [2]}", "Mul(%d, %d)"), kLayerNorm);
  expect_rewrites(fuse_layer_norm,
                  kIn + layer_norm("ReduceMean(%x) {axes = ints [-1], keepdims = 1}",
                                   "Pow(%d, %two)", "ReduceMean(%q) {axes = ints [-1]}",
                                   "Div(%d, %r)", "Mul(%g, %z)", "Add(%b, %s)"),
                  kLayerNorm);
}

TEST_CASE("layer norm of opset 18, whose axes are an input") {
  expect_rewrites(fuse_layer_norm,
                  kIn + layer_norm("ReduceMean(%x, %last)", "Mul(%d, %d)", "ReduceMean(%q, %last)"),
                  kLayerNorm, 18);
}

TEST_CASE("layer norm by a reciprocal") {
  const auto by = [](const std::string& inverse) {
    return kIn + R"(
    %m = ReduceMean(%x) {axes = ints [-1]}
    %d = Sub(%x, %m)
    %q = Mul(%d, %d)
    %v = ReduceMean(%q) {axes = ints [-1]}
    %w = Add(%e, %v)
    %r = Sqrt(%w)
    %i = )" +
           inverse + R"(
    %z = Mul(%d, %i)
    %s = Mul(%z, %g)
    %y = Add(%s, %b)
  })";
  };
  expect_rewrites(fuse_layer_norm, by("Reciprocal(%r)"), kLayerNorm);
  expect_rewrites(fuse_layer_norm, by("Div(%one, %r)"), kLayerNorm);
}

TEST_CASE("RMS norm") {
  expect_rewrites(fuse_layer_norm, kIn + R"(
    %q = Pow(%x, %two)
    %v = ReduceMean(%q) {axes = ints [-1]}
    %w = Add(%v, %e)
    %r = Sqrt(%w)
    %i = Reciprocal(%r)
    %z = Mul(%x, %i)
    %y = Mul(%g, %z)
  })",
                  kRmsNorm);
  expect_rewrites(fuse_layer_norm, kIn + R"(
    %q = Mul(%x, %x)
    %v = ReduceMean(%q) {axes = ints [-1]}
    %w = Add(%v, %e)
    %r = Sqrt(%w)
    %z = Div(%x, %r)
    %y = Mul(%z, %g)
  })",
                  kRmsNorm);
}

TEST_CASE("a bias that is no row stays an addition") {
  expect_rewrites(fuse_layer_norm,
                  "(%x: float32[n, 3, 4], %t: float32[n, 3, 4]) -> (%y) {" + kConstants +
                      layer_norm("ReduceMean(%x) {axes = ints [-1]}", "Mul(%d, %d)",
                                 "ReduceMean(%q) {axes = ints [-1]}", "Div(%d, %r)", "Mul(%z, %g)",
                                 "Add(%s, %t)"),
                  R"((%x: float32[n, 3, 4], %t: float32[n, 3, 4]) -> (%y) {
    %g: float32[4] = constant [1, 2, 3, 4]
    %s = LayerNormalization(%x, %g) {axis = -1, epsilon = 0.01}
    %y = Add(%s, %t)
  })");
}

TEST_CASE("parts that are outputs stay outputs") {
  expect_rewrites(fuse_layer_norm,
                  "(%x: float32[n, 3, 4]) -> (%y, %m, %s) {" + kConstants + layer_norm(),
                  R"((%x: float32[n, 3, 4]) -> (%y, %m, %s) {
    %g: float32[4] = constant [1, 2, 3, 4]
    %b: float32[1, 4] = constant [4, 3, 2, 1]
    %m = ReduceMean(%x) {axes = ints [-1]}
    %s = LayerNormalization(%x, %g) {axis = -1, epsilon = 0.01}
    %y = Add(%s, %b)
  })");
}

TEST_CASE("what only looks like layer norm stays") {
  const std::string mean = "ReduceMean(%x) {axes = ints [-1]}", square = "Mul(%d, %d)",
                    variance = "ReduceMean(%q) {axes = ints [-1]}", normal = "Div(%d, %r)",
                    scaled = "Mul(%z, %g)", shifted = "Add(%s, %b)";
  const std::string same = "(%x: float32[4, 4, 4]) -> (%y) {" + kConstants;
  const std::string middle = "ReduceMean(%q) {axes = ints [1]}";
  // Another axis, several axes, another quotient, a power of three, a scalar or wider scale.
  expect_untouched(fuse_layer_norm,
                   same + layer_norm(mean, square, middle, normal, scaled, shifted));
  expect_untouched(fuse_layer_norm,
                   same + layer_norm(mean, square, "ReduceMean(%q) {axes = ints [1, 2]}"));
  expect_untouched(fuse_layer_norm, same + layer_norm(mean, square, variance, "Div(%x, %r)"));
  expect_untouched(fuse_layer_norm, same + layer_norm(mean, square, variance, "Div(%r, %d)"));
  expect_untouched(fuse_layer_norm, same + "%three: float32[] = constant [3] " +
                                        layer_norm(mean, "Pow(%d, %three)"));
  expect_untouched(fuse_layer_norm,
                   same + layer_norm(mean, square, variance, normal, "Mul(%z, %two)"));
  const std::string wide = same + "%wide: float32[1, 1, 1, 4] = constant [1, 2, 3, 4] ";
  expect_untouched(fuse_layer_norm,
                   wide + layer_norm(mean, square, variance, normal, "Mul(%z, %wide)"));
  // A normalised value that is used twice, or an output.
  expect_untouched(fuse_layer_norm,
                   "(%x: float32[n, 3, 4]) -> (%y, %z) {" + kConstants + layer_norm());
  // Another element type.
  expect_untouched(fuse_layer_norm, R"((%x: float64[2, 4]) -> (%y) {
    %e: float64[] = constant [0.01]
    %g: float64[4] = constant [1, 2, 3, 4]
    %q = Mul(%x, %x)
    %v = ReduceMean(%q) {axes = ints [-1]}
    %w = Add(%v, %e)
    %r = Sqrt(%w)
    %z = Div(%x, %r)
    %y = Mul(%z, %g)
  })");
}

TEST_CASE("a mean around another axis makes an RMS norm of the difference") {
  expect_rewrites(fuse_layer_norm,
                  "(%x: float32[4, 4, 4]) -> (%y) {" + kConstants +
                      layer_norm("ReduceMean(%x) {axes = ints [1]}", "Mul(%d, %d)"),
                  R"((%x: float32[4, 4, 4]) -> (%y) {
    %g: float32[4] = constant [1, 2, 3, 4]
    %b: float32[1, 4] = constant [4, 3, 2, 1]
    %m = ReduceMean(%x) {axes = ints [1]}
    %d = Sub(%x, %m)
    %s = SimplifiedLayerNormalization(%d, %g) {axis = -1, epsilon = 0.01}
    %y = Add(%s, %b)
  })");
}
