// Values that lie within other values: plans as text, and results beside those of separate steps.
#include <doctest/doctest.h>

#include <cstring>

#include "api/program.h"
#include "ir/pack.h"
#include "ir/text.h"
#include "ops/registry.h"
#include "passes/pipeline.h"

using namespace sdx;

namespace {

struct Planned {
  std::unique_ptr<Graph> graph;
  std::unique_ptr<GraphProgram> program;
  std::vector<Datum> feeds;

  explicit Planned(const char* text) : graph(parse_graph(text, ops::builtin_ops())) {
    passes::run_pipeline(*graph, {.level = 0, .skip = "", .verify = true, .observe = {}});
    pack_graph(*graph);
    program = std::make_unique<GraphProgram>(*graph);
    for (const Value* input : graph->inputs()) {
      Tensor tensor = Tensor::allocate(DType::float32, *input->type().known_shape());
      for (int64_t i = 0; i < tensor.count(); ++i)
        tensor.data<float>()[i] = static_cast<float>((i * 37 + 11) % 101) / 50 - 1;
      feeds.push_back(tensor);
    }
  }

  std::string text() {
    std::vector<Layout> layouts;
    for (const Datum& feed : feeds)
      layouts.push_back({feed.tensor().dtype(), feed.tensor().shape(), true});
    return program->plan_for(std::span<const Layout>(layouts))->to_string(*graph);
  }
  std::vector<Datum> run() { return program->run(feeds, RunState{}); }
};

// The same graph, all of whose values are outputs and so stay where they are.
void check_same(const char* text, const char* apart_text) {
  const auto ours = Planned(text).run(), theirs = Planned(apart_text).run();
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const Tensor &a = ours[i].tensor(), &b = theirs[i].tensor();
    REQUIRE(a.shape() == b.shape());
    for (int64_t k = 0; k < a.count(); ++k) CHECK(a.data<float>()[k] == b.data<float>()[k]);
  }
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("inputs of an outer join are computed in its output") {
  Planned planned(R"(
    graph "g" opset {"": 17} (%x: float32[2, 16]) -> (%y) {
      %a = Exp(%x)
      %b = Neg(%x)
      %c = Concat(%a, %b) {axis = 0}
      %y = Abs(%c)
    })");
  const std::string text = planned.text();
  CHECK(has(text, "a: float32[2, 16] alias of c at byte 0\n"));
  CHECK(has(text, "b: float32[2, 16] alias of c at byte 128\n"));
  CHECK_FALSE(has(text, "Concat"));
}

TEST_CASE("inputs of an inner join are computed in rows of its output, and read there") {
  const char* body = R"(
    graph "g" opset {"": 17} (%x: float32[3, 32]) -> (%y, %z) {
      %a = Exp(%x)
      %b = Neg(%x)
      %c = Concat(%a, %b) {axis = 1}
      %y = Abs(%c)
      %z = Abs(%a)
    })";
  const std::string text = Planned(body).text();
  CHECK(has(text, "a: float32[3, 32] alias of c at byte 0 in rows of 32 every 64\n"));
  CHECK(has(text, "b: float32[3, 32] alias of c at byte 128 in rows of 32 every 64\n"));
  CHECK_FALSE(has(text, "Concat"));
  check_same(body, R"(
    graph "g" opset {"": 17} (%x: float32[3, 32]) -> (%y, %z, %a, %b) {
      %a = Exp(%x)
      %b = Neg(%x)
      %c = Concat(%a, %b) {axis = 1}
      %y = Abs(%c)
      %z = Abs(%a)
    })");
}

TEST_CASE("parts that are taken and joined again never move") {
  const char* body = R"(
    graph "g" opset {"": 17} (%x: float32[3, 64]) -> (%y) {
      %h = Exp(%x)
      %a, %b = Split(%h) {axis = 1}
      %d = Neg(%b)
      %c = Concat(%a, %b, %d) {axis = 1}
      %y = Abs(%c)
    })";
  const std::string text = Planned(body).text();
  CHECK(has(text, "h: float32[3, 64] alias of c at byte 0 in rows of 64 every 96\n"));
  CHECK(has(text, "b: float32[3, 32] alias of c at byte 128 in rows of 32 every 96\n"));
  CHECK(has(text, "d: float32[3, 32] alias of c at byte 256 in rows of 32 every 96\n"));
  CHECK_FALSE(has(text, "Concat"));
  CHECK_FALSE(has(text, "Split"));
  check_same(body, R"(
    graph "g" opset {"": 17} (%x: float32[3, 64]) -> (%y, %h, %a, %b, %d) {
      %h = Exp(%x)
      %a, %b = Split(%h) {axis = 1}
      %d = Neg(%b)
      %c = Concat(%a, %b, %d) {axis = 1}
      %y = Abs(%c)
    })");
}

TEST_CASE("a join of values that lie side by side already is one more value there") {
  const char* body = R"(
    graph "g" opset {"": 17} (%x: float32[3, 32]) -> (%y) {
      %a = Exp(%x)
      %b = Neg(%x)
      %ab = Concat(%a, %b) {axis = 1}
      %c = Abs(%ab)
      %abc = Concat(%a, %b, %c) {axis = 1}
      %y = Abs(%abc)
    })";
  const std::string text = Planned(body).text();
  CHECK(has(text, "ab: float32[3, 64] alias of abc at byte 0 in rows of 64 every 128\n"));
  CHECK(has(text, "c: float32[3, 64] alias of abc at byte 256 in rows of 64 every 128\n"));
  CHECK_FALSE(has(text, "Concat"));
}

TEST_CASE("what another join would have to copy out of rows stays together") {
  const std::string text = Planned(R"(
    graph "g" opset {"": 17} (%x: float32[3, 32]) -> (%y, %z) {
      %a = Exp(%x)
      %b = Neg(%x)
      %ab = Concat(%a, %b) {axis = 1}
      %y = Softmax(%ab)
      %c = Abs(%x)
      %abc = Concat(%a, %b, %c) {axis = 1}
      %z = Abs(%abc)
    })")
                               .text();
  CHECK_FALSE(has(text, "a: float32[3, 32] alias"));
  CHECK_FALSE(has(text, "b: float32[3, 32] alias"));
  CHECK(has(text, "c: float32[3, 32] alias of abc at byte 256 in rows of 32 every 96\n"));
}

TEST_CASE("a join within a join, in the memory of a result") {
  const std::string text = Planned(R"(
    graph "g" opset {"": 17} (%x: float32[3, 32]) -> (%abc) {
      %a = Exp(%x)
      %b = Neg(%x)
      %ab = Concat(%a, %b) {axis = 1}
      %c = Abs(%ab)
      %abc = Concat(%ab, %c) {axis = 1}
    })")
                               .text();
  CHECK(has(text, "a: float32[3, 32] alias of abc at byte 0 in rows of 32 every 128\n"));
  CHECK(has(text, "b: float32[3, 32] alias of abc at byte 128 in rows of 32 every 128\n"));
  CHECK(has(text, "abc: float32[3, 128] output\n"));
  CHECK_FALSE(has(text, "Concat"));
}

TEST_CASE("what cannot lie apart is copied") {
  const char* body = R"(
    graph "g" opset {"": 17} (%x: float32[3, 32]) -> (%y, %a) {
      %a = Exp(%x)
      %b = Softmax(%x) {axis = -1}
      %d = Neg(%x)
      %c = Concat(%a, %b, %d, %d, %x) {axis = 1}
      %y = Abs(%c)
    })";
  const std::string text = Planned(body).text();
  CHECK(has(text, "a: float32[3, 32] output\n"));
  CHECK(has(text, "b: float32[3, 32] arena"));
  CHECK(has(text, "d: float32[3, 32] alias of c at byte 256 in rows of 32 every 160\n"));
  CHECK(has(text, "Concat"));
  check_same(body, R"(
    graph "g" opset {"": 17} (%x: float32[3, 32]) -> (%y, %a, %b, %d) {
      %a = Exp(%x)
      %b = Softmax(%x) {axis = -1}
      %d = Neg(%x)
      %c = Concat(%a, %b, %d, %d, %x) {axis = 1}
      %y = Abs(%c)
    })");
}

TEST_CASE("a piece of a row goes into the rows of a join by a copy") {
  const auto text = [](const char* outputs) {
    return std::string(
               R"(graph "g" opset {"": 17} (%x: float32[1, 24], %past: float32[1, 3, 2, 4]) -> ()") +
           outputs + R"() {
      %heads: int64[4] = constant [1, 3, 1, 4]
      %e = Exp(%x)
      %p = Neg(%past)
      %a, %b = Split(%e) {axis = 1}
      %k = Reshape(%a, %heads)
      %v = Reshape(%b, %heads)
      %c = Concat(%p, %k) {axis = 2}
      %d = Concat(%p, %v) {axis = 2}
      %y = Neg(%c)
      %z = Neg(%d)
      %q = Neg(%b)
    })";
  };
  const std::string together = text("%y, %q, %z");
  const std::string apart = text("%y, %q, %z, %e, %a, %b, %c, %d");
  check_same(together.c_str(), apart.c_str());
  const std::string plan = Planned(together.c_str()).text();
  CHECK(!has(plan, "%e: float32[1, 24] alias"));
  CHECK(has(plan, "e: float32[1, 24] arena"));
}
