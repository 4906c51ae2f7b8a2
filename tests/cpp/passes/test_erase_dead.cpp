#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("what no output needs goes, and graph inputs stay") {
  const auto graph = graph_of(R"((%x: float32[2], %unused: float32[2]) -> (%y) {
    %c: float32[2] = constant [1, 2]
    %lonely: float32[] = constant [3]
    %y = Relu(%x)
    %a = Add(%x, %c)
    %b = Neg(%a)
  })");
  CHECK(erase_dead(*graph));
  CHECK(graph->node_count() == 1);
  CHECK(graph->values().size() == 3);
  CHECK(graph->inputs().size() == 2);
  CHECK(!erase_dead(*graph));
}

TEST_CASE("a node stays for any of its outputs") {
  const auto graph = graph_of(R"((%x: float32[4]) -> (%b) {
    %a, %b = Split(%x) {axis = 0}
  })");
  CHECK(!erase_dead(*graph));
  CHECK(graph->node_count() == 1);
}
