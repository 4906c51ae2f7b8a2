#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

std::string scan(const std::string& body, const std::string& attributes = "",
                 const std::string& types = "(%x: float32[n, 5], %y: float32[m, 5])") {
  return types + R"( -> (%z) {
    %state, %z = Scan(%x, %y) {num_scan_inputs = 1, )" +
         attributes + R"(body = graph "b" opset {"": 17} (%all: float32[n, 5], %one: float32[5]) ->
      (%same, %sums) {%same = Identity(%all) )" +
         body + "}}}";
}

const char* const kSums =
    "%d = Sub(%all, %one) "
    "%sums = ReduceSumSquare(%d) {axes = ints [1], keepdims = 0}";

}  // namespace

TEST_CASE("a loop over squared differences of rows is one operator") {
  for (const std::string& body :
       {std::string(kSums), std::string("%d = Sub(%one, %all) "
                                        "%s = ReduceSumSquare(%d) {axes = ints [1], keepdims = 0} "
                                        "%sums = Identity(%s)")})
    expect_rewrites(fuse_distance, scan(body), R"((%x: float32[n, 5], %y: float32[m, 5]) -> (%z) {
      %d = com.microsoft::CDist(%x, %y) {metric = "sqeuclidean"}
      %z = Transpose(%d) {perm = ints [1, 0]}
    })");
}

TEST_CASE("other loops stay") {
  expect_untouched(fuse_distance,
                   scan("%d = Sub(%all, %one) "
                        "%sums = ReduceSumSquare(%d) {axes = ints [0], keepdims = 0}"));
  expect_untouched(fuse_distance, scan("%d = Sub(%all, %one) "
                                       "%sums = ReduceSumSquare(%d) {axes = ints [1]}"));
  expect_untouched(fuse_distance,
                   scan("%d = Add(%all, %one) "
                        "%sums = ReduceSumSquare(%d) {axes = ints [1], keepdims = 0}"));
  expect_untouched(fuse_distance,
                   scan("%d = Sub(%all, %all) "
                        "%sums = ReduceSumSquare(%d) {axes = ints [1], keepdims = 0}"));
  expect_untouched(fuse_distance, scan(kSums, "scan_input_directions = ints [1], "));
  expect_untouched(fuse_distance, scan(kSums, "", "(%x: float32[n, k], %y: float32[m, 5])"));
}
