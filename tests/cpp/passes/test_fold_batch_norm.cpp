#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

// Statistics whose factor is exact: scale 4 and 8 over a deviation of 2 and 4, less epsilon.
const std::string kStatistics = R"(
    %scale: float32[2] = constant [4, 8]
    %shift: float32[2] = constant [0.5, -1]
    %mean: float32[2] = constant [1, 2]
    %variance: float32[2] = constant [4, 16]
)";

}  // namespace

TEST_CASE("batch norm goes into the weights and bias of the convolution before") {
  expect_rewrites(fold_batch_norm, R"((%x: float32[n, 1, 5, 5]) -> (%z) {)" + kStatistics + R"(
    %w: float32[2, 1, 1, 2] = constant [1, 2, 3, 4]
    %b: float32[2] = constant [3, 4]
    %y = Conv(%x, %w, %b) {pads = ints [0, 1, 0, 0]}
    %z = BatchNormalization(%y, %scale, %shift, %mean, %variance) {epsilon = 0.0}
  })",
                  R"((%x: float32[n, 1, 5, 5]) -> (%z) {
    %w: float32[2, 1, 1, 2] = constant [2, 4, 6, 8]
    %b: float32[2] = constant [4.5, 3]
    %z = Conv(%x, %w, %b) {pads = ints [0, 1, 0, 0]}
  })");
}

TEST_CASE("without a bias, in groups, in opset 7") {
  expect_rewrites(fold_batch_norm, R"((%x: float32[1, 4, 6]) -> (%z) {)" + kStatistics + R"(
    %w: float32[2, 2, 1] = constant [1, 2, 3, 4]
    %y = Conv(%x, %w) {group = 2}
    %z = BatchNormalization(%y, %scale, %shift, %mean, %variance) {epsilon = 0.0}
  })",
                  R"((%x: float32[1, 4, 6]) -> (%z) {
    %w: float32[2, 2, 1] = constant [2, 4, 6, 8]
    %b: float32[2] = constant [-1.5, -5]
    %z = Conv(%x, %w, %b) {group = 2}
  })",
                  7);
}

TEST_CASE("batch norms that must stay") {
  const std::string start = R"((%x: float32[1, 1, 4, 4], %given: float32[2]) -> )";
  const std::string weights = R"(
    %w: float32[2, 1, 1, 1] = constant [1, 2]
    %narrow: float16[2] = constant [1, 2]
    %nothing: float32[2] = constant [0, 0]
    %y = Conv(%x, %w)
)";
  // The convolution's result is used elsewhere, or is an output.
  expect_untouched(fold_batch_norm, start + "(%z, %r) {" + kStatistics + weights + R"(
    %z = BatchNormalization(%y, %scale, %shift, %mean, %variance)
    %r = Relu(%y)
  })");
  expect_untouched(fold_batch_norm, start + "(%z, %y) {" + kStatistics + weights + R"(
    %z = BatchNormalization(%y, %scale, %shift, %mean, %variance)
  })");
  // Statistics are fed, or make no finite factor.
  expect_untouched(fold_batch_norm, start + "(%z) {" + kStatistics + weights + R"(
    %z = BatchNormalization(%y, %scale, %shift, %given, %variance)
  })");
  expect_untouched(fold_batch_norm, start + "(%z) {" + kStatistics + weights + R"(
    %z = BatchNormalization(%y, %scale, %shift, %mean, %nothing) {epsilon = 0.0}
  })");
  // Training updates the statistics.
  expect_untouched(fold_batch_norm, start + "(%z, %m, %v) {" + kStatistics + weights + R"(
    %z, %m, %v = BatchNormalization(%y, %scale, %shift, %mean, %variance) {training_mode = 1}
  })");
  // Weights are fed.
  expect_untouched(fold_batch_norm, "(%x: float32[1, 1, 4, 4], %w: float32[2, 1, 1, 1]) -> (%z) {" +
                                        kStatistics + R"(
    %y = Conv(%x, %w)
    %z = BatchNormalization(%y, %scale, %shift, %mean, %variance)
  })");
}
