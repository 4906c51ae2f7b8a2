#include <doctest/doctest.h>

#include "base/error.h"
#include "ir/graph.h"
#include "ops/registry.h"

using namespace sdx;

namespace {

std::unique_ptr<Graph> empty_graph() {
  auto graph = std::make_unique<Graph>(ops::builtin_ops());
  graph->opsets[""] = 17;
  return graph;
}

}  // namespace

TEST_CASE("replacing uses moves users and outputs, and refuses another type") {
  auto graph = empty_graph();
  Value* x = graph->add_input("x", Type::parse("float32[2, 3]"));
  Value* y = graph->add({.op_type = "Relu", .inputs = {x}})->output(0);
  Value* z = graph->add({.op_type = "Relu", .inputs = {y}})->output(0);
  graph->add_output(z, "z");
  CHECK(y->type() == Type::parse("float32[2, 3]"));
  graph->replace_uses(y, x);
  CHECK(y->users().empty());
  CHECK(x->users().size() == 2);
  CHECK(graph->erase_dead());
  CHECK(graph->node_count() == 1);
  Value* other = graph->add_input("other", Type::parse("int64[2, 3]"));
  CHECK_THROWS_AS(graph->replace_uses(z, other), Error);
  Value* wide = graph->add_input("wide", Type::parse("float32[2, 4]"));
  CHECK_THROWS_AS(graph->replace_uses(z, wide), Error);
}

TEST_CASE("sorting finds an order or names a node of the cycle") {
  auto graph = empty_graph();
  Value* x = graph->add_input("x", Type::parse("float32[2]"));
  Value *a = graph->add_value("a"), *b = graph->add_value("b");
  graph->add_with_outputs({.op_type = "Relu", .inputs = {a}, .name = "second"}, {b});
  graph->add_with_outputs({.op_type = "Relu", .inputs = {x}, .name = "first"}, {a});
  graph->sort();
  CHECK(graph->nodes()[0]->name() == "first");

  auto cyclic = empty_graph();
  Value *c = cyclic->add_value("c"), *d = cyclic->add_value("d");
  cyclic->add_with_outputs({.op_type = "Relu", .inputs = {c}, .name = "one"}, {d});
  cyclic->add_with_outputs({.op_type = "Relu", .inputs = {d}, .name = "two"}, {c});
  CHECK_THROWS_WITH_AS(cyclic->sort(), "node 'one' (Relu, opset 17): the graph has a cycle through this node",
                       Error);
}

TEST_CASE("an unknown operator is an error that names the nearest") {
  auto graph = empty_graph();
  Value* x = graph->add_input("x", Type::parse("float32[2]"));
  try {
    graph->add({.op_type = "Sofmax", .inputs = {x}, .name = "n"});
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::unsupported);
    CHECK(std::string(error.what()).find("Softmax") != std::string::npos);
  }
}
