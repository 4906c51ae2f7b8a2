// What packing makes and frees.
#include <doctest/doctest.h>

#include "ir/pack.h"
#include "ir/text.h"
#include "ops/registry.h"

using namespace sdx;

namespace {

std::unique_ptr<Graph> graph_of(const std::string& rest) {
  return parse_graph("graph \"g\" opset {\"\": 17} " + rest, ops::builtin_ops());
}

}  // namespace

TEST_CASE("operators alike share what they pack of one constant, others do not") {
  const auto graph = graph_of(R"((%x: float32[n, 2], %y: float32[n, 2]) -> (%a, %b, %c, %d) {
    %w: float32[2, 2] = constant [1, 2, 3, 4]
    %a = Gemm(%x, %w)
    %b = Gemm(%y, %w)
    %c = Gemm(%x, %w) {transB = 1}
    %d = MatMul(%x, %w)
  })");
  const Value* weights = graph->nodes()[0]->input(1);
  pack_graph(*graph);
  const auto nodes = graph->nodes();
  REQUIRE(!nodes[0]->packed.empty());
  CHECK(nodes[0]->packed == nodes[1]->packed);
  CHECK(nodes[0]->packed != nodes[2]->packed);
  CHECK(nodes[0]->packed != nodes[3]->packed);
  CHECK(nodes[0]->packed_bytes > 0);
  CHECK(nodes[1]->packed_bytes == 0);
  CHECK(nodes[0]->released_inputs == nodes[1]->released_inputs);
  CHECK(!weights->is_constant());  // nobody reads it any more
}
