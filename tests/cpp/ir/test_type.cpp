#include <doctest/doctest.h>

#include "base/error.h"
#include "ir/type.h"

using namespace sdx;

TEST_CASE("types parse what they print") {
  for (const char* text :
       {"float32[batch, 3]", "int64[]", "string[...]", "sequence(float32[...])",
        "map(int64, float32[])", "optional(sequence(int8[?, 2]))", "float16[floor(a + 1, 2), b]",
        "sequence(map(string, float32[]))", "sparse float32[3]", "?"})
    CHECK(Type::parse(text).to_string() == text);
  CHECK_THROWS_AS(Type::parse("float33[1]"), Error);
  CHECK_THROWS_AS(Type::parse("float32[1"), Error);
  CHECK_THROWS_AS(Type::parse("sequence(float32[1]"), Error);
}

TEST_CASE("merging keeps what either side knows") {
  const auto merged = [](const char* a, const char* b) {
    return merge(Type::parse(a), Type::parse(b)).to_string();
  };
  CHECK(merged("float32[?, 3]", "float32[batch, 3]") == "float32[batch, 3]");
  CHECK(merged("float32[...]", "float32[2]") == "float32[2]");
  CHECK(merged("?", "int64[2]") == "int64[2]");
  CHECK(merged("float32[4]", "float32[5]") == "float32[4]");
  CHECK_THROWS_AS(merged("float32[4]", "int64[4]"), Error);
  CHECK_THROWS_AS(merged("float32[4]", "sequence(float32[4])"), Error);
}
