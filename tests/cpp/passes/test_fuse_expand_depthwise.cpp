#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

// `between` and `last` are the two convolutions.
std::string bottleneck(const std::string& between, const std::string& last,
                       const std::string& outputs = "%y") {
  return "(%x: float32[n, 12, 9, 3], %r: float32[n, 12, 9, 5]) -> (" + outputs + R"() {
    %w: float32[5, 3, 1, 1] = constant [1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -2, -3, -4, -5, -6]
    %b: float32[5] = constant [1, -2, 3, -4, 5]
    %f: float32[5, 1, 3, 3] = constant fill(0.25)
    %one: float32[5, 1, 1, 1] = constant fill(0.25)
    %wide: float32[5, 5, 3, 3] = constant fill(0.25)
    %d = sardonyx::FusedConv()" +
         between + " %y = sardonyx::FusedConv(" + last + "}";
}

const std::string kExpand = R"(%x, %w, %b) {activation = "Relu", layout = "NHWC"})";
const std::string kDepthwise =
    R"(%d, %f, %b) {activation = "Clip", activation_alpha = -1.0, activation_beta = 6.0,
       group = 5, layout = "NHWC", pads = ints [1, 1, 1, 1], strides = ints [2, 1]})";

}  // namespace

TEST_CASE("a depthwise convolution of what a pointwise one makes") {
  expect_rewrites(fuse_expand_depthwise, bottleneck(kExpand, kDepthwise),
                  R"((%x: float32[n, 12, 9, 3], %r: float32[n, 12, 9, 5]) -> (%y) {
    %w: float32[5, 3, 1, 1] = constant [1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -2, -3, -4, -5, -6]
    %b: float32[5] = constant [1, -2, 3, -4, 5]
    %f: float32[5, 1, 3, 3] = constant fill(0.25)
    %y = sardonyx::ExpandDepthwise(%x, %w, %b, %f, %b) {activation = "Clip",
      activation_alpha = -1.0, activation_beta = 6.0, expand_activation = "Relu",
      pads = ints [1, 1, 1, 1], strides = ints [2, 1]}
  })");
}

TEST_CASE("other convolutions stay apart") {
  const auto stays = [](const std::string& between, const std::string& last,
                        const std::string& outputs = "%y") {
    expect_untouched(fuse_expand_depthwise, bottleneck(between, last, outputs));
  };
  stays(kExpand, kDepthwise, "%y, %d");
  stays(R"(%x, %w, %b, %r) {layout = "NHWC"})", kDepthwise);
  stays(R"(%x, %w, %b) {layout = "NHWC", strides = ints [2, 2]})", kDepthwise);
  stays(R"(%x, %w, %b) {layout = "NHWC", pads = ints [0, 1, 0, 1]})", kDepthwise);
  stays(kExpand, R"(%d, %one, %b) {group = 5, layout = "NHWC"})");
  stays(kExpand, R"(%d, %wide, %b) {layout = "NHWC"})");
  stays(kExpand, R"(%d, %f, %b, %r) {group = 5, layout = "NHWC", pads = ints [1, 1, 1, 1]})");
}
