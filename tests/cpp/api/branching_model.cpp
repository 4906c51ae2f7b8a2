#include "api/branching_model.h"

#include <cstring>

#include "onnx/message.h"

namespace sdx::test {

using namespace onnx::test;

std::string branching_model() {
  const Message then_branch = Message().add(1, node("Relu", {"h"}, {"t"})).add(12, untyped("t"));
  const Message else_branch = Message().add(1, node("Exp", {"h"}, {"e"})).add(12, untyped("e"));
  Message choice = node("If", {"c"}, {"i"}, "choice");
  choice.add(5, graph_attribute("then_branch", then_branch))
      .add(5, graph_attribute("else_branch", else_branch));
  Message graph;
  graph.add(1, node("Shape", {"x"}, {"s"}, "shape"))
      .add(1, node("Mul", {"x", "w"}, {"m"}, "scale"))
      .add(1, node("Add", {"m", "b"}, {"h0"}, "shift"))
      .add(1, node("Softmax", {"h0"}, {"h"}, "softmax"))
      .add(1, node("ReduceMax", {"h"}, {"r"}, "max"))
      .add(1, node("Greater", {"r", "zero"}, {"g"}, "greater"))
      .add(1, node("Squeeze", {"g"}, {"c"}, "condition"))
      .add(1, choice)
      .add(1, node("NonZero", {"i"}, {"n"}, "places"))
      .add(1, node("Expand", {"one", "s"}, {"o"}, "ones"))
      .add(1, node("Sub", {"i", "o"}, {"y"}, "less"))
      .add(5, floats("w", {1, 2, 3}))
      .add(5, floats("b", {0.5, 0.25, 0.125}))
      .add(5, floats("zero", {0}))
      .add(5, floats("one", {1}))
      .add(11, value("x", {-1, 3}))
      .add(12, untyped("y"))
      .add(12, untyped("n"));
  return model(graph).encoded();
}

Session load_branching_model(const Options& options) {
  const std::string bytes = branching_model();
  return Session::load_bytes(std::as_bytes(std::span(bytes)), options);
}

std::vector<Datum> run_rows(Session& session, int64_t rows, const RunControl& control) {
  const std::vector<Feed> feeds{{"x", Tensor::filled<float>(Shape{rows, 3}, 0.5f)}};
  return session.run(feeds, {}, {}, control);
}

bool equal(const std::vector<Datum>& a, const std::vector<Datum>& b) {
  bool result = a.size() == b.size();
  for (std::size_t i = 0; result && i < a.size(); ++i) {
    const Tensor &left = a[i].tensor(), &right = b[i].tensor();
    result =
        left.shape() == right.shape() && std::memcmp(left.raw(), right.raw(), left.bytes()) == 0;
  }
  return result;
}

}  // namespace sdx::test
