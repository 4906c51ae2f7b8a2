#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kScales = R"(
    %xs: float32[] = constant [0.5]
    %xz: uint8[] = constant [1]
    %ws: float32[2] = constant [0.25, 0.5]
    %wz: int8[2] = constant [0, 0]
    %ys: float32[] = constant [0.125]
    %yz: uint8[] = constant [100]
    %w: int8[2, 1, 1, 1] = constant [3, -2]
    %b: float32[2] = constant [1, 2]
)";
const std::string kIn = "(%x: uint8[1, 1, 4, 4]) -> (%y) {" + kScales;

}  // namespace

TEST_CASE("a convolution between bytes is one of bytes, its bias in units of the sums") {
  expect_rewrites(fuse_quantized, kIn + R"(
    %xf = DequantizeLinear(%x, %xs, %xz)
    %wf = DequantizeLinear(%w, %ws, %wz) {axis = 0}
    %c = Conv(%xf, %wf, %b)
    %y = QuantizeLinear(%c, %ys, %yz)
  })",
                  kIn + R"(
    %bi: int32[2] = constant [8, 8]
    %y = QLinearConv(%x, %xs, %xz, %w, %ws, %wz, %ys, %yz, %bi)
  })");
}

TEST_CASE("a Relu goes where zero is the lowest number") {
  const auto convolution = [](const std::string& zero) {
    return kIn + "%zero: uint8[] = constant [" + zero + R"(]
    %xf = DequantizeLinear(%x, %xs, %xz)
    %wf = DequantizeLinear(%w, %ws, %wz) {axis = 0}
    %c = Conv(%xf, %wf)
    %r = Relu(%c)
    %y = QuantizeLinear(%r, %ys, %zero)
  })";
  };
  expect_rewrites(fuse_quantized, convolution("0"), kIn + R"(
    %zero: uint8[] = constant [0]
    %y = QLinearConv(%x, %xs, %xz, %w, %ws, %wz, %ys, %zero)
  })");
  expect_untouched(fuse_quantized, convolution("1"));
}

TEST_CASE("sums of bytes") {
  const std::string in = "(%x: uint8[3, 4], %z: uint8[4]) -> (%y) {" + kScales;
  expect_rewrites(fuse_quantized, in + R"(
    %xf = DequantizeLinear(%x, %xs, %xz)
    %zf = DequantizeLinear(%z, %xs, %yz)
    %s = Add(%xf, %zf)
    %y = QuantizeLinear(%s, %ys, %yz)
  })",
                  in + "%y = com.microsoft::QLinearAdd(%x, %xs, %xz, %z, %xs, %yz, %ys, %yz)}");
}

TEST_CASE("what only moves elements works on bytes of one scale") {
  const auto moved = [](const std::string& node, const std::string& x) {
    return node + x + ") {perm = ints [0, 2, 3, 1]}";
  };
  expect_rewrites(fuse_quantized,
                  kIn + "%f = DequantizeLinear(%x, %xs, %xz) %t = " + moved("Transpose(", "%f") +
                      " %y = QuantizeLinear(%t, %xs, %xz)}",
                  kIn + "%y = " + moved("Transpose(", "%x") + "}");
  expect_untouched(fuse_quantized,
                   kIn + "%f = DequantizeLinear(%x, %xs, %xz) %t = " + moved("Transpose(", "%f") +
                       " %y = QuantizeLinear(%t, %ys, %xz)}");
  expect_untouched(fuse_quantized,
                   kIn + "%f = DequantizeLinear(%x, %xs, %xz) %t = " + moved("Transpose(", "%f") +
                       " %y = QuantizeLinear(%t, %xs, %yz)}");
}

TEST_CASE("floats that are used elsewhere, and weights of another axis, stay") {
  const std::string convolution = R"(
    %xf = DequantizeLinear(%x, %xs, %xz)
    %wf = DequantizeLinear(%w, %ws, %wz) {axis = 0}
    %c = Conv(%xf, %wf)
    %y = QuantizeLinear(%c, %ys, %yz)
  )";
  expect_untouched(fuse_quantized,
                   "(%x: uint8[1, 1, 4, 4]) -> (%y, %c) {" + kScales + convolution + "}");
  expect_untouched(fuse_quantized, "(%x: uint8[1, 1, 4, 4]) -> (%y, %z) {" + kScales + convolution +
                                       "%z = Relu(%c) }");
  expect_untouched(fuse_quantized, R"((%x: uint8[1, 2, 4, 4]) -> (%y) {)" + kScales + R"(
    %q: int8[2, 2, 1, 1] = constant [1, 2, 3, 4]
    %xf = DequantizeLinear(%x, %xs, %xz)
    %wf = DequantizeLinear(%q, %ws, %wz) {axis = 1}
    %c = Conv(%xf, %wf)
    %y = QuantizeLinear(%c, %ys, %yz)
  })");
}
