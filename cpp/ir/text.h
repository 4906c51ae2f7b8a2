// Graphs as text, for people and tests; stable, and it parses back.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace sdx {

// See text.cpp for the grammar.
std::string to_text(const Graph& graph);

// Reads what to_text prints. Throws `invalid_argument` with line and column.
std::unique_ptr<Graph> parse_graph(std::string_view text, const OpRegistry& registry);

}  // namespace sdx
