#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kSplit = R"(
    %to: int64[4] = constant [0, 0, 2, 4]
    %values: int64[4] = constant [0, 0, 2, 3]
    %back: int64[3] = constant [0, 0, 6]
)";
const std::string kIn =
    "(%q: float32[b, s, 8], %k: float32[b, t, 8], %v: float32[b, t, 6]) -> (%y) {" + kSplit;
const std::string kTurn = "{perm = ints [0, 2, 1, 3]} ";

std::string split(const std::string& name, const std::string& shape) {
  return "%" + name + "r = Reshape(%" + name + ", %" + shape + ") %" + name + "h = Transpose(%" +
         name + "r) " + kTurn;
}

}  // namespace

TEST_CASE("heads split and joined around attention are read where they lie") {
  expect_rewrites(
      flatten_heads,
      kIn + split("q", "to") + split("k", "to") + split("v", "values") +
          "%a = Attention(%qh, %kh, %vh) {scale = 0.5} %t = Transpose(%a) " + kTurn +
          "%y = Reshape(%t, %back)}",
      kIn + "%y = Attention(%q, %k, %v) {kv_num_heads = 2, q_num_heads = 2, scale = 0.5}}", 24);
}

TEST_CASE("heads joined into rows of a matrix") {
  const std::string in =
      "(%q: float32[2, 5, 8], %k: float32[2, 7, 8], %v: float32[2, 7, 6]) -> (%y) {" + kSplit +
      "%rows: int64[2] = constant [-1, 6] ";
  expect_rewrites(flatten_heads,
                  in + split("q", "to") + split("k", "to") + split("v", "values") +
                      "%a = Attention(%qh, %kh, %vh) {scale = 0.5} %t = Transpose(%a) " + kTurn +
                      "%y = Reshape(%t, %rows)}",
                  in +
                      "%a = Attention(%q, %k, %v) {kv_num_heads = 2, q_num_heads = 2, scale = 0.5} "
                      "%y = Reshape(%a, %rows)}",
                  24);
}

TEST_CASE("behind a past") {
  const std::string in =
      "(%q: float32[b, s, 8], %k: float32[b, s, 8], %v: float32[b, s, 6], %pk: float32[b, 2, t, "
      "4], "
      "%pv: float32[b, 2, t, 3]) -> (%y, %nk, %nv) {" +
      kSplit;
  expect_rewrites(
      flatten_heads,
      in + split("q", "to") + split("k", "to") + split("v", "values") +
          "%a, %nk, %nv = Attention(%qh, %kh, %vh, _, %pk, %pv) {scale = 0.5} %t = Transpose(%a) " +
          kTurn + "%y = Reshape(%t, %back)}",
      in + "%y, %nk, %nv = Attention(%q, %k, %v, _, %pk, %pv) {kv_num_heads = 2, q_num_heads = 2, "
           "scale = 0.5}}",
      24);
}

TEST_CASE("keys and values alone") {
  const std::string in =
      "(%q: float32[b, 2, s, 4], %k: float32[b, t, 8], %v: float32[b, t, 6]) -> (%y) {" + kSplit;
  expect_rewrites(
      flatten_heads,
      in + split("k", "to") + split("v", "values") + "%y = Attention(%q, %kh, %vh) {scale = 0.5}}",
      in + "%y = Attention(%q, %k, %v) {kv_num_heads = 2, scale = 0.5}}", 24);
}

TEST_CASE("attention that is used by heads stays by heads") {
  const std::string in =
      "(%q: float32[b, s, 8], %k: float32[b, 2, t, 4], %v: float32[b, 2, t, 3]) -> (%y, %z) {" +
      kSplit;
  expect_untouched(flatten_heads,
                   in + split("q", "to") + "%a = Attention(%qh, %k, %v) %t = Transpose(%a) " +
                       kTurn + "%y = Reshape(%t, %back) %z = Neg(%a)}",
                   24);
}

TEST_CASE("other permutations and splits stay") {
  const std::string in =
      "(%q: float32[1, 2, 5, 4], %k: float32[1, 6, 8], %v: float32[1, 2, 6, 3]) -> (%y) {";
  expect_untouched(flatten_heads, in + R"(
    %to: int64[4] = constant [1, 6, 4, 2]
    %r = Reshape(%k, %to)
    %h = Transpose(%r) {perm = ints [0, 3, 1, 2]}
    %y = Attention(%q, %h, %v)
  })",
                   24);
  expect_untouched(flatten_heads, in + R"(
    %to: int64[4] = constant [1, 2, 6, 4]
    %h = Reshape(%k, %to)
    %y = Attention(%q, %h, %v)
  })",
                   24);
  expect_untouched(flatten_heads, "(%x: float32[1, 2, 5, 4]) -> (%y) {%y = Attention(%x, %x, %x)}",
                   24);
}
