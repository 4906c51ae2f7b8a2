#include "passes/rewrite.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <regex>
#include <set>
#include <sstream>

#include "api/program.h"
#include "base/error.h"
#include "ir/pack.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/registry.h"

namespace sdx::passes::test {
namespace {

void rename(Graph& graph) {
  std::set<const Value*> named;
  int constants = 0, values = 0;
  const auto name = [&](Value* value) {
    if (!value || value->is_graph_input() || !named.insert(value).second) return;
    value->set_name(value->is_constant() ? "c" + std::to_string(++constants)
                                         : "v" + std::to_string(++values));
  };
  for (Node* node : graph.nodes()) {
    for (Value* input : node->inputs()) name(input);
    for (Value* output : node->outputs()) name(output);
    for (const auto& [attribute, subgraph] : node->subgraphs()) rename(*subgraph);
  }
  for (Value* output : graph.outputs()) name(output);
}

bool is_constant_line(const std::string& line) {
  return line.find(" = constant ") != std::string::npos;
}

// Elements of one type in [-2, 2], or what of that the type holds.
Tensor random_tensor(DType dtype, const Shape& shape, std::mt19937& random) {
  Tensor tensor = Tensor::allocate(dtype, shape);
  std::uniform_real_distribution<float> real(-2, 2);
  std::uniform_int_distribution<int> whole(is_signed_integer(dtype) ? -2 : 0, 2);
  for (int64_t i = 0; i < tensor.count(); ++i) {
    if (is_float(dtype))
      dispatch(FloatTypes{}, dtype,
               [&]<class T>() { tensor.data<T>()[i] = static_cast<T>(real(random)); });
    else if (dtype == DType::boolean)
      tensor.data<uint8_t>()[i] = whole(random) > 0;
    else
      dispatch_size(item_size(dtype), [&]<class T>() {
        static_cast<T*>(tensor.raw())[i] = static_cast<T>(whole(random));
      });
  }
  return tensor;
}

// Passes make nodes of later versions than the graph imports.
std::unique_ptr<Graph> parse_result(const std::string& text, int opset) {
  constexpr int kLatest = 26;
  try {
    return graph_of(text, opset);
  } catch (const Error&) {
    return graph_of(text, kLatest);
  }
}

}  // namespace

std::unique_ptr<Graph> graph_of(const std::string& header_and_body, int opset) {
  const std::string start = "graph \"g\" opset {\"\": " + std::to_string(opset) + "} ";
  return parse_graph(start + header_and_body, ops::builtin_ops());
}

std::string normal_text(Graph& graph) {
  graph.erase_dead();
  rename(graph);
  std::string text = to_text(graph);
  text = std::regex_replace(text, std::regex(R"( @ "[^"]*")"), "");
  text = std::regex_replace(text, std::regex(R"( opset \{[^}]*\})"), "");
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  for (auto it = lines.begin(); it != lines.end();) {
    const auto end = std::find_if_not(it, lines.end(), is_constant_line);
    std::sort(it, end, [](const std::string& a, const std::string& b) {
      const std::size_t a_name = a.find(':'), b_name = b.find(':');
      return a_name != b_name ? a_name < b_name : a < b;
    });
    it = end == lines.end() ? end : end + 1;
  }
  std::string joined;
  for (const std::string& line : lines) joined += line + "\n";
  return joined;
}

std::vector<Datum> run_on_random(Graph& graph) {
  std::mt19937 random(7);
  std::map<std::string, int64_t> sizes;
  std::vector<Datum> feeds;
  for (const Value* input : graph.inputs()) {
    Shape shape;
    REQUIRE(input->type().shape.has_value());
    for (const Dim& dim : *input->type().shape) {
      const auto size = static_cast<int64_t>(sizes.size()) + 2;
      shape.push_back(dim.is_known() ? dim.value()
                                     : sizes.emplace(dim.to_string(), size).first->second);
    }
    feeds.emplace_back(random_tensor(input->type().dtype, shape, random));
  }
  expand_ops(graph);
  pack_graph(graph);
  GraphProgram program(graph);
  return program.run(feeds, RunState{});
}

void expect_same(const std::vector<Datum>& expected, const std::vector<Datum>& actual, int length) {
  REQUIRE(expected.size() == actual.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Tensor &e = expected[i].tensor(), &a = actual[i].tensor();
    REQUIRE(e.dtype() == a.dtype());
    REQUIRE(e.shape() == a.shape());
    const std::vector<double> wanted = e.to_doubles(), got = a.to_doubles();
    double largest = 0;
    for (const double value : wanted)
      if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
    const double slack = is_float(e.dtype()) ? 3e-7 * std::sqrt(length) * largest : 0;
    for (std::size_t j = 0; j < wanted.size(); ++j) {
      const bool same = wanted[j] == got[j] || (std::isnan(wanted[j]) && std::isnan(got[j]));
      const double limit = is_float(e.dtype()) ? 1e-5 * std::abs(wanted[j]) + slack : 0;
      CHECK_MESSAGE((same || std::abs(wanted[j] - got[j]) <= limit), "output ", i, ", element ", j,
                    ": ", got[j], ", expected ", wanted[j]);
    }
  }
}

void expect_rewrites(PassFunction* pass, const std::string& before, const std::string& after,
                     int opset, int length) {
  CAPTURE(before);
  const auto plain = graph_of(before, opset);
  const auto rewritten = graph_of(before, opset);
  CHECK(pass(*rewritten));
  verify(*rewritten);
  CHECK(normal_text(*rewritten) == normal_text(*parse_result(after, opset)));
  verify(*rewritten);
  expect_same(run_on_random(*plain), run_on_random(*rewritten), length);
}

void expect_untouched(PassFunction* pass, const std::string& text, int opset) {
  CAPTURE(text);
  const auto graph = graph_of(text, opset);
  const std::string before = normal_text(*graph);
  CHECK(!pass(*graph));
  CHECK(normal_text(*graph) == before);
  verify(*graph);
}

}  // namespace sdx::passes::test
