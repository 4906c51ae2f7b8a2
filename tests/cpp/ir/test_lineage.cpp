#include <doctest/doctest.h>

#include "ir/graph.h"
#include "ops/registry.h"

using namespace sdx;

namespace {

using Names = std::vector<std::string>;

// For each node of the graph, in order, the names it stands for.
std::vector<Names> lineage_of(const Graph& graph) {
  std::vector<uint32_t> alive;
  for (const Node* node : graph.nodes()) alive.push_back(node->serial());
  const auto names = graph.lineage().names(alive);
  std::vector<Names> found;
  for (const Node* node : graph.nodes()) found.push_back(names[node->serial()]);
  return found;
}

std::unique_ptr<Graph> chain(const std::vector<std::string>& names) {
  auto graph = std::make_unique<Graph>(ops::builtin_ops());
  graph->opsets[""] = 17;
  Value* value = graph->add_input("x", Type::parse("float32[2, 3]"));
  for (const std::string& name : names) {
    Value* next = graph->add_value("of_" + name, Type::parse("float32[2, 3]"));
    graph->add_with_outputs({.op_type = "Relu", .inputs = {value}, .name = name}, {next});
    value = next;
  }
  graph->add_output(value, "y");
  return graph;
}

}  // namespace

TEST_CASE("a node that replaces others stands for them, through several rewrites") {
  auto graph = chain({"a", "b", "c"});
  for (int round = 0; round < 2; ++round) {  // joins the first two nodes, twice
    const std::vector<Node*> nodes = graph->nodes();
    Node* joined =
        graph->insert_before(nodes[1], {.op_type = "Tanh", .inputs = {nodes[0]->input(0)}});
    CHECK(lineage_of(*graph)[1] == Names{nodes[1]->name().front() == 'b' ? "b" : "c"});
    graph->replace_uses(nodes[1]->output(0), joined->output(0));
    graph->erase_dead();
  }
  CHECK(lineage_of(*graph) == std::vector<Names>{{"a", "b", "c"}});
}

TEST_CASE("a node under its predecessor's name takes over from it") {
  auto graph = chain({"a"});
  Node* old = graph->nodes()[0];
  Node* fresh =
      graph->insert_before(old, {.op_type = "Tanh", .inputs = {old->input(0)}, .name = "a"});
  Node* back = graph->insert_before(old, {.op_type = "Neg", .inputs = {fresh->output(0)}});
  graph->replace_uses(old->output(0), back->output(0));
  graph->erase(old);
  CHECK(lineage_of(*graph) == std::vector<Names>{{"a"}, {"a"}});  // the Neg was made for it
}

TEST_CASE("what a constant replaced is forgotten, and its users keep their names") {
  auto graph = chain({"a", "b"});
  graph->make_constant(graph->nodes()[0]->output(0),
                       Tensor::of<float>({1, 2, 3, 4, 5, 6}).reshaped({2, 3}));
  graph->erase_dead();
  CHECK(lineage_of(*graph) == std::vector<Names>{{"b"}});
}
