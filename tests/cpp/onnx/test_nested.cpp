#include <doctest/doctest.h>

#include "onnx/message.h"

using namespace sdx;
using namespace sdx::onnx;
using namespace sdx::onnx::test;

namespace {

Message branch(const Message& node, std::string_view output) {
  return Message().add(1, node).add(12, untyped(output));
}

// If over x with these branches; y is the output.
Message if_graph(const Message& then_branch, const Message& else_branch) {
  Message node = test::node("If", {"x"}, {"y"}, "choice");
  node.add(5, graph_attribute("then_branch", then_branch));
  node.add(5, graph_attribute("else_branch", else_branch));
  return Message().add(1, node).add(11, value("x", {})).add(12, untyped("y"));
}

std::vector<std::string> input_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const Value* input : graph.inputs()) names.push_back(input->name());
  return names;
}

Message function(std::string_view name, std::initializer_list<std::string_view> inputs,
                 std::initializer_list<std::string_view> outputs,
                 std::initializer_list<Message> nodes) {
  Message message = Message().bytes(1, name).bytes(10, "mine").add(9, opset("", 17));
  for (const std::string_view input : inputs) message.bytes(4, input);
  for (const std::string_view output : outputs) message.bytes(5, output);
  for (const Message& node : nodes) message.add(7, node);
  return message.add(9, opset("mine", 1));
}

Message call(std::string_view name, std::initializer_list<std::string_view> inputs,
             std::initializer_list<std::string_view> outputs, std::string_view node_name = "call") {
  return node(name, inputs, outputs, node_name).bytes(7, "mine");
}

Message calling(const Message& node, std::initializer_list<Message> functions) {
  const Message graph = Message().add(1, node).add(11, value("x", {2})).add(12, untyped("y"));
  Message model = test::model(graph).add(8, opset("mine", 1));
  for (const Message& function : functions) model.add(25, function);
  return model;
}

}  // namespace

TEST_CASE("what subgraphs use from outside becomes inputs of the node and of each of them") {
  Message graph = if_graph(branch(node("Add", {"a", "w"}, {"t"}), "t"),
                           branch(node("Add", {"x", "a"}, {"e"}), "e"));
  graph.add(1, node("Relu", {"x"}, {"a"})).add(5, floats("w", {1}));
  const Model model = read(test::model(graph));
  const Node& choice = *model.graph->nodes()[1];
  CHECK(choice.op_type() == "If");
  CHECK(choice.capture_count() == 2);
  REQUIRE(choice.inputs().size() == 3);
  CHECK(choice.input(1)->name() == "a");
  CHECK(choice.input(2)->name() == "x");
  const Graph& then_branch = *choice.attrs().require<std::shared_ptr<Graph>>("then_branch");
  const Graph& else_branch = *choice.attrs().require<std::shared_ptr<Graph>>("else_branch");
  CHECK(input_names(then_branch) == std::vector<std::string>{"a", "x@outer"});
  CHECK(input_names(else_branch) == std::vector<std::string>{"a", "x"});
  // Constants are shared instead.
  CHECK(then_branch.find_value("w")->constant()->raw() ==
        model.graph->find_value("w")->constant()->raw());
}

TEST_CASE("captures pass through every level in between") {
  const Message inner = if_graph(branch(node("Relu", {"outer"}, {"t"}), "t"),
                                 branch(node("Relu", {"x"}, {"e"}), "e"));
  Message middle = test::node("If", {"x"}, {"m"});
  middle.add(5, graph_attribute("then_branch", branch(node("Relu", {"outer"}, {"t"}), "t")));
  const Model model =
      read(test::model(if_graph(branch(middle, "m"), branch(node("Relu", {"x"}, {"e"}), "e"))
                           .add(1, node("Relu", {"x"}, {"outer"}))));
  const Node& choice = *model.graph->nodes()[1];
  CHECK(choice.capture_count() == 2);
  const Graph& then_branch = *choice.attrs().require<std::shared_ptr<Graph>>("then_branch");
  CHECK(then_branch.nodes()[0]->capture_count() == 1);
}

TEST_CASE("a name that no level defines is an error of the node that uses it") {
  const std::string error =
      error_of(test::model(if_graph(branch(node("Relu", {"nowhere"}, {"t"}, "inner"), "t"),
                                    branch(node("Relu", {"x"}, {"e"}), "e"))));
  CHECK(error ==
        "node 'choice' (If, opset 17): node 'inner' (Relu, opset 17): 'nowhere' is neither an "
        "input, an initializer nor the output of a node");
}

TEST_CASE("subgraphs nest to a limit") {
  Message graph = branch(node("Relu", {"x"}, {"y"}), "y");
  const Message other = branch(node("Relu", {"x"}, {"e"}), "e");
  for (int i = 0; i < 200; ++i) graph = if_graph(graph, other);
  CHECK(error_of(test::model(graph)) == "subgraphs are nested more than 64 deep");
}

TEST_CASE("functions are inlined with their inputs, attributes and defaults") {
  Message inner = node("Relu", {"a"}, {"t"}, "inner");
  inner.add(5, Message().bytes(1, "alpha").bytes(21, "gain").integer(20, 2));
  inner.add(5, Message().bytes(1, "beta").bytes(21, "bias").integer(20, 2));
  inner.add(5, Message().bytes(1, "gamma").bytes(21, "absent").integer(20, 2));
  Message f = function("F", {"a", "b"}, {"r"}, {inner, node("Add", {"t", "b"}, {"r"})});
  f.bytes(6, "gain").bytes(6, "absent").add(11, integer_attribute("bias", 7));
  const Model model =
      read(calling(call("F", {"x"}, {"y"}).add(5, integer_attribute("gain", 5)), {f}));
  REQUIRE(model.graph->node_count() == 2);
  const Node& relu = *model.graph->nodes()[0];
  CHECK(relu.name() == "call/inner");
  CHECK(relu.output(0)->name() == "call/t");
  CHECK(relu.attrs().get("alpha", 0) == 5);
  CHECK(relu.attrs().get("beta", 0) == 7);
  CHECK(!relu.attrs().has("gamma"));
  const Node& add = *model.graph->nodes()[1];
  CHECK(add.input(1) == nullptr);
  CHECK(add.output(0)->name() == "y");
  CHECK(model.operators.at("mine::F") == 1);
}

TEST_CASE("functions may call others, return inputs, and be chosen by overload") {
  const Message pass = function("Pass", {"a"}, {"a"}, {});
  const Message outer = function("Outer", {"a"}, {"r"}, {call("Pass", {"a"}, {"r"}, "p")});
  const Model model = read(calling(call("Outer", {"x"}, {"y"}), {pass, outer}));
  REQUIRE(model.graph->node_count() == 1);
  CHECK(model.graph->nodes()[0]->op_type() == "Identity");

  Message one = function("F", {"a"}, {"r"}, {node("Relu", {"a"}, {"r"})});
  Message two = function("F", {"a"}, {"r"}, {node("Add", {"a", "a"}, {"r"})}).bytes(13, "two");
  const Model overloaded = read(calling(call("F", {"x"}, {"y"}).bytes(8, "two"), {one, two}));
  CHECK(overloaded.graph->nodes()[0]->op_type() == "Add");
}

TEST_CASE("functions that are wrong are errors") {
  const auto f = [](const Message& body) { return function("F", {"a"}, {"r"}, {body}); };
  CHECK(error_of(calling(call("F", {"x"}, {"y"}), {f(call("F", {"a"}, {"r"}))})) ==
        "function 'mine::F' calls itself");
  CHECK(error_of(calling(call("F", {"x", "x"}, {"y"}), {f(node("Relu", {"a"}, {"r"}))})) ==
        "node 'call' (mine::F, opset 1): 2 inputs for a function that takes 1");
  CHECK(error_of(calling(call("F", {"x"}, {"y"}), {f(node("Relu", {"x"}, {"r"}, "n"))})) ==
        "node 'call/n' (Relu, opset 17): 'x' is neither an input, an initializer nor the output of "
        "a node");
  const Message relu = f(node("Relu", {"a"}, {"r"}));
  CHECK(error_of(calling(call("F", {"x"}, {"y"}), {relu, relu})) ==
        "function 'mine::F' is defined twice");
}

TEST_CASE("functions that expand without end are refused") {
  Message model = calling(call("F0", {"x"}, {"y"}), {});
  for (int i = 0; i < 30; ++i) {
    const std::string next = "F" + std::to_string(i + 1);
    model.add(25, function("F" + std::to_string(i), {"a"}, {"r"},
                           {call(next, {"a"}, {"t"}, "l"), call(next, {"t"}, {"r"}, "r")}));
  }
  model.add(25, function("F30", {"a"}, {"r"}, {node("Relu", {"a"}, {"r"})}));
  CHECK(error_of(model).find("expand to more than 1048576 nodes") != std::string::npos);
}
