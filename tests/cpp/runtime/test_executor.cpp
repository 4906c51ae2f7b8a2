// What a run leaves alone: memory of earlier results, and the heap.
#include <doctest/doctest.h>

#include "allocations.h"
#include "api/program.h"
#include "ir/pack.h"
#include "ir/text.h"
#include "ops/registry.h"
#include "passes/pipeline.h"

using namespace sdx;

namespace {

std::unique_ptr<Graph> chain() {
  auto graph = parse_graph(R"(
    graph "g" opset {"": 17} (%x: float32[batch, 512]) -> (%y, %z) {
      %w: float32[512, 512] = constant fill(0.001)
      %h = MatMul(%x, %w)
      %s = Softmax(%h) {axis = -1}
      %t = Transpose(%s) {perm = ints [1, 0]}
      %y = MatMul(%s, %t)
      %z = Sigmoid(%s)
    })",
                           ops::builtin_ops());
  passes::run_pipeline(*graph, {});
  pack_graph(*graph);
  return graph;
}

}  // namespace

TEST_CASE("results that are kept are never written to again") {
  auto graph = chain();
  GraphProgram program(*graph);
  std::vector<std::vector<Datum>> kept;
  for (int i = 0; i < 6; ++i) {
    const std::vector<Datum> feeds{Tensor::filled<float>(Shape{64, 512}, static_cast<float>(i))};
    auto results = program.run(feeds, RunState{});
    if (i % 2 == 0) kept.push_back(std::move(results));
  }
  for (const auto& a : kept)
    for (const auto& b : kept)
      if (&a != &b) CHECK(a[1].tensor().raw() != b[1].tensor().raw());
  for (const auto& results : kept)  // each row is the same, so its softmax is even
    for (const float y : results[0].tensor().items<float>()) CHECK(y == doctest::Approx(1.0 / 512));
}

TEST_CASE("memory of results that are gone is used again") {
  auto graph = chain();
  GraphProgram program(*graph);
  const std::vector<Datum> feeds{Tensor::filled<float>(Shape{64, 512}, 1.0f)};
  const void* const first = program.run(feeds, RunState{})[1].tensor().raw();
  CHECK(program.run(feeds, RunState{})[1].tensor().raw() == first);
  program.trim();
  CHECK(program.run(feeds, RunState{})[1].tensor().count() == 64 * 512);
}

TEST_CASE("a run of known shapes takes nothing from the heap but the list of its results") {
  auto graph = chain();
  GraphProgram program(*graph);
  const std::vector<Datum> feeds{Tensor::filled<float>(Shape{64, 512}, 1.0f)};
  const std::vector<Tensor> into{Tensor::allocate(DType::float32, Shape{64, 64}),
                                 Tensor::allocate(DType::float32, Shape{64, 512})};
  for (int i = 0; i < 2; ++i) program.run_into(feeds, into, RunState{});
  const int64_t before = test::allocations();
  const auto results = program.run_into(feeds, into, RunState{});
  const int64_t taken = test::allocations() - before;
  CHECK(taken == 1);
  CHECK(results.size() == 2);
}
