// Every allocation of loading and running may fail: an error, and the session goes on.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <new>
#include <span>

#include "allocations.h"
#include "api/session.h"
#include "base/error.h"
#include "onnx/message.h"

using namespace sdx;
using namespace sdx::onnx::test;

namespace {

// Shape arithmetic, a product with constant weights, a branch, values whose shapes depend on data.
std::string model_bytes() {
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

Session load(const std::string& bytes, int level) {
  Options options;
  options.threads = 1;
  options.level = level;
  return Session::load_bytes(std::as_bytes(std::span(bytes)), options);
}

std::vector<Datum> run(Session& session, int64_t rows) {
  const std::vector<Feed> feeds{{"x", Tensor::filled<float>(Shape{rows, 3}, 0.5f)}};
  return session.run(feeds);
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

// Lets the first allocation of `work` fail, then the second and so on until it needs no more;
// returns how often. `afterwards` follows each.
int64_t fail_each(
    bool lasting, const std::function<void()>& work,
    const std::function<void()>& afterwards = [] {}) {
  int64_t at = 1;
  for (bool failed = true; failed; ++at) {
    {
      const test::FailingAllocation failing(at, lasting);
      try {
        work();
      } catch (const std::bad_alloc&) {
      } catch (const Error& error) {
        CHECK_MESSAGE(error.kind() == ErrorKind::out_of_memory, error.what());
      }
      failed = failing.failed();
    }
    afterwards();
    REQUIRE(at < 100000);
  }
  return at;
}

}  // namespace

TEST_CASE("loading survives the failure of any allocation") {
  const std::string bytes = model_bytes();
  for (const int level : {0, 2})
    for (const bool lasting : {false, true})
      CHECK(fail_each(lasting, [&] { load(bytes, level); }) > 100);
}

TEST_CASE("running survives the failure of any allocation, and the session with it") {
  const std::string bytes = model_bytes();
  for (const int level : {0, 2}) {
    Session session = load(bytes, level);
    const std::vector<Datum> expected = run(session, 4);
    int64_t rows = 5;
    for (const bool lasting : {false, true}) {
      // A new shape is planned anew each time, a known one is not.
      CHECK(fail_each(
                lasting, [&] { run(session, ++rows); },
                [&] { CHECK(equal(run(session, 4), expected)); }) > 20);
      fail_each(
          lasting, [&] { run(session, 4); }, [&] { CHECK(equal(run(session, 4), expected)); });
    }
  }
}
