#include <doctest/doctest.h>

#include "base/dim.h"
#include "base/error.h"

using sdx::Dim;

TEST_CASE("dimensions are polynomials in normal form") {
  const Dim past = Dim::symbol("past"), seq = Dim::symbol("seq");
  CHECK((past + seq).to_string() == "past + seq");
  CHECK(past + seq == seq + past);
  CHECK((past + seq - past) == seq);
  CHECK((past - past).is_known());
  CHECK((past * Dim(2) + Dim(3)).to_string() == "2*past + 3");
  CHECK((seq * past).to_string() == "past*seq");
  CHECK((Dim(0) - past).to_string() == "-past");
  CHECK(Dim(3) + Dim(4) == Dim(7));
}

TEST_CASE("division is exact where every term divides") {
  const Dim batch = Dim::symbol("batch");
  CHECK(floor_div(batch * Dim(768), Dim(12)).to_string() == "64*batch");
  CHECK(floor_div(batch * Dim(768), batch) == Dim(768));
  CHECK(floor_div(batch + Dim(1), Dim(2)).to_string() == "floor(batch + 1, 2)");
  CHECK(ceil_div(Dim(7), Dim(2)) == Dim(4));
  CHECK(floor_div(Dim(-7), Dim(2)) == Dim(-4));
  CHECK_THROWS_AS(floor_div(batch, Dim(0)), sdx::Error);
}

TEST_CASE("an unknown equals nothing, not even itself") {
  const Dim unknown = Dim::unknown();
  CHECK_FALSE(unknown == unknown);
  CHECK((unknown + Dim(1)).is_unknown());
  CHECK((unknown * Dim(0)) == Dim(0));
}

TEST_CASE("dimensions parse what they print") {
  for (const char* text : {"4", "batch", "past + seq", "2*past - 1", "floor(seq + 1, 2)",
                           "max(a, b) + 3", "a*b*c", "?"})
    CHECK(Dim::parse(text).to_string() == text);
  CHECK(Dim::parse("seq + past") == Dim::parse("past + seq"));
  // What is no expression is a name.
  CHECK(Dim::parse("weird name!").to_string() == "weird name!");
  CHECK(Dim::parse("99999999999999999999999").is_known() == false);
}

TEST_CASE("arithmetic refuses to overflow") {
  CHECK_THROWS_AS(Dim(INT64_MAX) + Dim(1), sdx::Error);
  CHECK_THROWS_AS(Dim(INT64_MAX) * Dim(2), sdx::Error);
}

TEST_CASE("what cannot be negative needs no clamp at zero") {
  const Dim seq = Dim::symbol("seq");
  CHECK(max(min(seq, Dim(512)), Dim(0)) == min(seq, Dim(512)));
  CHECK_FALSE(max(seq - Dim(1), Dim(0)) == seq - Dim(1));
}

TEST_CASE("a slice of a longer table is capped by the table") {
  const Dim seq = Dim::symbol("seq");
  CHECK(is_capped(min(Dim(512), seq), seq));
  CHECK(is_capped(min(seq, Dim(512)), seq));
  CHECK_FALSE(is_capped(min(Dim(512), seq), Dim::symbol("batch")));
  CHECK_FALSE(is_capped(seq, seq));
  CHECK_FALSE(is_capped(min(Dim::symbol("n"), seq), seq));
}
