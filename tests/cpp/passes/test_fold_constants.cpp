#include "base/error.h"
#include "base/memory_budget.h"
#include "passes/rewrite.h"

using namespace sdx::passes;
using namespace sdx::passes::test;

TEST_CASE("what depends on constants alone becomes a constant") {
  expect_rewrites(fold_constants, R"((%x: float32[2]) -> (%y) {
    %a: float32[2] = constant [1, 2]
    %b: float32[] = constant [3]
    %c = Add(%a, %b)
    %d = Neg(%c)
    %y = Mul(%x, %d)
  })",
                  R"((%x: float32[2]) -> (%y) {
    %d: float32[2] = constant [-4, -5]
    %y = Mul(%x, %d)
  })");
}

TEST_CASE("nodes without inputs alone") {
  expect_rewrites(make_constants, R"(() -> (%y) {
    %a = Constant() {value = tensor float32[2] [1, 2]}
    %b = Constant() {value_float = 3.0}
    %y = Add(%a, %b)
  })",
                  R"(() -> (%y) {
    %a: float32[2] = constant [1, 2]
    %b: float32[] = constant [3]
    %y = Add(%a, %b)
  })");
  expect_untouched(make_constants, R"(() -> (%y) {
    %y = RandomNormal() {shape = ints [2]}
  })");
}

TEST_CASE("an output may become a constant") {
  expect_rewrites(fold_constants, R"((%x: float32[2]) -> (%y, %z) {
    %a: float32[2] = constant [1, 2]
    %y = Neg(%a)
    %z = Neg(%x)
  })",
                  R"((%x: float32[2]) -> (%y, %z) {
    %y: float32[2] = constant [-1, -2]
    %z = Neg(%x)
  })");
}

TEST_CASE("shapes that are numbers are folded, symbols are not") {
  expect_rewrites(fold_constants, R"((%x: float32[2, 3]) -> (%y) {
    %s = Shape(%x)
    %last: int64[1] = constant [1]
    %whole: int64[1] = constant [-1]
    %n = Gather(%s, %last) {axis = 0}
    %y = Reshape(%x, %whole)
  })",
                  R"((%x: float32[2, 3]) -> (%y) {
    %whole: int64[1] = constant [-1]
    %y = Reshape(%x, %whole)
  })");
  expect_untouched(fold_constants, R"((%x: float32[n, 3]) -> (%s) {
    %s = Shape(%x)
  })");
}

TEST_CASE("a shape known by folding reaches those behind it") {
  expect_rewrites(fold_constants, R"((%x: float32[6]) -> (%s) {
    %a: int64[2] = constant [1, 1]
    %b: int64[2] = constant [1, 2]
    %to = Add(%a, %b)
    %y = Reshape(%x, %to)
    %s = Shape(%y)
  })",
                  R"((%x: float32[6]) -> (%s) {
    %s: int64[2] = constant [2, 3]
  })");
}

TEST_CASE("random numbers and large results are left to the run") {
  expect_untouched(fold_constants, R"(() -> (%y) {
    %y = RandomNormal() {shape = ints [2]}
  })");
  expect_untouched(fold_constants, R"(() -> (%y) {
    %one: float32[] = constant [1]
    %shape: int64[2] = constant [100000, 1000]
    %y = Expand(%one, %shape)
  })");
}

TEST_CASE("what fails when folded is left to fail when run") {
  const auto graph = graph_of(R"(() -> (%y) {
    %a: int64[2] = constant [5, 7]
    %i: int64[1] = constant [9]
    %y = GatherElements(%a, %i) {axis = 0}
  })");
  CHECK(!fold_constants(*graph));
  CHECK(graph->node_count() == 1);
  CHECK_THROWS_AS(run_on_random(*graph), sdx::Error);
}

TEST_CASE("a load folds no more than its budget allows") {
  const auto nodes_left = [](std::size_t bytes, double work) {
    const auto graph = graph_of(R"((%x: float32[]) -> (%a, %b, %c) {
    %one: float32[] = constant [1]
    %to: int64[1] = constant [100]
    %y = Expand(%one, %to)
    %z = Exp(%y)
    %u = Exp(%z)
    %a = Add(%y, %x)
    %b = Add(%z, %x)
    %c = Add(%u, %x)
  })");
    sdx::passes::FoldingBudget budget(*graph);
    budget.memory = std::make_shared<sdx::MemoryBudget>(bytes, "test");
    budget.work = work;
    fold_constants(*graph, budget);
    return graph->node_count();
  };
  CHECK(nodes_left(1 << 20, 1e9) == 3);
  CHECK(nodes_left(1000, 1e9) == 4);  // the third result does not fit
  CHECK(nodes_left(1 << 20, 500) == 4);
}
