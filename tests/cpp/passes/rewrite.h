// What a pass does, written as text: the graph before, the graph after, and the same numbers from
// both.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/datum.h"
#include "ir/graph.h"
#include "passes/passes.h"
#include "passes/pipeline.h"

namespace sdx::passes::test {

// A graph of the shortest text: `header` is "(inputs) -> (outputs)", opset 17 unless given.
std::unique_ptr<Graph> graph_of(const std::string& header_and_body, int opset = 17);

// The graph's text with the names of nodes, constants and inner values made up anew, constants in
// order of use, what nothing uses left out, and versions not shown.
std::string normal_text(Graph& graph);

// Runs the graph on random feeds, the same for graphs with the same inputs; symbols stand for
// small sizes, one each. Packs the graph.
std::vector<Datum> run_on_random(Graph& graph);

// Asserts that `pass` changes `before` into `after`, that the graph still holds together, and that
// both compute the same. `length` is how many terms a result sums up.
void expect_rewrites(PassFunction* pass, const std::string& before, const std::string& after,
                     int opset = 17, int length = 16);

// Asserts that `pass` leaves the graph alone.
void expect_untouched(PassFunction* pass, const std::string& text, int opset = 17);

// Asserts that results are equal within the tolerance of their type.
void expect_same(const std::vector<Datum>& expected, const std::vector<Datum>& actual, int length);

}  // namespace sdx::passes::test
