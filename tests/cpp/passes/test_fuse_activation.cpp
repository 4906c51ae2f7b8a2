#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

std::string of_product(const std::string& activation, const std::string& constants = "") {
  return "(%a: float32[n, 2], %b: float32[2, 3]) -> (%y) {" + constants +
         " %p = MatMul(%a, %b) %y = " + activation + "}";
}

std::string fused(const std::string& attributes) {
  return "(%a: float32[n, 2], %b: float32[2, 3]) -> (%y) {%y = sardonyx::FusedMatMul(%a, %b) {" +
         attributes + "}}";
}

const std::string kBounds = "%low: float32[] = constant [-0.5] %high: float32[1] = constant [1.5]";

}  // namespace

TEST_CASE("activations are applied by the product") {
  for (const char* name : {"Relu", "Sigmoid", "Tanh", "HardSwish"})
    expect_rewrites(fuse_activation, of_product(std::string(name) + "(%p)"),
                    fused("activation = \"" + std::string(name) + "\""));
  expect_rewrites(fuse_activation, of_product("LeakyRelu(%p) {alpha = 0.25}"),
                  fused(R"(activation = "LeakyRelu", activation_alpha = 0.25)"));
  expect_rewrites(fuse_activation, of_product("LeakyRelu(%p)"),
                  fused(R"(activation = "LeakyRelu", activation_alpha = 0.01)"));
  expect_rewrites(
      fuse_activation, of_product("HardSigmoid(%p) {alpha = 0.25}"),
      fused(R"(activation = "HardSigmoid", activation_alpha = 0.25, activation_beta = 0.5)"));
  expect_rewrites(fuse_activation, of_product("Gelu(%p)"), fused(R"(activation = "Gelu")"), 20);
  expect_rewrites(fuse_activation, of_product(R"(Gelu(%p) {approximate = "tanh"})"),
                  fused(R"(activation = "FastGelu")"), 20);
  expect_rewrites(fuse_activation, of_product("Swish(%p)"), fused(R"(activation = "Silu")"), 24);
}

TEST_CASE("Clip by inputs, by attributes of old versions, and open on a side") {
  expect_rewrites(fuse_activation, of_product("Clip(%p, %low, %high)", kBounds),
                  fused(R"(activation = "Clip", activation_alpha = -0.5, activation_beta = 1.5)"));
  expect_rewrites(fuse_activation, of_product("Clip(%p) {min = -0.5, max = 1.5}"),
                  fused(R"(activation = "Clip", activation_alpha = -0.5, activation_beta = 1.5)"),
                  10);
  expect_rewrites(fuse_activation, of_product("Clip(%p, _, %high)", kBounds),
                  fused(R"(activation = "Clip", activation_alpha = -inf, activation_beta = 1.5)"));
  expect_rewrites(fuse_activation, of_product("Clip(%p, %low)", kBounds),
                  fused(R"(activation = "Clip", activation_alpha = -0.5, activation_beta = inf)"));
}

TEST_CASE("convolutions and Gemm, with what is fused already") {
  expect_rewrites(fuse_activation, R"((%x: float32[1, 1, 4, 4], %r: float32[1, 2, 4, 4]) -> (%y) {
    %k: float32[2, 1, 1, 1] = constant [1, 2]
    %c = sardonyx::FusedConv(%x, %k, _, %r) {group = 1}
    %y = Relu(%c)
  })",
                  R"((%x: float32[1, 1, 4, 4], %r: float32[1, 2, 4, 4]) -> (%y) {
    %k: float32[2, 1, 1, 1] = constant [1, 2]
    %y = sardonyx::FusedConv(%x, %k, _, %r) {activation = "Relu", group = 1}
  })");
  expect_rewrites(fuse_activation,
                  R"((%a: float32[2, 2], %b: float32[2, 3], %c: float32[2, 3]) -> (%y) {
    %p = Gemm(%a, %b, %c) {beta = 0.5}
    %y = Tanh(%p)
  })",
                  R"((%a: float32[2, 2], %b: float32[2, 3], %c: float32[2, 3]) -> (%y) {
    %y = sardonyx::FusedGemm(%a, %b, %c) {activation = "Tanh", beta = 0.5}
  })");
}

TEST_CASE("one activation is fused, the next stays") {
  expect_rewrites(fuse_activation, R"((%a: float32[2, 2], %b: float32[2, 3]) -> (%y) {
    %p = MatMul(%a, %b)
    %t = Relu(%p)
    %y = Sigmoid(%t)
  })",
                  R"((%a: float32[2, 2], %b: float32[2, 3]) -> (%y) {
    %t = sardonyx::FusedMatMul(%a, %b) {activation = "Relu"}
    %y = Sigmoid(%t)
  })");
}

TEST_CASE("activations that must stay") {
  expect_untouched(fuse_activation, of_product("Elu(%p)"));
  expect_untouched(fuse_activation, of_product("Swish(%p) {alpha = 2.0}"), 24);
  expect_untouched(fuse_activation,
                   R"((%a: float32[2, 2], %b: float32[2, 3], %low: float32[]) -> (%y) {
    %p = MatMul(%a, %b)
    %y = Clip(%p, %low)
  })");
  expect_untouched(fuse_activation, R"((%a: float32[2, 2], %b: float32[2, 3]) -> (%y, %p) {
    %p = MatMul(%a, %b)
    %y = Relu(%p)
  })");
  expect_untouched(fuse_activation, R"((%a: float32[2, 2], %b: float32[2, 3]) -> (%y, %z) {
    %p = MatMul(%a, %b)
    %y = Relu(%p)
    %z = Neg(%p)
  })");
  expect_untouched(fuse_activation, R"((%a: float16[2, 2], %b: float16[2, 3]) -> (%y) {
    %p = MatMul(%a, %b)
    %y = Relu(%p)
  })");
  expect_untouched(fuse_activation, R"((%a: int32[2, 2], %b: int32[2, 3]) -> (%y) {
    %p = MatMul(%a, %b)
    %y = Relu(%p)
  })");
}

TEST_CASE("convolutions that are joined are activated each") {
  const std::string in = R"((%x: float32[n, 1, 4, 4], %z: float32[n, 1, 2, 2]) -> (%y) {
    %k: float32[2, 1, 1, 1] = constant [1, 2]
    %flat: int64[3] = constant [0, 2, -1]
)";
  expect_rewrites(fuse_activation, in + R"(
    %p = Conv(%x, %k)
    %q = Conv(%z, %k)
    %a = Reshape(%p, %flat)
    %b = Reshape(%q, %flat)
    %j = Concat(%a, %b) {axis = 2}
    %y = Sigmoid(%j)
  })",
                  in + R"(
    %p = sardonyx::FusedConv(%x, %k) {activation = "Sigmoid"}
    %q = sardonyx::FusedConv(%z, %k) {activation = "Sigmoid"}
    %a = Reshape(%p, %flat)
    %b = Reshape(%q, %flat)
    %y = Concat(%a, %b) {axis = 2}
  })");
  // Not all of them can.
  expect_untouched(fuse_activation, R"((%x: float32[n, 1, 4, 4]) -> (%y) {
    %k: float32[2, 1, 1, 1] = constant [1, 2]
    %p = Conv(%x, %k)
    %j = Concat(%x, %p) {axis = 1}
    %y = Sigmoid(%j)
  })");
  expect_untouched(fuse_activation, R"((%x: float32[n, 1, 4, 4]) -> (%y) {
    %k: float32[2, 1, 1, 1] = constant [1, 2]
    %p = Conv(%x, %k)
    %j = Concat(%p, %p) {axis = 1}
    %y = Sigmoid(%j)
  })");
}
