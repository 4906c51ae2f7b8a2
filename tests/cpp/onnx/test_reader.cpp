#include <doctest/doctest.h>

#include "ir/text.h"
#include "onnx/message.h"

using namespace sdx;
using namespace sdx::onnx;
using namespace sdx::onnx::test;

namespace {

// x -> y = Relu(x), with more nodes in front.
Message chain(std::initializer_list<Message> nodes) {
  Message graph;
  for (const Message& node : nodes) graph.add(1, node);
  return graph.add(11, value("x", {2})).add(12, value("y", {2}));
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a graph is read with its inputs, constants and declared types") {
  Message graph = chain({node("Add", {"x", "w"}, {"y"}, "sum")});
  graph.add(5, floats("w", {1, 2})).bytes(2, "tiny");
  const Model model = read(test::model(graph).bytes(2, "maker"));
  CHECK(model.graph->name == "tiny");
  CHECK(model.inputs.size() == 1);
  CHECK(model.inputs[0].type == Type::parse("float32[2]"));
  CHECK(model.outputs[0].type == Type::parse("float32[2]"));
  REQUIRE(model.graph->node_count() == 1);
  const Node& sum = *model.graph->nodes()[0];
  CHECK(sum.place() == "node 'sum' (Add, opset 17)");
  CHECK(sum.input(1)->constant()->data<float>()[1] == 2);
  CHECK(model.parameters == 2);
  CHECK(model.parameter_bytes == 8);
  CHECK(model.operators.at("Add") == 1);
  CHECK(model.metadata.at("producer_name") == "maker");
  CHECK(model.metadata.at("opset_import") == "ai.onnx 17");
}

TEST_CASE("nodes may come in any order, but not in a circle") {
  const Model model =
      read(test::model(chain({node("Relu", {"a"}, {"y"}), node("Relu", {"x"}, {"a"})})));
  CHECK(model.graph->nodes()[0]->output(0)->name() == "a");
  CHECK(contains(
      error_of(test::model(chain({node("Add", {"x", "b"}, {"a"}, "one"), node("Relu", {"a"}, {"b"}),
                                  node("Relu", {"x"}, {"y"})}))),
      "node 'one' (Add, opset 17): the graph has a cycle"));
}

TEST_CASE("names are defined, once") {
  CHECK(error_of(test::model(chain({node("Relu", {"z"}, {"y"}, "n")}))) ==
        "node 'n' (Relu, opset 17): 'z' is neither an input, an initializer nor the output of a "
        "node");
  CHECK(error_of(test::model(chain({node("Relu", {"x"}, {"y"}), node("Relu", {"x"}, {"y"})}))) ==
        "value 'y' is defined twice");
  CHECK(error_of(test::model(chain({node("Relu", {"x"}, {"x"})}))) == "value 'x' is defined twice");
  CHECK(error_of(test::model(chain({}))) == "output 'y' of the graph is not defined");
  Message graph = chain({node("Relu", {"x"}, {"y"})});
  graph.add(5, floats("w", {1})).add(5, floats("w", {1}));
  CHECK(error_of(test::model(graph)) == "initializer 'w': value 'w' is defined twice");
}

TEST_CASE("initializers that are inputs are defaults from IR version 4 on") {
  Message graph = chain({node("Add", {"x", "w"}, {"y"})});
  graph.add(11, value("w", {2})).add(5, floats("w", {1, 2}));
  const Model open = read(test::model(graph, 4));
  CHECK(open.graph->inputs().size() == 2);
  CHECK(open.inputs[1].has_default);
  CHECK(open.defaults.at("w").data<float>()[0] == 1);
  const Model frozen = read(test::model(graph, 4), {.freeze_defaults = true});
  CHECK(frozen.graph->inputs().size() == 1);
  CHECK(frozen.inputs.size() == 2);
  CHECK(frozen.graph->nodes()[0]->input(1)->is_constant());
  const Model old = read(test::model(graph, 3));
  CHECK(old.inputs.size() == 1);
  CHECK(old.graph->nodes()[0]->input(1)->is_constant());
}

TEST_CASE("Constant nodes are constants, in whatever order") {
  const Message list = Message().bytes(1, "value_ints").integer(8, 4).integer(8, 5).integer(20, 7);
  const Model model = read(test::model(
      chain({node("Add", {"x", "c"}, {"y"}), node("Constant", {}, {"c"}).add(5, list)})));
  CHECK(model.graph->node_count() == 1);
  CHECK(model.graph->nodes()[0]->input(1)->constant()->to_int64s() == std::vector<int64_t>{4, 5});
}

TEST_CASE("attributes follow their type, or what they hold where that says nothing") {
  const auto attributes = [](std::initializer_list<Message> list) {
    Message relu = node("Relu", {"x"}, {"y"});
    for (const Message& attribute : list) relu.add(5, attribute);
    return read(test::model(chain({relu})));
  };
  const Model model = attributes({Message().bytes(1, "typed").integer(3, 3).integer(20, 2),
                                  Message().bytes(1, "untyped").float32(2, 0.5F),
                                  Message().bytes(1, "mistyped").integer(3, 6).integer(20, 1),
                                  Message().bytes(1, "zero").integer(20, 2),
                                  Message().bytes(1, "empty").integer(20, 7),
                                  Message().bytes(1, "text").bytes(4, "t").integer(20, 3)});
  const Attributes& attrs = model.graph->nodes()[0]->attrs();
  CHECK(attrs.get("typed", 0) == 3);
  CHECK(attrs.get("untyped", 0.0) == 0.5F);
  CHECK(attrs.get("mistyped", 0) == 6);
  CHECK(attrs.require<int64_t>("zero") == 0);
  CHECK(attrs.require<std::vector<int64_t>>("empty").empty());
  CHECK(attrs.get("text", "") == "t");
  CHECK_THROWS_AS(attributes({Message().bytes(1, "t").integer(20, 4)}), Error);
  CHECK_THROWS_AS(attributes({integer_attribute("a", 1), integer_attribute("a", 2)}), Error);
}

TEST_CASE("types of all kinds are read") {
  const auto type_of = [](const Message& type) {
    Message graph;
    graph.add(1, node("Relu", {"x"}, {"y"})).add(12, untyped("y"));
    graph.add(11, Message().bytes(1, "x").add(2, type));
    return read(test::model(graph)).inputs[0].type.to_string();
  };
  const Message shape =
      Message().add(1, Message().bytes(2, "batch")).add(1, Message().integer(1, -1));
  const Message tensor = Message().add(1, Message().integer(1, 1).add(2, shape));
  CHECK(type_of(tensor) == "float32[batch, ?]");
  CHECK(type_of(Message().add(4, Message().add(1, tensor))) == "sequence(float32[batch, ?])");
  CHECK(type_of(Message().add(9, Message().add(1, tensor))) == "optional(float32[batch, ?])");
  CHECK(type_of(Message().add(5, Message().integer(1, 7).add(2, tensor))) ==
        "map(int64, float32[batch, ?])");
  CHECK_THROWS_AS(type_of(Message().add(7, Message())), Error);
  CHECK_THROWS_AS(type_of(Message().add(5, Message().integer(1, 1).add(2, tensor))), Error);
  Message deep = tensor;
  for (int i = 0; i < 40; ++i) deep = Message().add(4, Message().add(1, deep));
  CHECK_THROWS_AS(type_of(deep), Error);
}

TEST_CASE("all operators that lack are listed at once") {
  const std::string error = error_of(
      test::model(chain({node("Addd", {"x", "x"}, {"a"}, "first"), node("Addd", {"a", "a"}, {"b"}),
                         node("Late", {"b"}, {"c"}, "late"), node("Relu", {"c"}, {"y"})})));
  CHECK(contains(error, "Addd (opset 17, did you mean Add; 2 nodes, the first 'first')"));
  CHECK(contains(error, "Late (opset 17, supported from opset 20; 1 node 'late')"));
  const Message own = node("Fused", {"x"}, {"y"}, "n").bytes(7, "sardonyx");
  CHECK(
      contains(error_of(test::model(chain({own})).add(8, opset("sardonyx", 1))), "not supported"));
}

TEST_CASE("versions and imports are checked") {
  const Message graph = chain({node("Relu", {"x"}, {"y"})});
  CHECK(error_of(Message().integer(1, 8).add(7, graph)) == "the model imports no operator set");
  CHECK(read(Message().integer(1, 2).add(7, graph)).opsets.at("") == 1);
  CHECK(error_of(Message().add(8, opset("", 17)).add(7, graph)) == "the model has IR version 0");
  CHECK(read(test::model(graph, 99)).warnings.size() == 1);
  CHECK(read(test::model(graph).add(8, opset("nobody.uses", 3))).graph->node_count() == 1);
  CHECK(contains(error_of(test::model(chain({node("Relu", {"x"}, {"y"}, "n").bytes(7, "other")}))),
                 "does not import domain 'other'"));
}

TEST_CASE("a wrong declared shape of an output is worth a warning") {
  Message graph;
  graph.add(1, node("Relu", {"x"}, {"y"})).add(11, value("x", {2})).add(12, value("y", {3}));
  const Model model = read(test::model(graph));
  REQUIRE(model.warnings.size() == 1);
  CHECK(model.warnings[0] == "output 'y' is declared as float32[3], but is float32[2]");
  CHECK(model.outputs[0].type == Type::parse("float32[2]"));
}

TEST_CASE("what is no model is refused by name where it is known") {
  CHECK(contains(error_of(Message()), "empty"));
  CHECK(contains(error_of(Message().integer(1, 8)), "no graph"));
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
  CHECK_THROWS_WITH_AS(read_model(std::as_bytes(std::span(pointer)), "", inert_ops()),
                       "this is a pointer to a file in Git LFS, not the model itself: run 'git lfs "
                       "pull'",
                       Error);
}
