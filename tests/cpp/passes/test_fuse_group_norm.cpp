#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kIn = R"((%x: float32[n, 4, 3, 2]) -> (%y) {
    %parts: int64[3] = constant [0, 2, -1]
    %whole: int64[4] = constant [0, 4, 3, 2]
    %ones: float32[2] = constant [1, 1]
    %zeros: float32[2] = constant [0, 0]
    %scale: float32[4, 1, 1] = constant [1, 2, 3, 4]
    %bias: float32[1, 4, 1, 1] = constant [5, 6, 7, 8]
    %r = Reshape(%x, %parts)
)";

}  // namespace

TEST_CASE("groups as instances, with factors of channels") {
  expect_rewrites(fuse_group_norm, kIn + R"(
    %i = InstanceNormalization(%r, %ones, %zeros) {epsilon = 0.01}
    %w = Reshape(%i, %whole)
    %m = Mul(%w, %scale)
    %y = Add(%m, %bias)
  })",
                  R"((%x: float32[n, 4, 3, 2]) -> (%y) {
    %scale: float32[4] = constant [1, 2, 3, 4]
    %bias: float32[4] = constant [5, 6, 7, 8]
    %y = GroupNormalization(%x, %scale, %bias) {epsilon = 0.01, num_groups = 2}
  })",
                  17);
}

TEST_CASE("groups as instances, with nothing behind them") {
  expect_rewrites(fuse_group_norm, kIn + R"(
    %i = InstanceNormalization(%r, %ones, %zeros)
    %y = Reshape(%i, %whole)
  })",
                  R"((%x: float32[n, 4, 3, 2]) -> (%y) {
    %scale: float32[4] = constant fill(1)
    %bias: float32[4] = constant fill(0)
    %y = GroupNormalization(%x, %scale, %bias) {epsilon = 1e-05, num_groups = 2}
  })");
}

TEST_CASE("instances with factors of their own stay") {
  expect_untouched(fuse_group_norm, kIn + R"(
    %f: float32[2] = constant [1, 2]
    %i = InstanceNormalization(%r, %f, %zeros)
    %y = Reshape(%i, %whole)
  })");
}

TEST_CASE("norms become factors, a product and a sum") {
  expect_rewrites(expand_group_norm, R"((%x: float32[n, 4, 3, 2]) -> (%y) {
    %s: float32[4] = constant [1, 2, 3, 4]
    %y = GroupNormalization(%x, %s, %s) {num_groups = 2, epsilon = 0.5}
  })",
                  R"((%x: float32[n, 4, 3, 2]) -> (%y) {
    %s: float32[4] = constant [1, 2, 3, 4]
    %f, %t = sardonyx::NormFactors(%x, %s, %s) {epsilon = 0.5, groups = 2}
    %p = Mul(%x, %f)
    %y = Add(%p, %t)
  })",
                  21);
  expect_rewrites(expand_group_norm, R"((%x: float32[n, 4, 70]) -> (%y) {
    %s: float32[4] = constant [1, 2, 3, 4]
    %y = InstanceNormalization(%x, %s, %s)
  })",
                  R"((%x: float32[n, 4, 70]) -> (%y) {
    %s: float32[4] = constant [1, 2, 3, 4]
    %f, %t = sardonyx::NormFactors(%x, %s, %s) {epsilon = 1e-05}
    %p = Mul(%x, %f)
    %y = Add(%p, %t)
  })");
}

TEST_CASE("norms of other types, and of groups with factors of their own, stay") {
  expect_untouched(expand_group_norm, R"((%x: float64[n, 2, 3]) -> (%y) {
    %s: float64[2] = constant [1, 2]
    %y = InstanceNormalization(%x, %s, %s)
  })");
  expect_untouched(expand_group_norm, R"((%x: float32[n, 4, 3, 2]) -> (%y) {
    %s: float32[2] = constant [1, 2]
    %y = GroupNormalization(%x, %s, %s) {num_groups = 2}
  })",
                   18);
}

TEST_CASE("factors are the same in either layout") {
  for (const std::string shape :
       {"[2, 6, 5, 7]", "[1, 4, 2, 2]", "[3, 32, 24, 25]", "[1, 2, 90, 80]", "[0, 2, 3, 3]"}) {
    const std::string c = shape.substr(4, shape.find(',', 4) - 4);
    const auto text = [&](const std::string& groups) {
      return "(%x: float32" + shape + ", %s: float32[" + c + "], %b: float32[" + c + R"(]) -> (%y) {
    %w: float32[)" +
             c + ", 1, 1, 1] = constant fill(2)" + R"(
    %c = Conv(%x, %w) {group = )" +
             c + R"(}
    %y = )" + groups +
             "}";
    };
    for (const std::string& norm : {std::string("GroupNormalization(%c, %s, %b) {num_groups = 2}"),
                                    std::string("InstanceNormalization(%c, %s, %b)")}) {
      CAPTURE(shape);
      const auto plain = graph_of(text(norm), 21), last = graph_of(text(norm), 21);
      CHECK(expand_group_norm(*last));
      CHECK(channels_last(*last));
      expect_same(run_on_random(*plain), run_on_random(*last), 64);
    }
  }
}
