#include <limits>

#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kValues =
    "(%q: float32[b, 2, s, 4], %k: float32[b, 2, t, 4], %v: float32[b, 2, t, 3]";
const std::string kConstants = R"(
    %half: float32[] = constant [0.5]
    %two: float32[1] = constant [2]
    %quarter: float32[] = constant [0.25]
    %zero: float32[] = constant [0]
)";
const std::string kTurn = "%kt = Transpose(%k) {perm = ints [0, 1, 3, 2]} ";
const std::string kPlain = "masked_rows_are_nan = 1, ";  // no guard makes them zero
const std::string kEnd = "%p = Softmax(%s) {axis = -1} %y = MatMul(%p, %v)}";

std::string head(const std::string& more = "") {
  return kValues + more + ") -> (%y) {" + kConstants;
}

std::string attention(const std::string& attributes, const std::string& more = "",
                      const std::string& mask = "") {
  return head(more) + "%y = Attention(%q, %k, %v" + mask + ") {" + kPlain + attributes + "}}";
}

}  // namespace

TEST_CASE("products around a softmax, however they are scaled") {
  expect_rewrites(fuse_attention, head() + kTurn + "%s = MatMul(%q, %kt) " + kEnd,
                  attention("scale = 1.0"));
  expect_rewrites(fuse_attention,
                  head() + kTurn + "%m = MatMul(%q, %kt) %s = Mul(%m, %half) " + kEnd,
                  attention("scale = 0.5"));
  expect_rewrites(fuse_attention,
                  head() + kTurn + "%m = MatMul(%q, %kt) %s = Div(%m, %two) " + kEnd,
                  attention("scale = 0.5"));
  expect_rewrites(
      fuse_attention,
      head() + kTurn + "%a = Mul(%half, %q) %c = Mul(%kt, %half) %s = MatMul(%a, %c) " + kEnd,
      attention("scale = 0.25"));
  expect_rewrites(
      fuse_attention,
      head() +
          "%c = Mul(%k, %half) %kt = Transpose(%c) {perm = ints [0, 1, 3, 2]} %s = "
          "MatMul(%q, %kt) " +
          kEnd,
      head() + "%c = Mul(%k, %half) %y = Attention(%q, %c, %v) {" + kPlain + "scale = 1.0}}");
}

TEST_CASE("keys that still lie by rows, and keys turned flat") {
  const std::string in =
      "(%q: float32[b, 2, s, 4], %k: float32[b, t, 2, 4], %v: float32[b, 2, t, 3]) -> (%y) {";
  expect_rewrites(
      fuse_attention,
      in + "%kt = Transpose(%k) {perm = ints [0, 2, 3, 1]} %s = MatMul(%q, %kt) " + kEnd,
      in + "%h = Transpose(%k) {perm = ints [0, 2, 1, 3]} %y = Attention(%q, %h, %v) {" + kPlain +
          "scale = 1.0}}");
  const std::string flat =
      "(%q: float32[1, 2, 5, 4], %k: float32[1, 2, 6, 4], %v: float32[1, 2, 6, 3]) -> (%y) {"
      "%a: int64[3] = constant [-1, 6, 4] %c: int64[4] = constant [1, 2, 4, 6] ";
  expect_rewrites(fuse_attention, flat + R"(
    %f = Reshape(%k, %a)
    %g = Transpose(%f) {perm = ints [0, 2, 1]}
    %kt = Reshape(%g, %c)
    %s = MatMul(%q, %kt) )" + kEnd,
                  flat + "%y = Attention(%q, %k, %v) {" + kPlain + "scale = 1.0}}");
}

TEST_CASE("masks of every rank") {
  for (const char* type : {"float32[b, 2, s, t]", "float32[1, 1, s, t]", "float32[b, 1, 1, t]",
                           "float32[s, t]", "float32[1, s, t]", "float32[t]"}) {
    const std::string mask = std::string(", %mask: ") + type;
    for (const char* sum : {"Add(%m, %mask)", "Add(%mask, %m)"})
      expect_rewrites(
          fuse_attention,
          head(mask) + kTurn + "%n = MatMul(%q, %kt) %m = Mul(%n, %half) %s = " + sum + " " + kEnd,
          attention("scale = 0.5", mask, ", %mask"));
  }
}

TEST_CASE("a guard against rows of NaN goes, and rows that are masked out stay zero") {
  const std::string guard =
      "%p = Softmax(%s) %n = IsNaN(%p) %g = Where(%n, %zero, %p) %y = MatMul(%g, %v)}";
  expect_rewrites(fuse_attention, head() + kTurn + "%s = MatMul(%q, %kt) " + guard,
                  head() + "%y = Attention(%q, %k, %v) {scale = 1.0}}");
  const std::string masked =
      "(%q: float32[1, 1, 2, 4], %k: float32[1, 1, 3, 4], %v: float32[1, 1, 3, 3]) -> (%y) {" +
      kConstants + "%mask: float32[2, 3] = constant [-inf, -inf, -inf, 0, -inf, 0] ";
  expect_rewrites(fuse_attention,
                  masked + kTurn + "%m = MatMul(%q, %kt) %s = Add(%m, %mask) " + guard,
                  masked + "%y = Attention(%q, %k, %v, %mask) {scale = 1.0}}");
}

TEST_CASE("without a guard, rows that are masked out stay NaN") {
  const std::string masked =
      "(%q: float32[1, 1, 2, 4], %k: float32[1, 1, 3, 4], %v: float32[1, 1, 3, 3]) -> (%y) {" +
      kConstants + "%mask: float32[2, 3] = constant [-inf, -inf, -inf, 0, -inf, 0] ";
  expect_rewrites(fuse_attention,
                  masked + kTurn + "%m = MatMul(%q, %kt) %s = Add(%m, %mask) " + kEnd,
                  masked + "%y = Attention(%q, %k, %v, %mask) {" + kPlain + "scale = 1.0}}");
}

TEST_CASE("rows that a finite mask leaves nothing of are what the sum makes of them") {
  const std::string masked =
      "(%q: float32[1, 1, 3, 4], %k: float32[1, 1, 3, 4], %v: float32[1, 1, 3, 3]) -> (%y) {" +
      kConstants +
      "%mask: float32[3, 3] = constant [-3e38, -3e38, -3e38, 0, -3e38, -3e38, 0, 0, -3e38] ";
  expect_rewrites(fuse_attention,
                  masked + kTurn + "%m = MatMul(%q, %kt) %s = Add(%m, %mask) " + kEnd,
                  masked + "%y = Attention(%q, %k, %v, %mask) {" + kPlain + "scale = 1.0}}");
}

TEST_CASE("several masks become one, and scores put aside by Where are masked") {
  const std::string more = ", %bias: float32[1, 2, s, t], %mask: float32[b, 1, 1, t]";
  expect_rewrites(
      fuse_attention,
      head(more) + kTurn + "%m = MatMul(%q, %kt) %n = Add(%m, %bias) %s = Add(%n, %mask) " + kEnd,
      head(more) + "%both = Add(%mask, %bias) %y = Attention(%q, %k, %v, %both) {" + kPlain +
          "scale = 1.0}}");
  const std::string in =
      "(%q: float32[1, 2, 5, 4], %k: float32[1, 2, 6, 4], %v: float32[1, 2, 6, 3], %no: bool[5, 6]"
      ") -> (%y) {%low: float32[] = constant [-3e38] %some: float32[] = constant [-10000] "
      "%zero: float32[] = constant [0] ";
  const std::string scores = kTurn + "%m = MatMul(%q, %kt) ";
  const std::string end = "%y = Attention(%q, %k, %v, %mask) {" + kPlain + "scale = 1.0}}";
  expect_rewrites(fuse_attention, in + scores + "%s = Where(%no, %low, %m) " + kEnd,
                  in + "%mask = Where(%no, %low, %zero) " + end);
  expect_rewrites(fuse_attention, in + scores + "%s = Where(%no, %m, %low) " + kEnd,
                  in + "%mask = Where(%no, %zero, %low) " + end);
  expect_untouched(fuse_attention, in + scores + "%s = Where(%no, %some, %m) " + kEnd);
}

TEST_CASE("keys and values that are repeated for groups of queries are read once") {
  const std::string in =
      "(%q: float32[1, 6, 5, 4], %k: float32[1, 2, 7, 4], %v: float32[1, 2, 7, 3]) -> (%y) {"
      "%axis: int64[1] = constant [2] "
      "%kw: int64[5] = constant [1, 1, 3, 1, 1] %kj: int64[4] = constant [0, 6, -1, 4] "
      "%vj: int64[4] = constant [0, 6, -1, 3] ";
  const auto repeat = [](const std::string& name) {
    return "%" + name + "u = Unsqueeze(%" + name + ", %axis) %" + name + "e = Expand(%" + name +
           "u, %kw) %" + name + "r = Reshape(%" + name + "e, %" + name + "j) ";
  };
  const std::string scores =
      "%kt = Transpose(%kr) {perm = ints [0, 1, 3, 2]} %s = MatMul(%q, %kt) "
      "%p = Softmax(%s) {axis = -1} %y = MatMul(%p, %vr)}";
  expect_rewrites(fuse_attention, in + repeat("k") + repeat("v") + scores,
                  in + "%y = Attention(%q, %k, %v) {" + kPlain + "scale = 1.0}}");
}

TEST_CASE("what only looks like attention stays") {
  const std::string scores = kTurn + "%s = MatMul(%q, %kt) ";
  // The probabilities are used elsewhere, or an output.
  expect_untouched(fuse_attention, kValues + ") -> (%y, %p) {" + kConstants + scores + kEnd);
  expect_untouched(fuse_attention, kValues + ") -> (%y, %z) {" + kConstants + scores +
                                       "%p = Softmax(%s) %z = Neg(%p) %y = MatMul(%p, %v)}");
  // Another axis, another product, a scale that is no constant, heads that broadcast.
  expect_untouched(
      fuse_attention,
      "(%q: float32[1, 2, 4, 4], %k: float32[1, 2, 4, 4], %v: float32[1, 2, 4, 4]) -> (%y) {" +
          scores + "%p = Softmax(%s) {axis = 2} %y = MatMul(%p, %v)}");
  expect_untouched(
      fuse_attention,
      "(%q: float32[1, 2, 4, 4], %k: float32[1, 2, 4, 4], %v: float32[1, 2, 4, 4]) -> (%y) {" +
          scores + "%p = Softmax(%s) %y = MatMul(%v, %p)}");
  expect_untouched(
      fuse_attention,
      "(%q: float32[1, 2, 4, 4], %k: float32[1, 2, 4, 4], %v: float32[1, 2, 4, 4]) -> (%y) {" +
          std::string("%kt = Transpose(%k) {perm = ints [0, 1, 2, 3]} %s = MatMul(%q, %kt) ") +
          kEnd);
  expect_untouched(
      fuse_attention,
      "(%q: float32[1, 2, 5, 4], %k: float32[1, 1, 6, 4], %v: float32[1, 2, 6, 3]) -> (%y) {" +
          scores + kEnd);
  // A mask with more batches than the scores.
  expect_untouched(fuse_attention,
                   "(%q: float32[1, 2, 5, 4], %k: float32[1, 2, 6, 4], %v: float32[1, 2, 6, 3], " +
                       std::string("%mask: float32[3, 1, 5, 6]) -> (%y) {") + kTurn +
                       "%m = MatMul(%q, %kt) %s = Add(%m, %mask) " + kEnd);
  // The guard puts something else than zero, or lets another value through.
  expect_untouched(
      fuse_attention,
      head() + scores +
          "%p = Softmax(%s) %n = IsNaN(%p) %g = Where(%n, %half, %p) %y = MatMul(%g, %v)}");
  expect_untouched(
      fuse_attention,
      "(%q: float64[1, 2, 5, 4], %k: float64[1, 2, 6, 4], %v: float64[1, 2, 6, 3]) -> (%y) {" +
          scores + kEnd);
}
