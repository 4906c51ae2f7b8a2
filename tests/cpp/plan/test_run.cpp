// Graphs written as text, planned and run.
#include <doctest/doctest.h>

#include "api/program.h"
#include "base/error.h"
#include "ir/pack.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/registry.h"
#include "passes/pipeline.h"

using namespace sdx;

namespace {

std::unique_ptr<Graph> ready(const char* text, int level = 2) {
  auto graph = parse_graph(text, ops::builtin_ops());
  passes::run_pipeline(*graph, {.level = level, .skip = "", .verify = true, .observe = {}});
  pack_graph(*graph);
  return graph;
}

}  // namespace

TEST_CASE("reshapes cost nothing and outputs are computed in place of the result") {
  auto graph = ready(R"(
    graph "g" opset {"": 17} (%x: float32[2, 3]) -> (%z) {
      %shape: int64[1] = constant [6]
      %t: float32[3, 2] = Transpose(%x)
      %z: float32[6] = Reshape(%t, %shape)
    })");
  GraphProgram program(*graph);
  const Tensor x = Tensor::of<float>(std::vector<float>{1, 2, 3, 4, 5, 6}).reshaped(Shape{2, 3});
  const std::vector<Datum> feeds{x};
  const auto results = program.run(feeds, RunState{});
  REQUIRE(results.size() == 1);
  CHECK(results[0].tensor().shape() == Shape{6});
  const float expected[] = {1, 4, 2, 5, 3, 6};
  for (int i = 0; i < 6; ++i) CHECK(results[0].tensor().data<float>()[i] == expected[i]);
  const std::vector<Layout> layouts{{DType::float32, Shape{2, 3}, true}};
  const auto plan = program.plan_for(std::span<const Layout>(layouts));
  CHECK(plan->steps.size() == 1);
  CHECK(plan->arena_bytes == 0);
}

TEST_CASE("shape arithmetic is never run") {
  auto graph = ready(R"(
    graph "g" opset {"": 17} (%x: float32[batch, 4]) -> (%y) {
      %zero: int64[] = constant [0]
      %tail: int64[1] = constant [-1]
      %axes: int64[1] = constant [0]
      %s: int64[2] = Shape(%x)
      %b: int64[] = Gather(%s, %zero) {axis = 0}
      %b1: int64[1] = Unsqueeze(%b, %axes)
      %to: int64[2] = Concat(%tail, %b1) {axis = 0}
      %y = Reshape(%x, %to)
    })");
  GraphProgram program(*graph);
  const Tensor x = Tensor::filled<float>(Shape{3, 4}, 1.0f);
  const std::vector<Datum> feeds{x};
  CHECK(program.run(feeds, RunState{})[0].tensor().shape() == Shape{4, 3});
  const std::vector<Layout> layouts{{DType::float32, Shape{3, 4}, true}};
  CHECK(program.plan_for(std::span<const Layout>(layouts))->steps.empty());
}

TEST_CASE("text printed parses to the same text") {
  auto graph = parse_graph(R"(
    graph "g" opset {"": 17} (%x: float32[batch, 4], %c: bool[]) -> (%y as "out") {
      %w: float32[2, 2] = constant [1, -2.5, nan, inf]
      %big: int64[20] = constant fill(7)
      %y = If(%c; %x) {then_branch = graph "t" opset {"": 17} (%x: float32[batch, 4]) -> (%x) {},
                       else_branch = graph "e" opset {"": 17} (%x: float32[batch, 4]) -> (%t) {
                         %t = Transpose(%x) {perm = ints [0, 1]} @ "inner node" } } @ "a \"node\""
    })",
                           ops::builtin_ops());
  const std::string once = to_text(*graph);
  CHECK(to_text(*parse_graph(once, ops::builtin_ops())) == once);
  verify(*graph);
}
