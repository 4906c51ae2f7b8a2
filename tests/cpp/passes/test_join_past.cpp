#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kIn =
    "(%q: float32[b, 4, s, 4], %k: float32[b, 2, s, 4], %v: float32[b, 2, s, 3], "
    "%pk: float32[b, 2, t, 4], %pv: float32[b, 2, t, 3]) -> ";
const std::string kJoin = "%nk = Concat(%pk, %k) {axis = -2} %nv = Concat(%pv, %v) {axis = 2} ";

}  // namespace

TEST_CASE("attention puts keys and values behind their past") {
  expect_rewrites(join_past,
                  kIn + "(%y, %nk, %nv) {" + kJoin + "%y = Attention(%q, %nk, %nv) {scale = 0.5}}",
                  kIn +
                      "(%y, %nk, %nv) {%y, %nk, %nv = Attention(%q, %k, %v, _, %pk, %pv) {scale "
                      "= 0.5}}",
                  24);
  expect_rewrites(join_past, kIn + "(%y) {" + kJoin + "%y = Attention(%q, %nk, %nv)}",
                  kIn + "(%y) {%y = Attention(%q, %k, %v, _, %pk, %pv)}", 24);
}

TEST_CASE("what is used elsewhere, causal or joined along another axis stays") {
  expect_untouched(join_past,
                   kIn + "(%y, %z) {" + kJoin + "%z = Neg(%nk) %y = Attention(%q, %nk, %nv)}", 24);
  expect_untouched(join_past,
                   kIn + "(%y) {" + kJoin + "%y = Attention(%q, %nk, %nv) {is_causal = 1}}", 24);
  expect_untouched(join_past,
                   "(%q: float32[1, 4, 5, 4], %k: float32[1, 1, 6, 4], %v: float32[1, 1, 6, 3]) -> "
                   "(%y) {%nk = Concat(%k, %k) {axis = 1} %nv = Concat(%v, %v) {axis = 1} "
                   "%y = Attention(%q, %nk, %nv)}",
                   24);
}
