#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kStatistics = R"(
    %scale: float32[2] = constant [4, 3]
    %shift: float32[2] = constant [0.5, 1]
    %mean: float32[2] = constant [2, -1]
    %variance: float32[2] = constant [4, 9]
)";
const std::string kNorm = "BatchNormalization(%x, %scale, %shift, %mean, %variance) ";

}  // namespace

TEST_CASE("a batch norm without a convolution becomes a product and a sum") {
  expect_rewrites(
      expand_batch_norm,
      "(%x: float32[n, 2, 3, 4]) -> (%y) {" + kStatistics + "%y = " + kNorm + "{epsilon = 0.0}}",
      R"((%x: float32[n, 2, 3, 4]) -> (%y) {
    %f: float32[2, 1, 1] = constant [2, 1]
    %s: float32[2, 1, 1] = constant [-3.5, 2]
    %p = Mul(%x, %f)
    %y = Add(%p, %s)
  })");
  expect_rewrites(
      expand_batch_norm,
      "(%x: float32[n, 2]) -> (%y) {" + kStatistics + "%y = " + kNorm + "{epsilon = 0.0}}",
      R"((%x: float32[n, 2]) -> (%y) {
    %f: float32[2] = constant [2, 1]
    %s: float32[2] = constant [-3.5, 2]
    %p = Mul(%x, %f)
    %y = Add(%p, %s)
  })");
}

TEST_CASE("batch norms of fed statistics, of other types and of unknown rank stay") {
  expect_untouched(expand_batch_norm, R"((%x: float32[n, 2, 3], %mean: float32[2]) -> (%y) {
    %scale: float32[2] = constant [4, 3]
    %y = BatchNormalization(%x, %scale, %scale, %mean, %scale)
  })");
  expect_untouched(expand_batch_norm, R"((%x: float64[n, 2, 3]) -> (%y) {
    %scale: float64[2] = constant [4, 3]
    %y = BatchNormalization(%x, %scale, %scale, %scale, %scale)
  })");
}
