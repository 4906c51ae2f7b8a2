#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kWeights = R"(
    %w: float32[3, 6, 3, 3] = constant fill(0.25)
    %v: float32[3, 3, 1, 1] = constant [1, 2, 3, 4, 5, 6, 7, 8, 9]
    %u: float32[3] = constant [1, -2, 3]
    %column: float32[3, 1, 1] = constant [1, -2, 3]
    %row: float32[4] = constant [1, -2, 3, 4]
    %one: float32[] = constant [0.5]
    %ones: float32[1, 1] = constant [0.5]
)";
const std::string kTo = "{perm = ints [0, 2, 3, 1]}";
const std::string kBack = "{perm = ints [0, 3, 1, 2]}";
const std::string kConv =
    R"(sardonyx::FusedConv(%xt, %w) {layout = "NHWC", pads = ints [1, 1, 1, 1]})";

// y of a convolution through `body`, and what `after` makes of %c, channels-last, in its place.
void expect_region(const std::string& body, const std::string& after, int opset = 17) {
  const std::string in = "(%x: float32[n, 6, 4, 4]) -> (%y) {" + kWeights;
  expect_rewrites(channels_last, in + "%c = Conv(%x, %w) {pads = ints [1, 1, 1, 1]} " + body + "}",
                  in + "%xt = Transpose(%x) " + kTo + " %c = " + kConv + " " + after +
                      " %y = Transpose(%t) " + kBack + "}",
                  opset);
}

}  // namespace

TEST_CASE("one transposition at each edge of a region") {
  expect_region("%r = Relu(%c) %d = Conv(%r, %v, %u) %y = Sigmoid(%d)", R"(
    %r = Relu(%c)
    %d = sardonyx::FusedConv(%r, %v, %u) {layout = "NHWC"}
    %t = Sigmoid(%d))");
}

TEST_CASE("a convolution turns an image of few channels itself") {
  expect_rewrites(channels_last, "(%x: float32[n, 3, 4, 4]) -> (%y) {" + kWeights + R"(
    %c = Conv(%x, %v)
    %y = Relu(%c)
  })",
                  "(%x: float32[n, 3, 4, 4]) -> (%y) {" + kWeights + R"(
    %c = sardonyx::FusedConv(%x, %v) {layout = "NHWC", turns_input = 1}
    %t = Relu(%c)
    %y = Transpose(%t) )" +
                      kBack + "}");
}

TEST_CASE("a value used inside and outside is turned back once") {
  expect_rewrites(channels_last, "(%x: float32[n, 6, 4, 4]) -> (%y, %z, %c) {" + kWeights + R"(
    %c = Conv(%x, %w) {pads = ints [1, 1, 1, 1]}
    %y = Relu(%c)
    %z = Flatten(%c)
  })",
                  "(%x: float32[n, 6, 4, 4]) -> (%y, %z, %c) {" + kWeights +
                      "%xt = Transpose(%x) " + kTo + "%ct = " + kConv + " %c = Transpose(%ct) " +
                      kBack + R"(
    %r = Relu(%ct)
    %y = Transpose(%r) )" +
                      kBack + R"(
    %z = Flatten(%c)
  })");
}

TEST_CASE("operands that broadcast: scalars, rows, columns, planes") {
  expect_region("%y = Add(%c, %one)", "%t = Add(%c, %one)");
  expect_region("%y = Mul(%ones, %c)", "%t = Mul(%ones, %c)");
  expect_region("%y = PRelu(%c, %column)", R"(
    %p: float32[1, 3, 1, 1] = constant [1, -2, 3]
    %q = Transpose(%p) {perm = ints [0, 2, 3, 1]}
    %t = PRelu(%c, %q))");
  expect_region("%y = Sub(%row, %c)", R"(
    %p: float32[1, 1, 1, 4] = constant [1, -2, 3, 4]
    %q = Transpose(%p) {perm = ints [0, 2, 3, 1]}
    %t = Sub(%q, %c))");
}

TEST_CASE("a gate of pooled channels stays inside") {
  expect_region(
      "%g = GlobalAveragePool(%c) %d = Conv(%g, %v) %s = HardSigmoid(%d) %y = Mul(%s, %c)", R"(
    %g = sardonyx::GlobalAveragePool(%c) {layout = "NHWC"}
    %d = sardonyx::FusedConv(%g, %v) {layout = "NHWC"}
    %s = HardSigmoid(%d)
    %t = Mul(%s, %c))");
}

TEST_CASE("a fed operand of the same rank is turned, of a lower rank it ends the region") {
  const std::string in = "(%x: float32[n, 6, 4, 4], %z: float32[1, 1, 4, 4]) -> (%y) {" + kWeights;
  expect_rewrites(channels_last, in + R"(
    %c = Conv(%x, %w) {pads = ints [1, 1, 1, 1]}
    %y = Add(%c, %z)
  })",
                  in + "%xt = Transpose(%x) " + kTo + " %c = " + kConv + " %zt = Transpose(%z) " +
                      kTo + " %t = Add(%c, %zt) %y = Transpose(%t) " + kBack + "}");
  const std::string low = "(%x: float32[n, 6, 4, 4], %z: float32[4]) -> (%y) {" + kWeights;
  expect_rewrites(channels_last, low + R"(
    %c = Conv(%x, %w) {pads = ints [1, 1, 1, 1]}
    %y = Add(%c, %z)
  })",
                  low + "%xt = Transpose(%x) " + kTo + " %ct = " + kConv + " %c = Transpose(%ct) " +
                      kBack + " %y = Add(%c, %z)}");
}

TEST_CASE("axes follow their dimensions") {
  expect_region("%y = Softmax(%c) {axis = 1}", "%t = Softmax(%c) {axis = 3}");
  expect_region("%y = LogSoftmax(%c) {axis = -1}", "%t = LogSoftmax(%c) {axis = 2}");
  expect_region("%y = Concat(%c, %c) {axis = 1}", "%t = Concat(%c, %c) {axis = 3}");
  expect_region("%y = Concat(%c, %c) {axis = -2}", "%t = Concat(%c, %c) {axis = 1}");
  expect_region("%y = ReduceMean(%c) {axes = ints [2, 3]}",
                "%t = ReduceMean(%c) {axes = ints [1, 2]}", 13);
  expect_region("%axes: int64[2] = constant [-1, 1] %y = ReduceMax(%c, %axes)",
                "%axes: int64[2] = constant [2, 3] %t = ReduceMax(%c, %axes)", 18);
}

TEST_CASE("Resize by scales and by sizes") {
  expect_region(R"(%s: float32[4] = constant [1, 1, 2, 3]
    %y = Resize(%c, _, %s) {mode = "nearest", nearest_mode = "floor"})",
                R"(%s: float32[4] = constant [1, 2, 3, 1]
    %t = Resize(%c, _, %s) {mode = "nearest", nearest_mode = "floor"})");
  expect_region(R"(%s: int64[4] = constant [2, 3, 8, 5]
    %y = Resize(%c, _, _, %s) {mode = "linear"})",
                R"(%s: int64[4] = constant [2, 8, 5, 3]
    %t = Resize(%c, _, _, %s) {mode = "linear"})");
}

TEST_CASE("pools") {
  expect_region(
      "%y = MaxPool(%c) {kernel_shape = ints [2, 2], strides = ints [2, 2], ceil_mode = 1}", R"(
    %t = sardonyx::MaxPool(%c) {ceil_mode = 1, kernel_shape = ints [2, 2], layout = "NHWC", strides = ints [2, 2]})");
  expect_region("%y = AveragePool(%c) {kernel_shape = ints [3, 3], pads = ints [1, 1, 1, 1]}", R"(
    %t = sardonyx::AveragePool(%c) {kernel_shape = ints [3, 3], layout = "NHWC", pads = ints [1, 1, 1, 1]})");
}

TEST_CASE("the residual of a fused convolution is turned with it") {
  const std::string in = "(%x: float32[n, 6, 4, 4], %r: float32[n, 3, 4, 4]) -> (%y) {" + kWeights;
  expect_rewrites(channels_last, in + R"(
    %y = sardonyx::FusedConv(%x, %w, %u, %r) {activation = "Relu", pads = ints [1, 1, 1, 1]}
  })",
                  in + "%xt = Transpose(%x) " + kTo + " %rt = Transpose(%r) " + kTo + R"(
    %t = sardonyx::FusedConv(%xt, %w, %u, %rt) {activation = "Relu", layout = "NHWC", pads = ints [1, 1, 1, 1]}
    %y = Transpose(%t) )" +
                      kBack + "}");
}

TEST_CASE("graphs without such convolutions stay") {
  expect_untouched(
      channels_last,
      "(%x: float32[1, 2, 4, 4]) -> (%y) {%y = MaxPool(%x) {kernel_shape = ints [2, 2]}}");
  expect_untouched(channels_last, "(%x: float32[1, 2, 4, 4]) -> (%y) {%y = Relu(%x)}");
  expect_untouched(channels_last,
                   "(%x: float32[1, 1, 4], %k: float32[1, 1, 3]) -> (%y) {%y = Conv(%x, %k)}");
  expect_untouched(
      channels_last,
      "(%x: float32[1, 1, 4, 4], %k: float32[1, 1, 3, 3]) -> (%y) {%y = Conv(%x, %k)}");
  expect_untouched(channels_last, R"((%x: float64[1, 1, 4, 4]) -> (%y) {
    %k: float64[1, 1, 1, 1] = constant [2]
    %y = Conv(%x, %k)
  })");
}

TEST_CASE("what cannot work channels-last is given channels-first") {
  const auto ends = [](const std::string& node, const std::string& constants = "") {
    const std::string in = "(%x: float32[n, 6, 4, 4]) -> (%y) {" + kWeights + constants;
    expect_rewrites(channels_last,
                    in + "%c = Conv(%x, %w) {pads = ints [1, 1, 1, 1]} %y = " + node + "}",
                    in + "%xt = Transpose(%x) " + kTo + " %ct = " + kConv +
                        " %c = Transpose(%ct) " + kBack + " %y = " + node + "}");
  };
  ends("Flatten(%c)");
  ends("DepthToSpace(%c) {blocksize = 1}");
  ends("Slice(%c, %from, %to)", "%from: int64[1] = constant [0] %to: int64[1] = constant [1]");
  ends("Reshape(%c, %to)", "%to: int64[3] = constant [0, -1, 4]");
  ends("ReduceMean(%c) {axes = ints [1, 2], keepdims = 0}");
  ends("ReduceMean(%c)");
  ends("Shape(%c)");
  ends("Expand(%c, %to)", "%to: int64[5] = constant [2, 1, 3, 4, 4]");
}

TEST_CASE("slices and parts of channels") {
  expect_region(R"(%f: int64[2] = constant [0, 1] %e: int64[2] = constant [3, 3]
    %a: int64[2] = constant [3, 1]
    %y = Slice(%c, %f, %e, %a))",
                R"(%f: int64[2] = constant [0, 1] %e: int64[2] = constant [3, 3]
    %a: int64[2] = constant [2, 3]
    %t = Slice(%c, %f, %e, %a))");
  expect_region(R"(%s: int64[2] = constant [1, 2]
    %p, %q = Split(%c, %s) {axis = 1}
    %g = Sigmoid(%p)
    %y = Mul(%g, %q))",
                R"(%s: int64[2] = constant [1, 2]
    %p, %q = Split(%c, %s) {axis = 3}
    %g = Sigmoid(%p)
    %t = Mul(%g, %q))");
}

TEST_CASE("channels dealt out to groups, and laid out in space") {
  const std::string in =
      "(%x: float32[n, 6, 4, 4]) -> (%y) {%w: float32[4, 6, 1, 1] = constant "
      "[-5, 2, -2, 5, 1, -3, 4, 0, -4, 3, -1, -5, 2, -2, 5, 1, -3, 4, 0, -4, 3, -1, -5, 2] ";
  const std::string conv =
      "%xt = Transpose(%x) " + kTo + R"( %c = sardonyx::FusedConv(%xt, %w) {layout = "NHWC"} )";
  const std::string back = " %y = Transpose(%t) " + kBack + "}";
  expect_rewrites(channels_last, in + R"(
    %split: int64[5] = constant [-1, 2, 2, 4, 4]
    %whole: int64[4] = constant [0, 4, 4, 4]
    %c = Conv(%x, %w)
    %a = Reshape(%c, %split)
    %b = Transpose(%a) {perm = ints [0, 2, 1, 3, 4]}
    %y = Reshape(%b, %whole)
  })",
                  in + conv + R"(
    %split: int64[5] = constant [0, 0, 0, 2, 2]
    %whole: int64[4] = constant [0, 0, 0, 4]
    %a = Reshape(%c, %split)
    %b = Transpose(%a) {perm = ints [0, 1, 2, 4, 3]}
    %t = Reshape(%b, %whole))" +
                      back);
  const auto spread = [&](const std::string& mode, const std::string& parts,
                          const std::string& perm) {
    expect_rewrites(
        channels_last,
        in + "%c = Conv(%x, %w) %y = DepthToSpace(%c) {blocksize = 2, mode = \"" + mode + "\"}}",
        in + conv + "%parts: int64[6] = constant " + parts + R"(
    %whole: int64[4] = constant [-1, 8, 8, 1]
    %a = Reshape(%c, %parts)
    %b = Transpose(%a) {perm = ints )" +
            perm + R"(}
    %t = Reshape(%b, %whole))" +
            back);
  };
  spread("DCR", "[-1, 4, 4, 2, 2, 1]", "[0, 1, 3, 2, 4, 5]");
  spread("CRD", "[-1, 4, 4, 1, 2, 2]", "[0, 1, 4, 2, 5, 3]");
}

TEST_CASE("parts of the channels become an axis of their own") {
  const std::string in =
      "(%x: float32[n, 2, 3]) -> (%y) {%w: float32[4, 2, 1] = constant "
      "[-5, 2, -2, 5, 1, -3, 4, 0] ";
  expect_rewrites(channels_last, in + R"(
    %split: int64[4] = constant [0, 2, 2, 3]
    %c = Conv(%x, %w)
    %a = Reshape(%c, %split)
    %b = Transpose(%a) {perm = ints [0, 2, 1, 3]}
    %y = Softmax(%b) {axis = 1}
  })",
                  in + R"(
    %split: int64[4] = constant [0, 0, 2, 2]
    %c = sardonyx::FusedConv(%x, %w) {layout = "NHWC", turns_input = 1}
    %a = Reshape(%c, %split)
    %b = Transpose(%a) {perm = ints [0, 2, 1, 3]}
    %t = Softmax(%b) {axis = 3}
    %y = Transpose(%t) {perm = ints [0, 3, 1, 2]}
  })");
}

TEST_CASE("the model's own transpositions meet those of the layout") {
  const std::string in = "(%x: float32[n, 6, 4, 4]) -> (%y) {" + kWeights;
  const std::string conv = "%xt = Transpose(%x) " + kTo + " %c = " + kConv;
  const std::string row = " %scale: float32[3] = constant [1, 2, 3] ";
  expect_rewrites(channels_last, in + row + R"(
    %c = Conv(%x, %w) {pads = ints [1, 1, 1, 1]}
    %l = Transpose(%c) {perm = ints [0, 2, 3, 1]}
    %n = LayerNormalization(%l, %scale) {axis = -1, epsilon = 1.0}
    %b = Transpose(%n) {perm = ints [0, 3, 1, 2]}
    %y = Add(%b, %c)
  })",
                  in + row + conv + R"(
    %n = LayerNormalization(%c, %scale) {axis = -1, epsilon = 1.0}
    %t = Add(%n, %c)
    %y = Transpose(%t) )" +
                      kBack + "}");
  // Images as rows of pixels and back.
  expect_rewrites(channels_last, in + R"(
    %rows: int64[3] = constant [0, 3, -1]
    %image: int64[4] = constant [0, 3, 4, 4]
    %c = Conv(%x, %w) {pads = ints [1, 1, 1, 1]}
    %f = Reshape(%c, %rows)
    %p = Transpose(%f) {perm = ints [0, 2, 1]}
    %s = Softmax(%p)
    %q = Transpose(%s) {perm = ints [0, 2, 1]}
    %i = Reshape(%q, %image)
    %y = Conv(%i, %v)
  })",
                  in + conv + R"(
    %rows: int64[3] = constant [0, 16, 3]
    %image: int64[4] = constant [0, 4, 4, 3]
    %p = Reshape(%c, %rows)
    %s = Softmax(%p)
    %i = Reshape(%s, %image)
    %t = sardonyx::FusedConv(%i, %v) {layout = "NHWC"}
    %y = Transpose(%t) )" +
                      kBack + "}");
  // A turned value alone makes no region of elementwise operators beside a value that is not.
  expect_untouched(channels_last, R"((%x: float32[n, 4, 2], %z: float32[n, 2, 4]) -> (%y) {
    %t = Transpose(%x) {perm = ints [0, 2, 1]}
    %y = Add(%t, %z)
  })");
}

TEST_CASE("means of all pixels need no layout") {
  const std::string in = "(%x: float32[n, 6, 4, 4]) -> (%y) {" + kWeights;
  expect_rewrites(channels_last, in + R"(
    %c = Conv(%x, %w) {pads = ints [1, 1, 1, 1]}
    %y = ReduceMean(%c) {axes = ints [2, 3], keepdims = 0}
  })",
                  in + "%xt = Transpose(%x) " + kTo + " %c = " + kConv + R"(
    %y = ReduceMean(%c) {axes = ints [1, 2], keepdims = 0}
  })",
                  13);
}

TEST_CASE("maxima of all pixels of rows and volumes") {
  const std::string rows = R"((%x: float32[n, 6, 8]) -> (%y) {
    %w: float32[3, 6, 3] = constant fill(0.25)
    %axes: int64[1] = constant [)";
  expect_rewrites(channels_last, rows + R"(2]
    %c = Conv(%x, %w)
    %y = ReduceMax(%c, %axes) {keepdims = 0}
  })",
                  rows + R"(1]
    %xt = Transpose(%x) {perm = ints [0, 2, 1]}
    %c = sardonyx::FusedConv(%xt, %w) {layout = "NHWC"}
    %y = ReduceMax(%c, %axes) {keepdims = 0}
  })",
                  18);
  const std::string volume = R"((%x: float32[n, 6, 4, 4, 4]) -> (%y) {
    %w: float32[3, 6, 3, 3, 3] = constant fill(0.25))";
  expect_rewrites(channels_last, volume + R"(
    %c = Conv(%x, %w)
    %m = MaxPool(%c) {kernel_shape = ints [2, 2, 2]}
    %y = ReduceMean(%m) {axes = ints [-1, 2, 3], keepdims = 0}
  })",
                  volume + R"(
    %xt = Transpose(%x) {perm = ints [0, 2, 3, 4, 1]}
    %c = sardonyx::FusedConv(%xt, %w) {layout = "NHWC"}
    %m = sardonyx::MaxPool(%c) {kernel_shape = ints [2, 2, 2], layout = "NHWC"}
    %y = ReduceMean(%m) {axes = ints [1, 2, 3], keepdims = 0}
  })",
                  13);
}

TEST_CASE("a depthwise convolution alone stays as it is, if its planes are wide") {
  const std::string wide = R"((%x: float32[n, 6, 24, 24]) -> (%y) {
    %w: float32[6, 1, 3, 3] = constant fill(0.25))";
  expect_untouched(channels_last, wide + " %y = Conv(%x, %w) {group = 6} }");
  expect_untouched(channels_last, R"((%x: float32[n, 6, h, w]) -> (%y) {
    %w: float32[6, 1, 3, 3] = constant fill(0.25)
    %y = Conv(%x, %w) {group = 6}
  })");
  expect_rewrites(channels_last, wide + R"(
    %c = Conv(%x, %w) {group = 6}
    %y = Relu(%c)
  })",
                  wide + R"(
    %c = sardonyx::FusedConv(%x, %w) {group = 6, layout = "NHWC", turns_input = 1}
    %t = Relu(%c)
    %y = Transpose(%t) )" +
                      kBack + "}");
  const std::string narrow = R"((%x: float32[n, 6, 14, 14]) -> (%y) {
    %w: float32[6, 1, 3, 3] = constant fill(0.25))";
  expect_rewrites(channels_last, narrow + " %y = Conv(%x, %w) {group = 6} }", narrow + R"(
    %c = sardonyx::FusedConv(%x, %w) {group = 6, layout = "NHWC", turns_input = 1}
    %y = Transpose(%c) )" + kBack + "}");
}

TEST_CASE("convolutions of few channels in a group stay as they are, alone") {
  expect_untouched(channels_last,
                   "(%x: float32[n, 3, 4, 4]) -> (%y) {" + kWeights + " %y = Conv(%x, %v) }");
  expect_untouched(channels_last, R"((%x: float32[n, 8, 4, 4]) -> (%y) {
    %w: float32[6, 4, 3, 3] = constant fill(0.25)
    %y = Conv(%x, %w) {group = 2}
  })");
  // The products of many outweigh turning them around.
  const std::string many = R"((%x: float32[n, 40, 4, 4]) -> (%y) {
    %w: float32[5, 40, 3, 3] = constant fill(0.25))";
  expect_rewrites(channels_last, many + " %y = Conv(%x, %w) }",
                  many + " %xt = Transpose(%x) " + kTo +
                      R"( %t = sardonyx::FusedConv(%xt, %w) {layout = "NHWC"}
    %y = Transpose(%t) )" +
                      kBack + "}");
}

TEST_CASE("transposed convolutions take the layout, but alone") {
  const std::string in = R"((%x: float32[n, 6, 4, 4]) -> (%y) {
    %w: float32[6, 3, 2, 2] = constant fill(0.25))";
  expect_untouched(channels_last, in + " %y = ConvTranspose(%x, %w) {strides = ints [2, 2]} }");
  expect_rewrites(channels_last, in + R"(
    %c = ConvTranspose(%x, %w) {strides = ints [2, 2]}
    %y = Relu(%c)
  })",
                  in + " %xt = Transpose(%x) " + kTo + R"(
    %c = sardonyx::FusedConvTranspose(%xt, %w) {layout = "NHWC", strides = ints [2, 2]}
    %t = Relu(%c)
    %y = Transpose(%t) )" +
                      kBack + "}");
  const std::string rows = R"((%x: float32[n, 6, 4]) -> (%y) {
    %w: float32[6, 3, 2] = constant fill(0.25))";
  expect_rewrites(channels_last, rows + R"(
    %c = ConvTranspose(%x, %w) {strides = ints [2]}
    %y = Relu(%c)
  })",
                  rows + R"(
    %xt = Transpose(%x) {perm = ints [0, 2, 1]}
    %c = sardonyx::FusedConvTranspose(%xt, %w) {layout = "NHWC", strides = ints [2]}
    %t = Relu(%c)
    %y = Transpose(%t) {perm = ints [0, 2, 1]}
  })");
}

TEST_CASE("norms and margins by layout") {
  expect_region(R"(%f, %s = sardonyx::NormFactors(%c, %u, %u) {groups = 3}
    %m = Mul(%c, %f)
    %y = Add(%m, %s))",
                R"(%f, %s = sardonyx::NormFactors(%c, %u, %u) {groups = 3, layout = "NHWC"}
    %m = Mul(%c, %f)
    %t = Add(%m, %s))");
  expect_region(R"(%p: int64[8] = constant [0, 1, 2, 3, 0, 0, 1, 2]
    %y = Pad(%c, %p) {mode = "reflect"})",
                R"(%p: int64[8] = constant [0, 2, 3, 1, 0, 1, 2, 0]
    %t = Pad(%c, %p) {mode = "reflect"})");
}

TEST_CASE("sound is turned once for convolutions and the model's own transpositions") {
  const std::string weights = " %v: float32[6, 6, 3] = constant fill(0.25) ";
  const std::string in = "(%x: float32[n, 6, 12]) -> (%y) {" + weights;
  expect_rewrites(channels_last, in + R"(
    %c = Conv(%x, %v)
    %last = Transpose(%c) {perm = ints [0, 2, 1]}
    %s = Softmax(%last)
    %first = Transpose(%s) {perm = ints [0, 2, 1]}
    %y = Conv(%first, %v)
  })",
                  in + R"(
    %xt = Transpose(%x) {perm = ints [0, 2, 1]}
    %c = sardonyx::FusedConv(%xt, %v) {layout = "NHWC"}
    %s = Softmax(%c)
    %t = sardonyx::FusedConv(%s, %v) {layout = "NHWC"}
    %y = Transpose(%t) {perm = ints [0, 2, 1]}
  })");
}
