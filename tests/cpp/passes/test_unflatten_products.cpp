#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kSized = R"((%x: float32[2, 5, 3]) -> (%y) {
    %flat: int64[2] = constant [-1, 3]
    %back: int64[3] = constant [2, 5, 2]
    %w: float32[3, 2] = constant [1, 2, 3, 4, 5, 6]
    %t: float32[2, 3] = constant [1, 2, 3, 4, 5, 6]
    %c: float32[2] = constant [0.5, -1]
)";

std::string around(const std::string& product) {
  return kSized + "%r = Reshape(%x, %flat) %g = " + product + " %y = Reshape(%g, %back)}";
}

}  // namespace

TEST_CASE("Gemm between reshapes becomes a product of the outer shape") {
  expect_rewrites(unflatten_products, around("Gemm(%r, %w, %c)"),
                  kSized + "%y = sardonyx::FusedMatMul(%x, %w, %c)}");
  expect_rewrites(unflatten_products, around("Gemm(%r, %t) {transB = 1}"),
                  kSized + "%y = sardonyx::FusedMatMul(%x, %t) {transB = 1}}");
}

TEST_CASE("scaled products and other shapes stay") {
  expect_untouched(unflatten_products, around("Gemm(%r, %w, %c) {alpha = 2.0}"));
  expect_untouched(unflatten_products, around("Gemm(%r, %w, %c) {beta = 2.0}"));
  expect_untouched(unflatten_products,
                   kSized +
                       "%other: int64[3] = constant [5, 2, 2] %r = Reshape(%x, %flat) "
                       "%g = Gemm(%r, %w, %c) %y = Reshape(%g, %other)}");
}
