#include <algorithm>

#include "base/error.h"
#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

namespace {

const std::string kModel = R"((%x: float32[n, 2]) -> (%y) {
    %w: float32[2, 2] = constant [1, 2, 3, 4]
    %b: float32[2] = constant [1, -40]
    %p = MatMul(%x, %w)
    %s = Add(%p, %b)
    %y = Relu(%s)
  })";

int nodes_after(const PipelineOptions& options) {
  const auto graph = graph_of(kModel);
  run_pipeline(*graph, options);
  return static_cast<int>(graph->node_count());
}

}  // namespace

TEST_CASE("levels, and passes left out") {
  CHECK(nodes_after({.level = 0, .skip = "", .verify = true, .observe = {}}) == 3);
  CHECK(nodes_after({.level = 1, .skip = "", .verify = true, .observe = {}}) == 3);
  CHECK(nodes_after({.level = 2, .skip = "", .verify = true, .observe = {}}) == 1);
  CHECK(nodes_after({.level = 2, .skip = "-fuse_activation", .verify = true, .observe = {}}) == 2);
  CHECK(nodes_after({.level = 2,
                     .skip = "-fuse_bias, -fold_scale, -fuse_elementwise",
                     .verify = true,
                     .observe = {}}) == 3);
  CHECK_THROWS_AS(nodes_after({.level = 2, .skip = "-fuse", .verify = true, .observe = {}}),
                  sdx::Error);
  CHECK_THROWS_AS(nodes_after({.level = 2, .skip = "fuse_bias", .verify = true, .observe = {}}),
                  sdx::Error);
}

TEST_CASE("passes that change the graph are shown, in order") {
  std::vector<std::string> seen;
  const auto graph = graph_of(kModel);
  run_pipeline(*graph, {.level = 2,
                        .skip = "",
                        .verify = true,
                        .observe = [&](std::string_view pass, const sdx::Graph&) {
                          seen.emplace_back(pass);
                        }});
  CHECK(std::find(seen.begin(), seen.end(), "fuse_bias") <
        std::find(seen.begin(), seen.end(), "fuse_activation"));
  CHECK(std::find(seen.begin(), seen.end(), "fuse_activation") != seen.end());
  CHECK(std::find(seen.begin(), seen.end(), "fuse_gelu") == seen.end());
}

TEST_CASE("constants captured by a branch are folded and fused in it") {
  const auto graph = graph_of(R"((%c: bool[], %x: float32[n, 2]) -> (%y) {
    %w: float32[2, 2] = constant [1, 2, 3, 4]
    %b: float32[2] = constant [1, 2]
    %y = If(%c; %w, %b, %x) {
      else_branch = graph "e" opset {"": 17} (%w: float32[2, 2], %b: float32[2], %x: float32[n, 2]) -> (%x) {},
      then_branch = graph "t" opset {"": 17} (%w: float32[2, 2], %b: float32[2], %x: float32[n, 2]) -> (%t) {
        %p = MatMul(%x, %w)
        %d = Add(%b, %b)
        %t = Add(%p, %d)}}
  })");
  run_pipeline(*graph, {.level = 2, .skip = "", .verify = true, .observe = {}});
  const sdx::Graph& branch = *graph->nodes()[0]->subgraphs()[1].second;
  CHECK(branch.inputs().size() == 1);
  CHECK(branch.node_count() == 1);
}
